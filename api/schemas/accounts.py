"""API keys, and the users whose they are."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from email_validator import EmailNotValidError, validate_email
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

from api.fields import Body, Instant, Out, Page, Text, Timestamp
from api.keys import SCOPES


def _scope(name: str) -> str:
    if name not in SCOPES:
        raise PydanticCustomError("scope", "there is no such scope")
    return name


def _email(text: str) -> str:
    try:
        return validate_email(text.strip(), check_deliverability=False).normalized
    except EmailNotValidError as error:
        raise PydanticCustomError("address", "not an email address: {why}", {"why": str(error)}) from None


Scopes = Annotated[
    list[Annotated[Text, AfterValidator(_scope), Field(json_schema_extra={"enum": list(SCOPES)})]],
    Field(min_length=1, max_length=len(SCOPES)),
]
Role = Literal["member", "operator"]


class KeyCreate(Body):
    """A key for the caller. It may do no more than the key that makes it."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"name": "checkout", "scopes": ["emails:send", "emails:read"]}]}
    )

    name: Text = Field(default="", max_length=100, description="What it is for.")
    scopes: Scopes
    expires_at: Instant | None = Field(default=None, description="Left out: it stands until it is revoked.")


class KeyRotate(Body):
    overlap_hours: float = Field(
        default=24, ge=0, le=720, description="So long the former key still stands; 0: it is revoked at once."
    )


class KeyPath(BaseModel):
    key_id: UUID = Field(description="The key's id.")


class KeyOut(Out):
    """What is known of a key; never the key. `public_id` is the part of it that may be shown."""

    id: UUID
    public_id: str
    name: str
    scopes: list[str]
    created_at: Timestamp
    expires_at: Timestamp | None
    revoked_at: Timestamp | None


class KeyMade(KeyOut):
    """`key` is shown this once."""

    key: str = Field(examples=["mx_live_kdMAS1NDANlt_…"])


class KeyPage(Page[KeyOut]):
    """Keys, newest first."""


class UserCreate(Body):
    """Somebody who may use the service."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"email": "ada@example.com"}]})

    email: Annotated[Text, Field(max_length=320), AfterValidator(_email)]
    role: Role = "member"


class UserChange(Body):
    role: Role


class UserPath(BaseModel):
    user_id: UUID = Field(description="The user's id.")


class UserOut(Out):
    id: UUID
    email: str
    role: Role
    created_at: Timestamp


class UserMade(UserOut):
    """`key`: a first key of every scope, shown this once."""

    key: str


class UserPage(Page[UserOut]):
    """Users, newest first."""
