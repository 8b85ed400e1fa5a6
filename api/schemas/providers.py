"""The shapes of requests and answers about providers and routing rules."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictBool, StrictInt

from api.fields import Body, Cost, Out, Page, PageSize, Region, Text, Timestamp, TimeZone, example
from api.schemas.domains import domain_name
from api.schemas.posting import Policy, SingleLine
from db.repositories.providers import QuotaLimits

_INT4 = 2_147_483_647
_REGION = (
    "Where it keeps emails, as you know it: emails with `routing.residency` go only where this is the same."
)


Name = Annotated[SingleLine, Field(min_length=1, max_length=100)]
Currency = Annotated[Text, Field(pattern=r"^[A-Z]{3}$")]
Settings = Annotated[dict[Text, Any], Field(max_length=50)]
Credentials = Annotated[dict[Text, Text], Field(max_length=20, json_schema_extra={"writeOnly": True})]


class Quota(Body):
    """Limits, in recipients (a day, a month, any 24 hours) and emails (a second). Null or left out: no limit."""

    daily: Annotated[StrictInt, Field(ge=0, le=_INT4)] | None = None
    monthly: Annotated[StrictInt, Field(ge=0, le=_INT4)] | None = None
    rolling_24h: Annotated[StrictInt, Field(ge=0, le=_INT4)] | None = None
    rate_per_second: float | None = Field(
        default=None, ge=0.001, le=1_000_000, strict=True, allow_inf_nan=False
    )
    time_zone: TimeZone = Field(
        default="UTC", description="Where days and months begin: a name of the IANA database."
    )

    def value(self) -> QuotaLimits:
        return QuotaLimits(self.daily, self.monthly, self.rate_per_second, self.time_zone, self.rolling_24h)


class ProviderCreate(Body):
    """An account at an email provider. `GET /v1/provider-kinds` says what `config` and `credentials` hold."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "sendgrid-main",
                    "kind": "sendgrid",
                    "config": {},
                    "credentials": {"api_key": "SG.your-key"},
                    "base_cost": "0.0004",
                    "quota": {"daily": 10000, "time_zone": "Europe/Berlin"},
                }
            ]
        }
    )

    name: Name
    kind: Annotated[Text, Field(min_length=1, max_length=40)]
    config: Settings = Field(default={})
    credentials: Credentials = Field(default={}, description="Stored encrypted, never shown again.")
    base_cost: Cost = Field(description="What one recipient costs.")
    currency: Currency = "USD"
    region: Region | None = Field(default=None, description=_REGION)
    quota: Quota = Quota()
    shared: StrictBool = Field(default=False, description="For all users; only operators may say so.")


class ProviderChange(Body):
    """What to change; what is left out stays. `config`, `credentials` and `quota` are replaced as a whole."""

    model_config = example({"base_cost": "0.0008", "quota": {"daily": 50_000}})

    # The defaults only stand for "left out" and are never read: `model_fields_set` tells what was given.
    name: Name = Field(default_factory=str)
    config: Settings = Field(default_factory=dict)
    credentials: Credentials = Field(default_factory=dict)
    base_cost: Cost = Field(default_factory=Decimal)
    currency: Currency = Field(default_factory=str)
    region: Region | None = Field(default=None, description=_REGION)
    quota: Quota = Field(default_factory=Quota)
    status: StrictBool = Field(default_factory=bool, description="Whether it is used; as pause and resume.")


class ProviderPath(BaseModel):
    provider_id: UUID = Field(description="The provider's id.")


class PageQuery(Body):
    limit: PageSize = 25
    cursor: str | None = Field(
        default=None, max_length=100, description="The next_cursor of the page before."
    )


class QuotaOut(Out):
    """Limits and what is used of them. Use is counted where there is a limit."""

    daily: int | None
    monthly: int | None
    rolling_24h: int | None
    rate_per_second: float | None
    time_zone: str
    used_today: int
    used_this_month: int
    used_rolling_24h: int
    resets_at: Timestamp | None


class ProviderOut(Out):
    """A provider account. Its credentials are never shown."""

    id: UUID
    name: str
    kind: str
    shared: bool
    config: dict[str, Any]
    base_cost: Cost
    currency: str
    region: str | None
    status: bool = Field(description="Whether it is used: false while paused.")
    reliability_score: float
    quota: QuotaOut
    version: int
    created_at: Timestamp
    updated_at: Timestamp


class ProviderPage(Page[ProviderOut]):
    """Providers, newest first."""


class CheckFailure(Out):
    code: str
    detail: str


class IdentityOut(Out):
    name: str = Field(description="A domain or an address that the account sends from.")
    verified: bool


class AllowanceOut(Out):
    limit: int | None = Field(description="Recipients in any `hours`; null: no limit.")
    used: int
    left: int | None
    hours: int


class ProviderTest(Out):
    """What a real connection to the provider, with its credentials, came to. Nothing was sent.

    What a provider does not tell is null.
    """

    ok: bool
    latency_ms: float
    error: CheckFailure | None = None
    sender_identities: list[IdentityOut] | None = None
    allowance: AllowanceOut | None = None
    rate_per_second: float | None = None
    notes: list[str] = Field(default_factory=list)


class KindOut(Out):
    """A kind of provider: what it is configured with, and what it can express."""

    name: str
    title: str
    config_schema: dict[str, Any]
    credentials_schema: dict[str, Any]
    capabilities: dict[str, Any]
    webhook_secret_schema: dict[str, Any] | None = Field(
        description="What proves its events (`PUT /v1/providers/{id}/webhook`); null: it tells nothing later."
    )


class KindList(Out):
    data: list[KindOut]
    has_more: Literal[False] = False
    next_cursor: None = None


ProviderRef = Annotated[Text, Field(min_length=1, max_length=100, description="A provider's id or name.")]
RuleDomain = Annotated[Text, Field(max_length=253), AfterValidator(domain_name)]
Priority = Annotated[StrictInt, Field(ge=0, le=1_000_000, description="The lowest number wins.")]
Fallbacks = Annotated[list[ProviderRef], Field(max_length=50, description="In the order they are tried.")]
EmailType = Annotated[
    Annotated[Text, Field(min_length=1, max_length=50)] | None,
    Field(description="A declared email type; null: any."),
]
SenderDomain = Annotated[
    RuleDomain | None,
    Field(description="What stands behind the @ of the sender, not its subdomains; null: any."),
]
RecipientDomain = Annotated[
    RuleDomain | None,
    Field(
        description="Where all recipients are, those of cc and bcc too, not its subdomains; null: anywhere."
    ),
]
RuleTag = Annotated[
    Annotated[SingleLine, Field(min_length=1, max_length=128)] | None,
    Field(description="One of the email's tags; null: any, or none."),
]
RuleUser = Annotated[
    UUID | None,
    Field(
        description="Whose emails a shared rule is for; null: everybody's. Your own rules are for your emails."
    ),
]
CatchAll = Annotated[
    StrictBool, Field(description="For all emails, whatever they are: needed where no condition is given.")
]
RulePolicy = Annotated[
    Policy | None,
    Field(
        description="What is weighed most among these providers, in place of their order and of what the email's type "
        "says; the email's own policy goes before. Null: in order."
    ),
]


class RuleReplace(Body):
    """For emails that all conditions fit: the provider to use, and those to try next."""

    model_config = example(
        {
            "email_type": "transactional",
            "default_provider": "sendgrid-main",
            "fallback_providers": ["smtp-relay"],
            "priority": 1,
        },
        {
            "tag": "invoice",
            "recipient_domain": "gmail.com",
            "default_provider": "smtp-relay",
            "fallback_providers": ["sendgrid-main"],
            "policy": "most_reliable",
        },
    )

    email_type: EmailType = None
    sender_domain: SenderDomain = None
    recipient_domain: RecipientDomain = None
    tag: RuleTag = None
    user_id: RuleUser = None
    catch_all: CatchAll = False
    default_provider: ProviderRef
    fallback_providers: Fallbacks = Field(default=[])
    policy: RulePolicy = None
    priority: Priority = 1


class RuleCreate(RuleReplace):
    shared: StrictBool = Field(default=False, description="For all users; only operators may say so.")


class RuleChange(Body):
    """What to change; what is left out stays."""

    model_config = example(
        {"fallback_providers": ["ses"], "priority": 10}, {"tag": None, "policy": "cheapest"}
    )

    # As in ProviderChange, the defaults are never read.
    email_type: EmailType = None
    sender_domain: SenderDomain = None
    recipient_domain: RecipientDomain = None
    tag: RuleTag = None
    user_id: RuleUser = None
    catch_all: CatchAll = False
    default_provider: ProviderRef = Field(default_factory=str)
    fallback_providers: Fallbacks = Field(default_factory=list)
    policy: RulePolicy = None
    priority: Priority = Field(default_factory=int)


class RulePath(BaseModel):
    rule_id: UUID = Field(description="The rule's id.")


class ProviderNamed(Out):
    id: UUID
    name: str


class RuleOut(Out):
    id: UUID
    email_type: str | None
    sender_domain: str | None
    recipient_domain: str | None
    tag: str | None
    user_id: UUID | None = Field(
        description="Whose emails a shared rule is for; null: it is for no one alone."
    )
    catch_all: bool = Field(description="Whether it has no condition.")
    default_provider: ProviderNamed
    fallback_providers: list[ProviderNamed]
    policy: Policy | None
    priority: int
    shared: bool
    created_at: Timestamp


class RulePage(Page[RuleOut]):
    """Routing rules, newest first."""
