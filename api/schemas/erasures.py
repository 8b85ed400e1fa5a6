"""Erasing everything about a recipient."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from api.fields import Body, Out, Page, Timestamp
from api.schemas.suppressions import Address


class ErasureCreate(Body):
    """Whose traces are to go."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"address": "ada@example.org"}]})

    address: Address
    everybody: bool = Field(
        default=False, description="From what all users keep, not the caller alone. Operators only."
    )


class ErasurePath(BaseModel):
    erasure_id: UUID = Field(description="The erasure's id.")


class ErasureOut(Out):
    """How far it has come. The address is not told: when the work is done, nobody knows it any more."""

    id: UUID
    state: Literal["waiting", "working", "done"]
    everybody: bool
    found: dict[str, int] = Field(
        description="What was taken away or changed, counted by what it was.",
        examples=[{"emails": 3, "contents": 2, "inbound_events": 5, "suppressions_kept": 1}],
    )
    asked_at: Timestamp
    done_at: Timestamp | None


class ErasurePage(Page[ErasureOut]):
    """Erasures, newest first."""
