"""The kinds of fields that requests and answers are made of."""

from __future__ import annotations

import functools
import re
import zoneinfo
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, Generic, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StrictStr,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

from api.payload import text_problem

_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)\Z", re.ASCII)
_COST = r"^[0-9]{1,6}(\.[0-9]{1,8})?$"


def example(*bodies: dict[str, Any]) -> ConfigDict:
    """The `model_config` of a model that the document shows with these examples."""
    return ConfigDict(json_schema_extra={"examples": list(bodies)})


class Body(BaseModel):
    """What a request carries. Unknown fields are errors."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class Out(BaseModel):
    """What an answer carries."""

    model_config = ConfigDict(frozen=True)


def _check_text(text: str) -> str:
    if (problem := text_problem(text)) is not None:
        raise PydanticCustomError("not_text", "{problem}", {"problem": problem})
    return text


def _read_instant(value: Any) -> Any:
    """RFC 3339 with an offset, to the microsecond, in UTC."""
    if value is None or isinstance(value, datetime):
        return value
    if not isinstance(value, str) or not _RFC3339.match(value):
        raise PydanticCustomError(
            "instant", "a time is written by RFC 3339 with an offset, as 2030-01-31T09:30:00+01:00"
        )
    try:
        return datetime.fromisoformat(value.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        raise PydanticCustomError("instant", "there is no such time") from None


def _read_cost(value: Any) -> Any:
    if value is None or isinstance(value, Decimal):
        return value
    if not isinstance(value, str) or not re.match(_COST, value, re.ASCII) or value.endswith("\n"):
        raise PydanticCustomError(
            "cost", 'an amount is a decimal text as "0.0004", of at most 6 and 8 digits around the point'
        )
    return Decimal(value)


Region = Annotated[StrictStr, Field(pattern=r"^[a-z][a-z0-9-]{0,19}$", examples=["eu"])]


_time_zones = functools.cache(zoneinfo.available_timezones)


def _time_zone(name: str) -> str:
    # Only whole names of the database: a path or an abbreviation may mean something else elsewhere.
    if name != "UTC" and name not in _time_zones():
        raise PydanticCustomError("time_zone", "no time zone of the IANA database has this name")
    return name


def show_cost(amount: Decimal) -> str:
    """A decimal text without an exponent and without trailing zeros."""
    return format(amount.normalize(), "f") if amount else "0"


Text = Annotated[StrictStr, AfterValidator(_check_text)]
Instant = Annotated[
    datetime,
    BeforeValidator(_read_instant),
    WithJsonSchema({"type": "string", "format": "date-time", "examples": ["2030-01-31T09:30:00+01:00"]}),
]
Timestamp = Annotated[datetime, WithJsonSchema({"type": "string", "format": "date-time"})]
Cost = Annotated[
    Decimal,
    BeforeValidator(_read_cost),
    PlainSerializer(show_cost, return_type=str),
    WithJsonSchema({"type": "string", "pattern": _COST, "examples": ["0.0004"]}),
]
Amount = Annotated[
    Decimal,
    PlainSerializer(show_cost, return_type=str),
    WithJsonSchema({"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?$", "examples": ["12.3456"]}),
]
"""A sum of money in an answer, of any size."""
TimeZone = Annotated[Text, Field(max_length=64), AfterValidator(_time_zone)]
"""A name of the IANA database."""

Item = TypeVar("Item")


class Page(Out, Generic[Item]):
    """One page of a list. `next_cursor` asks for the next one; it is null on the last."""

    data: list[Item]
    has_more: bool
    next_cursor: str | None = None


PageSize = Annotated[int, Field(ge=1, le=100, description="How many entries at most.")]
