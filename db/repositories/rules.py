"""Routing rules, as their owners see and change them."""

from __future__ import annotations

from sqlalchemy import Connection


class Rules:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection
