"""Statements that PostgreSQL parses and plans once per connection, and how sets of values travel to them."""

from __future__ import annotations

import re
from collections import namedtuple
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, cast
from uuid import UUID

import orjson
import psycopg2
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, MultipleResultsFound, NoResultFound

_PARAMETER = re.compile(r"(?<!:):([a-z_]+)\b")
_PREPARED: Final = "mailmux.prepared"  # in a connection's info: the names that it knows


class Rows:
    """What a statement returned: rows with its columns by name. `count`: rows returned or changed."""

    __slots__ = ("_rows", "count")

    def __init__(
        self, rows: Sequence[Sequence[Any]], as_row: Callable[[Sequence[Any]], Any], count: int
    ) -> None:
        self._rows = [as_row(row) for row in rows]
        self.count = count

    def __iter__(self) -> Iterator[Any]:
        return iter(self._rows)

    def all(self) -> list[Any]:
        return self._rows

    def first(self) -> Any:
        """The first row; None where there is none."""
        return self._rows[0] if self._rows else None

    def one(self) -> Any:
        found = self.one_or_none()
        if found is None:
            raise NoResultFound("a row was expected")
        return found

    def one_or_none(self) -> Any:
        if len(self._rows) > 1:
            raise MultipleResultsFound("one row was expected")
        return self.first()

    def scalars(self) -> list[Any]:
        """The first column."""
        return [row[0] for row in self._rows]

    def scalar(self) -> Any:
        """The first column of the first row; None where there is no row."""
        return self._rows[0][0] if self._rows else None


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
        self._takes = [
            (parameter, _ARRAYS.get(type_, array) if type_.endswith("[]") else None)
            for parameter, type_ in types.items()
        ]
        self._as_row: Callable[[Sequence[Any]], Any] | None = None

    def explain(self, connection: Connection) -> str:
        """SQL that shows the plan which the statement has on this connection."""
        self._ensure(connection)
        nulls = f" ({', '.join(['NULL'] * len(self._takes))})" if self._takes else ""
        return f"EXPLAIN EXECUTE {self.name}{nulls}"

    def __call__(self, connection: Connection, **values: Any) -> Rows:
        """Execute it within the connection's transaction. Raises what SQLAlchemy raises for the same."""
        self._ensure(connection)
        given = [values[name] if many is None else many(values[name]) for name, many in self._takes]
        # Straight to the driver: what SQLAlchemy does for any statement costs as much as these themselves.
        if not connection.in_transaction():
            connection.begin()
        cursor = connection.connection.cursor()
        try:
            cursor.execute(self._execute, given)
            if not cursor.description:
                return Rows((), tuple, cursor.rowcount)
            if self._as_row is None:
                columns = [column[0] for column in cursor.description]
                row: Any = namedtuple(self.name, columns, rename=True)  # type: ignore[misc]
                self._as_row = row._make
            return Rows(cursor.fetchall(), self._as_row, cursor.rowcount)
        except psycopg2.Error as error:
            raise _as_sqlalchemys(connection, self._execute, error) from error
        finally:
            cursor.close()

    def _ensure(self, connection: Connection) -> None:
        known: set[str] = connection.info.setdefault(_PREPARED, set())
        if self.name not in known:
            connection.exec_driver_sql(self._prepare)
            known.add(self.name)


def _as_sqlalchemys(connection: Connection, statement: str, error: psycopg2.Error) -> Exception:
    """The error that SQLAlchemy makes of a driver's; a connection that it broke is done with."""
    dialect = connection.dialect
    broken = dialect.is_disconnect(error, connection.connection.dbapi_connection, None)
    wrapped = DBAPIError.instance(
        statement,
        None,
        error,
        psycopg2.Error,
        hide_parameters=True,
        connection_invalidated=broken,
        dialect=dialect,
    )
    if broken:
        connection.invalidate(error)
    return cast(Exception, wrapped)


def json_text(value: Any) -> str:
    """The JSON of a value, as PostgreSQL takes it."""
    return orjson.dumps(value).decode()


def array(values: Iterable[Any]) -> str:
    """PostgreSQL's text form of a one-dimensional array of ids, numbers, booleans and texts; None is NULL."""
    return "{" + ",".join([_element(value) for value in values]) + "}"


def _element(value: Any) -> str:
    if value is None:
        return "NULL"
    if type(value) is str:
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return value.hex if type(value) is UUID else str(value)


# The same for values of one known type, in a fraction of the time.


def _ids(values: Iterable[UUID | str | None]) -> str:
    texts = [
        f"{value.int:032x}" if type(value) is UUID else "NULL" if value is None else str(value)
        for value in values
    ]
    return "{" + ",".join(texts) + "}"


def _texts(values: Iterable[str | None]) -> str:
    texts = [
        "NULL" if value is None else _element(value) if '"' in value or "\\" in value else f'"{value}"'
        for value in values
    ]
    return "{" + ",".join(texts) + "}"


def _plain(values: Iterable[object]) -> str:
    return "{" + ",".join(["NULL" if value is None else str(value) for value in values]) + "}"


_ARRAYS: Final[dict[str, Callable[[Iterable[Any]], str]]] = {
    "uuid[]": _ids,
    "text[]": _texts,
    "int[]": _plain,
    "bigint[]": _plain,
    "float[]": _plain,
    "numeric[]": _plain,
    "bool[]": _plain,
}
