"""Webhooks that Mailmux calls."""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import urlsplit
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictBool, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from api.fields import Body, Instant, Out, Page, PageSize, Text, Timestamp, example
from domain.webhooks import TYPES

MOST_REPLAYED = 10_000


def _url(url: str) -> str:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise PydanticCustomError("url", "this is no address") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise PydanticCustomError("url", "an address begins with https://, and names a host")
    if not url.isascii() or any(c <= " " or c in "\\<>\"'" for c in url) or parts.fragment:
        raise PydanticCustomError("url", "an address is ASCII, without blanks, quotes and a fragment")
    if parts.username is not None or parts.password is not None:
        raise PydanticCustomError(
            "url", "an address without user and password: the signature proves who calls"
        )
    return url


def _type(name: str) -> str:
    if name not in TYPES:
        raise PydanticCustomError("webhook_type", "there is no such type")
    return name


Url = Annotated[Text, Field(max_length=2000), AfterValidator(_url)]
Types = Annotated[
    list[Annotated[Text, AfterValidator(_type), Field(json_schema_extra={"enum": list(TYPES)})]],
    Field(max_length=len(TYPES)),
]
State = Literal["waiting", "told", "failed"]


class EndpointCreate(Body):
    """An address to be called when something happens to the caller's emails."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"url": "https://app.example.com/mail-events", "types": ["email.delivered", "email.bounced"]}
            ]
        }
    )

    url: Url = Field(description="https, except where an operator's receiver is inside the network.")
    types: Types = Field(default=[], description="What to be told of. Empty: everything.")
    description: Text = Field(default="", max_length=200)


class EndpointChange(Body):
    """What is left out stays."""

    model_config = example({"types": ["email.bounced", "email.complained"], "enabled": True})

    url: Url = ""
    types: Types = Field(default=[])
    description: Text = Field(default="", max_length=200)
    enabled: StrictBool = Field(default=True, description="What waits is told once it is enabled again.")


class EndpointRotate(Body):
    model_config = example({"overlap_hours": 24})

    overlap_hours: float = Field(
        default=24, ge=0, le=168, description="So long the former secret signs as well."
    )


class EndpointReplay(Body):
    """What happened in this range is told again."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"since": "2030-01-31T00:00:00Z", "until": "2030-02-01T00:00:00Z", "failed_only": True}
            ]
        }
    )

    since: Instant
    until: Instant = Field(validate_default=True)
    types: Types = Field(default=[], description="Empty: those that the webhook is told of.")
    failed_only: StrictBool = Field(default=False, description="Only what it has not taken.")
    asked_at: Instant | None = Field(
        default=None, description="Of the answer before, where that said has_more: goes on from there."
    )

    @field_validator("until")
    @classmethod
    def _after(cls, until: Instant, info: ValidationInfo) -> Instant:
        since = info.data.get("since")
        if since is not None and until <= since:
            raise PydanticCustomError("range", "until is after since")
        return until


class WebhookPath(BaseModel):
    webhook_id: UUID = Field(description="The webhook's id.")


class MessageQuery(Body):
    state: State | None = None
    limit: PageSize = 25
    cursor: str | None = Field(
        default=None, max_length=100, description="The next_cursor of the page before."
    )


class EndpointOut(Out):
    """A webhook that is called. `disabled_reason`: why it is not."""

    id: UUID
    url: str
    types: list[str]
    description: str
    enabled: bool
    disabled_reason: str | None
    disabled_at: Timestamp | None
    failing_since: Timestamp | None = Field(description="Nothing was taken since then.")
    old_secret_until: Timestamp | None
    created_at: Timestamp
    updated_at: Timestamp


class EndpointMade(EndpointOut):
    """`secret` is shown this once."""

    secret: str = Field(examples=["whsec_5WbX5kEWLlfzsGNjH64I8lOOqUB6e8FH"])


class EndpointPage(Page[EndpointOut]):
    """Webhooks, newest first."""


class MessageQueued(Out):
    """It is told within a second; the message says how that ended."""

    message_id: UUID


class Replayed(Out):
    """`messages`: how many are told again. `has_more`: the range holds more; ask again with `asked_at`."""

    messages: int
    has_more: bool
    asked_at: Timestamp


class MessageOut(Out):
    """Something that a webhook is told. `answer`: the HTTP status of the last try."""

    id: UUID
    type: str
    email_id: UUID | None
    state: State
    tries: int
    next_try_at: Timestamp | None
    created_at: Timestamp
    told_at: Timestamp | None
    answer: int | None
    error: str | None


class MessagePage(Page[MessageOut]):
    """Messages, newest first."""
