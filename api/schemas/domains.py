"""Domains that users send from."""

from __future__ import annotations

import re
from typing import Annotated, Literal
from uuid import UUID

import idna
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

from api.fields import Body, Out, Page, Text, Timestamp

_NAME = re.compile(r"(?=.{4,253}\Z)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]\Z")


def domain_name(text: str) -> str:
    """In lower case and, beyond ASCII, by IDNA 2008 with UTS 46, as the sender's address is written."""
    try:
        name = text.lower() if text.isascii() else idna.encode(text, uts46=True).decode("ascii").lower()
    except idna.IDNAError:
        name = ""
    if not _NAME.match(name):
        raise PydanticCustomError("domain", "a domain is written as news.example.com")
    return name


class DomainCreate(Body):
    """A domain to send from."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "news.example.com"}]})

    name: Annotated[Text, AfterValidator(domain_name)] = Field(
        max_length=253, description="What stands behind the @."
    )


class FindingOut(Out):
    """A policy of the domain itself. `ok` null: the DNS did not answer."""

    ok: bool | None
    found: list[str]
    detail: str


class RecordOut(Out):
    """A record that is wanted. `found`: what stands there; `ok` null: the DNS did not answer."""

    kind: Literal["spf", "dkim", "dmarc", "return_path", "ownership", "tracking"]
    type: str
    name: str
    value: str
    priority: int | None
    found: list[str]
    ok: bool | None


class AtProviderOut(Out):
    """The domain at one account. `unverified`: nothing is sent from it there; `unknown`: the provider does not tell,
    and is tried; `unreachable`: it could not be asked, and what was known before holds.
    """

    provider_id: UUID
    provider: str
    state: Literal["verified", "unverified", "unknown", "unreachable"]
    detail: str
    return_path: str | None
    records: list[RecordOut]


class OwnershipOut(Out):
    """Whose the domain is. `proved_at`: since when the record has proved that it is yours, and that of everything
    below it; null: it has not. One that is gone from the DNS is a proof for three more days.
    """

    proved_at: Timestamp | None
    record: RecordOut


class DomainOut(Out):
    """`status`: `pending` until it was checked; `verified` where an account has it verified; else `unverified` where
    one has not; `unknown` where none tells.
    """

    id: UUID
    name: str
    status: Literal["pending", "verified", "unverified", "unknown"]
    ownership: OwnershipOut
    spf: FindingOut | None
    dmarc: FindingOut | None
    providers: list[AtProviderOut]
    checked_at: Timestamp | None
    created_at: Timestamp


class DomainPage(Page[DomainOut]):
    """The caller's domains, newest first."""


class DomainPath(BaseModel):
    domain_id: UUID
