"""Statements that PostgreSQL parses and plans once per connection, and how sets of values travel to them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Connection, CursorResult

_PARAMETER = re.compile(r"(?<!:):([a-z_]+)\b")
_PREPARED: Final = "mailmux.prepared"  # in a connection's info: the names that it knows


class Prepared:
    """A statement with `:name` parameters of the given SQL types, prepared at its first use on a connection.

    A parameter whose type ends with [] takes an iterable; all others a value that psycopg2 adapts, or None.
    """

    def __init__(self, name: str, sql: str, /, **types: str) -> None:
        self.name = f"mm_{name}"
        places = {parameter: f"${place}" for place, parameter in enumerate(types, start=1)}
        body = _PARAMETER.sub(lambda found: places[found[1]], sql)
        signature = f" ({', '.join(types.values())})" if types else ""
        arguments = f" ({', '.join(['%s'] * len(types))})" if types else ""
        self._prepare = f"PREPARE {self.name}{signature} AS {body}".replace("%", "%%")
        self._execute = f"EXECUTE {self.name}{arguments}"
        self._takes = [(parameter, type_.endswith("[]")) for parameter, type_ in types.items()]

    def explain(self, connection: Connection) -> str:
        """SQL that shows the plan which the statement has on this connection."""
        self._ensure(connection)
        nulls = f" ({', '.join(['NULL'] * len(self._takes))})" if self._takes else ""
        return f"EXPLAIN EXECUTE {self.name}{nulls}"

    def __call__(self, connection: Connection, **values: Any) -> CursorResult[Any]:
        self._ensure(connection)
        given = tuple(array(values[name]) if many else values[name] for name, many in self._takes)
        return connection.exec_driver_sql(self._execute, given)

    def _ensure(self, connection: Connection) -> None:
        known: set[str] = connection.info.setdefault(_PREPARED, set())
        if self.name not in known:
            connection.exec_driver_sql(self._prepare)
            known.add(self.name)


def array(values: Iterable[Any]) -> str:
    """PostgreSQL's text form of a one-dimensional array of ids, numbers, booleans and texts; None is NULL."""
    return "{" + ",".join([_element(value) for value in values]) + "}"


def _element(value: Any) -> str:
    if value is None:
        return "NULL"
    if type(value) is str:
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return value.hex if type(value) is UUID else str(value)
