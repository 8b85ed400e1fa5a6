"""API keys, and the users whose they are."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Annotated, Literal
from uuid import UUID

from email_validator import EmailNotValidError, validate_email
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictBool, StrictInt
from pydantic_core import PydanticCustomError

from api.addresses import check_email
from api.fields import Body, Instant, Out, Page, Text, Timestamp, example
from api.keys import SCOPES
from api.schemas.domains import domain_name
from domain.keys import KeyLimits


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


def _sender(text: str) -> str:
    """An address, or a domain."""
    return check_email(text.strip()) if "@" in text else domain_name(text.strip())


def _network(text: str) -> str:
    try:
        return str(ip_network(text.strip()))
    except ValueError:
        raise PydanticCustomError(
            "network", "a network is written as 203.0.113.0/24 or 2001:db8::/32"
        ) from None


Senders = Annotated[
    list[Annotated[Text, Field(max_length=320), AfterValidator(_sender)]],
    Field(max_length=100, description="Addresses, and domains, that it may send from. Empty: any."),
]
Networks = Annotated[
    list[Annotated[Text, Field(max_length=50), AfterValidator(_network)]],
    Field(max_length=100, description="Where it may be used, in CIDR form. Empty: anywhere."),
]
PerMinute = Annotated[StrictInt, Field(ge=1, le=1_000_000)]


class KeyCreate(Body):
    """A key for the caller. It may do no more than the key that makes it, whose limits hold where it has none."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"name": "checkout", "scopes": ["emails:send", "emails:read"]}]}
    )

    name: Text = Field(default="", max_length=100, description="What it is for.")
    scopes: Scopes
    test: StrictBool | None = Field(
        default=None,
        description="Whether it is a test key, whose emails go to nobody. Left out: as the key that makes it.",
    )
    expires_at: Instant | None = Field(
        default=None,
        description="Left out: it stands until it is revoked; made with a key that ends, it ends with that.",
    )
    senders: Senders = Field(default=[])
    networks: Networks = Field(default=[])
    per_minute: PerMinute | None = Field(
        default=None, description="Requests a minute; a batch is one. Null: any."
    )

    def limits(self) -> KeyLimits:
        return KeyLimits(tuple(self.senders), tuple(self.networks), self.per_minute)


class KeyRotate(Body):
    model_config = example({"overlap_hours": 24})

    overlap_hours: float = Field(
        default=24, ge=0, le=720, description="So long the former key still stands; 0: it is revoked at once."
    )
    expires_at: Instant | None = Field(
        default=None,
        description="When the new key ends; null: never. Has to be said where the former one has an end.",
    )


class KeyPath(BaseModel):
    key_id: UUID = Field(description="The key's id.")


class KeyOut(Out):
    """What is known of a key; never the key. `public_id` is the part of it that may be shown."""

    id: UUID
    public_id: str
    name: str
    test: bool = Field(
        description="A test key: its emails go to nobody, and it sees the data of test keys only."
    )
    scopes: list[str]
    created_at: Timestamp
    expires_at: Timestamp | None
    revoked_at: Timestamp | None
    senders: list[str]
    networks: list[str]
    per_minute: int | None


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
    model_config = example({"role": "operator"})

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
