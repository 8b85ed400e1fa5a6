"""The lists of addresses that are not written to any more."""

from __future__ import annotations

import re
from typing import Annotated, Literal
from uuid import UUID

from email_validator import EmailNotValidError, validate_email
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

from api.fields import Body, Instant, Out, Page, PageSize, Text, Timestamp, example
from domain.suppression import ALL, MARKETING, OF_TYPE, Cause, normalized

MOST = 1000  # entries of one request
_TYPE = re.compile(r"type:[A-Za-z0-9][A-Za-z0-9._-]{0,49}\Z")


def read_address(text: str) -> str:
    """In the form in which addresses are compared: lower case, the domain in ASCII."""
    try:
        found = validate_email(text.strip(), check_deliverability=False, allow_quoted_local=True)
    except EmailNotValidError as error:
        raise PydanticCustomError("address", "not an email address: {why}", {"why": str(error)}) from None
    return normalized(f"{found.local_part}@{found.ascii_domain}")


def _scope(text: str) -> str:
    if text not in (ALL, MARKETING) and not _TYPE.match(text):
        raise PydanticCustomError("scope", f"all, marketing, or {OF_TYPE}NAME of an email type")
    return text


Address = Annotated[Text, Field(max_length=320), AfterValidator(read_address)]
Scope = Annotated[Text, AfterValidator(_scope)]
CauseName = Literal[
    "hard_bounce", "soft_bounces", "complaint", "unsubscribed", "provider", "manual", "imported"
]


class SuppressionCreate(Body):
    """An address that is not to be written to."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"address": "ada@example.org", "scope": "marketing"}]}
    )

    address: Address
    scope: Scope = Field(
        default=ALL, description="What stops: all emails, those of marketing, or of one type (type:NAME)."
    )
    cause: CauseName = "manual"
    detail: Annotated[Text, Field(max_length=500)] | None = None
    expires_at: Instant | None = Field(default=None, description="Left out: for good.")


class SuppressionsCreate(Body):
    """Many at once: all are added, or none."""

    model_config = example(
        {"entries": [{"address": "ada@example.org"}, {"address": "bob@example.org", "scope": "marketing"}]}
    )

    entries: list[SuppressionCreate] = Field(min_length=1, max_length=MOST)


class ImportAsked(Body):
    """Which page of the account's lists."""

    model_config = ConfigDict(json_schema_extra={"examples": [{}, {"cursor": "bounces:500"}]})

    cursor: Annotated[Text, Field(max_length=4000)] | None = Field(
        default=None, description="The next_cursor of the answer before. Left out: the first page."
    )


class Imported(Out):
    """`next_cursor`: ask again with it; null: the lists are at their end. `skipped`: what is no address."""

    added: int
    known: int
    skipped: int
    next_cursor: str | None


class SuppressionPath(BaseModel):
    suppression_id: UUID = Field(description="The entry's id.")


class SuppressionFilter(Body):
    """All given filters hold together. Newest first."""

    address: Address | None = None
    scope: Scope | None = None
    cause: CauseName | None = None
    limit: PageSize = 25
    cursor: str | None = Field(
        default=None, max_length=100, description="The next_cursor of the page before."
    )


class SuppressionOut(Out):
    """An entry of the caller's list. `email_id`: the email whose event put it there."""

    id: UUID
    address: str
    scope: str
    cause: Cause
    source: str
    detail: str | None
    email_id: UUID | None
    expires_at: Timestamp | None
    created_at: Timestamp


class SuppressionPage(Page[SuppressionOut]):
    """Entries, newest first."""


class Suppressed(Out):
    """`added`: entries that are new, or hold longer than before. The others were there already."""

    added: int
    known: int
