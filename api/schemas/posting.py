"""An email as it is posted.

Checks across fields look at those validated before (`info.data`), so that they too are said together with
the errors of other fields.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    ValidationInfo,
    field_validator,
)
from pydantic_core import PydanticCustomError

from api.addresses import Mailbox, SenderMailbox
from api.deps import Limits
from api.fields import Body, Cost, Instant, Region, Text
from api.schemas.attachments import AttachmentIn
from domain.files import MOST_FILES
from domain.headers import MAX_VALUE, header_problem, value_problem
from domain.intake import Draft
from domain.message import (
    Address,
    Envelope,
    Message,
    OnUnknown,
    Recipient,
    RecipientKind,
    RoutingWishes,
    Tracking,
)
from domain.templates import Wanted

MAX_HEADERS = 50
MAX_TAGS = 10
MAX_METADATA = 20

Policy = Literal["cheapest", "balanced", "most_reliable"]
ProviderName = Annotated[Text, Field(min_length=1, max_length=100)]


def _single_line(text: str) -> str:
    if (problem := value_problem(text)) is not None:
        raise PydanticCustomError("header_value", "{problem}", {"problem": problem})
    return text


def _header_name(name: str) -> str:
    if (problem := header_problem(name, "")) is not None:
        raise PydanticCustomError("header_name", "{problem}", {"problem": problem})
    return name


SingleLine = Annotated[Text, AfterValidator(_single_line)]
HeaderName = Annotated[Text, AfterValidator(_header_name)]


class Routing(Body):
    """Limits on the choice of the provider. All hold together."""

    pinned: list[ProviderName] = Field(
        default_factory=list, max_length=50, description="Names of the only providers that may be used."
    )
    excluded: list[ProviderName] = Field(
        default_factory=list, max_length=50, description="Names of providers that may not be used."
    )
    max_cost: Cost | None = Field(
        default=None, description="The most that one recipient may cost, in the currency of the prices."
    )

    policy: Policy | None = Field(
        default=None, description="What the choice weighs most, in place of what the email's type says."
    )
    residency: Region | None = Field(
        default=None,
        description="Only providers whose `region` is this one, whatever fails: there it waits, or ends.",
    )

    @field_validator("excluded")
    @classmethod
    def _apart(cls, excluded: list[str], info: ValidationInfo) -> list[str]:
        both = sorted(set(excluded) & set(info.data.get("pinned", ())))
        if both:
            raise PydanticCustomError("conflict", "pinned and excluded: {names}", {"names": ", ".join(both)})
        return excluded

    def value(self) -> RoutingWishes:
        return RoutingWishes(
            frozenset(self.pinned), frozenset(self.excluded), self.max_cost, self.policy, self.residency
        )


class Track(Body):
    """Whether the email's html may be rewritten to notice opens and clicks: by this service where MAILMUX_PUBLIC_URL is
    set, else by the provider. Left out: as the provider's account is set.
    """

    opens: StrictBool | None = None
    clicks: StrictBool | None = None


_ANY_ROUTE, _AS_SET = Routing(), Track()


class EmailCreate(Body):
    """One email that all of `to`, `cc` and `bcc` receive. At least one of `text` and `html` is given,
    or a `template`.

    An address is "ada@example.com", "Ada Lovelace <ada@example.com>" or {"email": …, "name": …}. Nobody may be
    named twice among the recipients.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "from": "Shop <shop@example.com>",
                    "to": ["Ada Lovelace <ada@example.com>"],
                    "subject": "Your order",
                    "text": "It is on its way.",
                }
            ]
        }
    )

    sender: SenderMailbox = Field(alias="from")
    to: list[Mailbox] = Field(min_length=1)
    cc: list[Mailbox] = Field(default_factory=list)
    bcc: list[Mailbox] = Field(default_factory=list)
    reply_to: list[SenderMailbox] = Field(default_factory=list, max_length=25)
    template: Text | None = Field(
        default=None,
        min_length=1,
        max_length=100,
        description="Name or id of a template that gives subject, text and html; leave those out then.",
    )
    template_version: int | None = Field(
        default=None, ge=1, le=2**31 - 1, strict=True, description="Left out: the published one."
    )
    variables: dict[str, Any] | None = Field(
        default=None,
        description="What the template is rendered with. Those it needs and misses are all named.",
    )
    subject: Annotated[SingleLine, Field(min_length=1, max_length=MAX_VALUE)] | None = Field(
        default=None, validate_default=True
    )
    text: Text | None = Field(default=None, min_length=1)
    html: Text | None = Field(default=None, min_length=1, validate_default=True)
    headers: dict[HeaderName, SingleLine] = Field(
        default_factory=dict,
        max_length=MAX_HEADERS,
        description="More header fields, by name. Those that the service sets are refused.",
    )
    attachments: list[AttachmentIn] = Field(
        default_factory=list, max_length=MOST_FILES, description="Files, inline images among them."
    )
    tags: list[Annotated[SingleLine, Field(min_length=1, max_length=128)]] = Field(
        default_factory=list, max_length=MAX_TAGS
    )
    metadata: dict[
        Annotated[Text, Field(min_length=1, max_length=64)], Annotated[Text, Field(max_length=500)]
    ] = Field(default_factory=dict, max_length=MAX_METADATA)
    email_type: Text = Field(
        default="transactional", min_length=1, max_length=50, description="A declared email type."
    )
    campaign_id: UUID | None = Field(default=None, description="The campaign that it belongs to.")
    send_at: Instant | None = Field(default=None, description="When to send it, at most a year ahead.")
    expires_at: Instant | None = Field(default=None, description="Do not send it after this.")
    on_unknown: Literal["hold", "resend"] | None = Field(
        default=None,
        description="What to do when nobody can say whether a provider took it. Left out: as its type says.",
    )
    routing: Routing = Field(default_factory=lambda: _ANY_ROUTE)  # shared: nobody changes a default
    track: Track = Field(default_factory=lambda: _AS_SET)

    @field_validator("to", "cc", "bcc")
    @classmethod
    def _check_recipients(cls, given: list[Address], info: ValidationInfo) -> list[Address]:
        earlier = [a for name in ("to", "cc", "bcc") for a in info.data.get(name, ())]
        limit = info.context.max_recipients if isinstance(info.context, Limits) else Limits().max_recipients
        if len(earlier) + len(given) > limit:
            raise PydanticCustomError(
                "too_many_recipients", "to, cc and bcc have more than {limit} recipients", {"limit": limit}
            )
        seen = {a.email.lower() for a in earlier}
        for index, address in enumerate(given):
            if address.email.lower() in seen:
                raise PydanticCustomError(
                    "repeated_recipient",
                    "the entry at {index} names a recipient that was named before",
                    {"index": index},
                )
            seen.add(address.email.lower())
        return given

    @field_validator("template_version", "variables")
    @classmethod
    def _of_a_template(cls, given: Any, info: ValidationInfo) -> Any:
        if given is not None and "template" in info.data and info.data["template"] is None:
            raise PydanticCustomError("conflict", "this is of use with a template only")
        return given

    @field_validator("subject")
    @classmethod
    def _some_subject(cls, subject: str | None, info: ValidationInfo) -> str | None:
        data = info.data
        if subject is None and "template" in data and data["template"] is None:
            raise PydanticCustomError("missing", "Field required")
        return subject

    @field_validator("subject", "text", "html")
    @classmethod
    def _not_beside_a_template(cls, given: str | None, info: ValidationInfo) -> str | None:
        if given is not None and info.data.get("template") is not None:
            raise PydanticCustomError("conflict", "the template gives it: leave it out")
        return given

    @field_validator("html")
    @classmethod
    def _some_body(cls, html: str | None, info: ValidationInfo) -> str | None:
        data = info.data
        if html is None and "text" in data and data["text"] is None and data.get("template", "") is None:
            raise PydanticCustomError("missing", "give text, html or both")
        return html

    @field_validator("attachments")
    @classmethod
    def _names_apart(cls, files: list[AttachmentIn]) -> list[AttachmentIn]:
        names = [file.content_id for file in files if file.content_id is not None]
        if len(set(names)) < len(names):
            raise PydanticCustomError("repeated", "two attachments have the same content_id")
        return files

    @field_validator("tags")
    @classmethod
    def _no_repeats(cls, tags: list[str]) -> list[str]:
        if len(set(tags)) != len(tags):
            raise PydanticCustomError("repeated", "a tag is there more than once")
        return tags

    @field_validator("expires_at")
    @classmethod
    def _after_sending(cls, expires_at: datetime | None, info: ValidationInfo) -> datetime | None:
        send_at = info.data.get("send_at")
        if expires_at is not None and send_at is not None and expires_at <= send_at:
            raise PydanticCustomError("order", "expires_at must lie after send_at")
        return expires_at

    @field_validator("headers")
    @classmethod
    def _once_each(cls, headers: dict[str, str]) -> dict[str, str]:
        if len({name.lower() for name in headers}) != len(headers):
            raise PydanticCustomError("repeated", "a header is there more than once (case does not matter)")
        return headers

    def draft(self, item: int = 0) -> Draft:
        """The value that intake takes. `item`: the email's place in its request."""
        recipients = [
            Recipient(address, kind)
            for kind, addresses in (
                (RecipientKind.TO, self.to),
                (RecipientKind.CC, self.cc),
                (RecipientKind.BCC, self.bcc),
            )
            for address in addresses
        ]
        return Draft(
            message=Message(self.subject or "", self.text, self.html, tuple(self.headers.items())),
            envelope=Envelope(self.sender, tuple(recipients), tuple(self.reply_to)),
            email_type=self.email_type,
            on_unknown=None if self.on_unknown is None else OnUnknown(self.on_unknown),
            tags=tuple(self.tags),
            metadata=self.metadata,
            tracking=Tracking(self.track.opens, self.track.clicks),
            wishes=self.routing.value(),
            send_at=self.send_at,
            expires_at=self.expires_at,
            item=item,
            campaign_id=self.campaign_id,
            template=None
            if self.template is None
            else Wanted(self.template, self.template_version, self.variables or {}),
            wanted=tuple(file.value() for file in self.attachments),
        )


class SendQuery(Body):
    dry_run: bool = Field(default=False, description="Say what would be sent, and by whom; accept nothing.")


IdempotencyKey = Annotated[str, Field(min_length=1, max_length=256, pattern=r"^[\x21-\x7e]+$")]


class SendHeaders(BaseModel):
    """Header fields of a request that sends."""

    idempotency_key: IdempotencyKey | None = Field(
        default=None,
        alias="Idempotency-Key",
        description="Makes it safe to ask again: the same key and body give the same answer, and one email.",
    )


class EmailPath(BaseModel):
    email_id: UUID = Field(description="The email's id.")
