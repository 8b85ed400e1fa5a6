"""All secrets at rest, wherever they lie, so that they can be sealed anew."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlalchemy import Connection, text

from db.sealing import ENDPOINT

_ROWS: Final = 500  # in one transaction

# What is sealed, by a name for people: table, column, and its owner's and its kind's place (db.sealing).
_PLACES: Final = {
    "credentials": ("providers", "api_key", "t.user_id", "t.kind"),
    "webhooks of providers": ("providers", "webhook", "t.user_id", "t.kind || ' webhook'"),
    "secrets of webhooks": ("webhook_endpoints", "secret", "t.user_id", f"'{ENDPOINT}'"),
}
_KEPT: Final = "AND t.deleted_at IS NULL"


@dataclass(frozen=True, slots=True)
class Sealed:
    """One sealed text, and the place that it is bound to."""

    what: str
    id: UUID
    owner: UUID | None
    kind: str
    sealed: str


class SealedTexts:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @staticmethod
    def kinds() -> Iterator[str]:
        yield from _PLACES

    def some(self, what: str, after: UUID, *, to_look_at: bool = False) -> list[Sealed]:
        """Those of one kind above the id `after`, in the order of their ids, locked to the end of the transaction.

        `to_look_at`: nothing is locked, and what belongs to an account that was deleted is left out.
        """
        table, column, owner, kind = _PLACES[what]
        rows = self._connection.execute(
            text(f"""
                SELECT t.id, {owner} AS owner, {kind} AS kind, t.{column} AS sealed FROM {table} t
                WHERE t.id > :after AND t.{column} IS NOT NULL AND t.{column} <> ''
                {_KEPT if to_look_at and table == "providers" else ""}
                ORDER BY t.id LIMIT :rows {"" if to_look_at else "FOR UPDATE"}
            """),  # noqa: S608  # constants of this module only
            {"after": after, "rows": _ROWS},
        )
        return [Sealed(what, r.id, r.owner, r.kind, r.sealed) for r in rows]

    def all(self) -> Iterator[Sealed]:
        """Every sealed text that is used; nothing is locked."""
        for what in self.kinds():
            after = UUID(int=0)
            while some := self.some(what, after, to_look_at=True):
                yield from some
                after = some[-1].id

    def replace(self, one: Sealed, sealed: str) -> None:
        table, column, _, _ = _PLACES[one.what]
        self._connection.execute(
            text(f"UPDATE {table} SET {column} = :sealed WHERE id = :id"),  # noqa: S608  # as above
            {"sealed": sealed, "id": one.id},
        )
