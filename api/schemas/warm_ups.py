"""The shapes of requests and answers about sender domains that warm up at a provider."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field, StrictInt

from api.fields import Body, Out, Text, Timestamp
from api.schemas.domains import domain_name

# As providers advise for a domain that nobody knows: from fifty a day to a hundred thousand within two weeks.
USUAL = (50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 30_000, 40_000, 60_000, 80_000, 100_000)


class WarmUpEnd(Body):
    model_config = ConfigDict(json_schema_extra={"examples": [{"domain": "news.example.com"}]})

    domain: Annotated[Text, AfterValidator(domain_name)] = Field(
        max_length=253, description="The sender domain."
    )


class WarmUpStart(WarmUpEnd):
    """How many recipients each day of 24 hours may have, from now on; after the last one the domain is warm."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"domain": "news.example.com", "daily": [50, 100, 500, 2000, 10000]}]}
    )

    daily: Annotated[
        list[Annotated[StrictInt, Field(ge=0, le=1_000_000_000)]], Field(min_length=1, max_length=90)
    ] = Field(default=list(USUAL), description="Left out: two weeks, from 50 to 100,000 a day.")


class WarmUpOut(Out):
    """A sender domain at a provider."""

    domain: str
    daily: list[int]
    started_at: Timestamp
    day: int = Field(description="From 1; beyond the last one it is warm.")
    state: Literal["warming", "warm"]
    used_today: int
    left_today: int | None = Field(description="Recipients; null: no limit any more.")
    day_ends: Timestamp | None


class WarmUpList(Out):
    data: list[WarmUpOut]
    has_more: Literal[False] = False
    next_cursor: None = None
