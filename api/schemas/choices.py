"""Which emails a request means, and what it wants of them."""

from __future__ import annotations

import json
from typing import Annotated, Self
from uuid import UUID

from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    StrictBool,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from api.addresses import check_email
from api.fields import Body, Instant, PageSize, Text, example
from domain.lifecycle import Status
from domain.message import (
    Lane,
)


def _metadata_pair(pair: str) -> str:
    name, colon, value = pair.partition(":")
    if not name or not colon:
        raise PydanticCustomError("metadata_pair", "written as name:value")
    return json.dumps({name: value})


class EmailChoice(Body):
    """Which emails are meant; all that is given holds together."""

    status: Status | None = None
    email_type: Text | None = Field(default=None, max_length=50)
    lane: Lane | None = None
    recipient: Annotated[Text, AfterValidator(check_email)] | None = Field(
        default=None, description="One of to, cc and bcc."
    )
    tag: Text | None = Field(default=None, max_length=128)
    campaign_id: UUID | None = None
    provider: Text | None = Field(
        default=None, max_length=100, description="Name of the provider that accepted it."
    )
    metadata: Annotated[Text, Field(max_length=600), AfterValidator(_metadata_pair)] | None = Field(
        default=None, description="name:value, as its metadata have it."
    )
    created_after: Instant | None = None
    created_before: Instant | None = None


class EmailFilter(EmailChoice):
    """Which emails to list; all given filters hold together. Newest first."""

    limit: PageSize = 25
    cursor: str | None = Field(
        default=None, max_length=100, description="The next_cursor of the page before."
    )


class ManyEmails(EmailChoice):
    """Emails that something is done to. At least one filter is given."""

    dry_run: StrictBool = Field(default=False, description="Only count them.")

    @model_validator(mode="after")
    def _some_filter(self) -> Self:
        if all(getattr(self, name) is None for name in EmailChoice.model_fields):
            raise PydanticCustomError("missing", "give a filter: this is not done to all emails at once")
        return self


class CancelMany(ManyEmails):
    """Which of the emails that still wait to take back. At least one filter is given."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"tag": "spring-sale", "dry_run": True}]})


class RescheduleMany(ManyEmails):
    """Which of the emails whose time has not come to send at another time. At least one filter is given."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"tag": "spring-sale", "send_at": "2030-05-04T08:00:00+02:00"}]}
    )

    send_at: Instant = Field(description="When to send them, at most a year ahead.")


class ResendMany(ManyEmails):
    """Which emails to send again. At least one filter is given; without `status` only those that failed."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"provider": "first", "status": "failed", "dry_run": True}]}
    )

    cursor: str | None = Field(
        default=None, max_length=100, description="The next_cursor of the answer before."
    )

    @field_validator("status")
    @classmethod
    def _ended_badly(cls, status: Status | None) -> Status | None:
        if status not in (None, Status.FAILED, Status.UNKNOWN):
            raise PydanticCustomError("not_resendable", "only failed and unknown emails are sent again")
        return status


class Reschedule(Body):
    model_config = example({"send_at": "2030-01-31T09:30:00+01:00"})

    send_at: Instant = Field(description="When to send it, at most a year ahead.")
