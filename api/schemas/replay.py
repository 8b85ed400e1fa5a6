"""The shapes of requests and answers about replays of past traffic."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, ConfigDict, Field, StrictBool, StrictFloat, StrictInt, model_validator
from pydantic_core import PydanticCustomError

from api.fields import Body, Cost, Instant, Out, Text, Timestamp
from api.schemas.domains import domain_name
from api.schemas.prices import PriceTier, Volume, rising
from routing.pricing import UNLIMITED, PriceList, Tier
from routing.worths import Preference

LONGEST = timedelta(days=92)
MOST_EMAILS, MOST_RECIPIENTS = 20_000, 100
Name = Annotated[Text, Field(min_length=1, max_length=100)]
TypeName = Annotated[Text, Field(min_length=1, max_length=50)]


class ReplayPrices(Body):
    """What a provider would charge, in its account's currency; everything else is as PUT /v1/providers/{id}/prices."""

    provider: Name
    included: Volume = 0
    tiers: Annotated[list[PriceTier], Field(min_length=1, max_length=20), AfterValidator(rising)]
    recipients_before: Volume = Field(default=0, description="Of its month, before the first email.")

    def value(self, currency: str) -> PriceList:
        tiers = tuple(
            Tier(UNLIMITED if t.up_to is None else t.up_to, float(t.per_recipient * 1000)) for t in self.tiers
        )
        return PriceList(tiers, included=self.included, currency=currency)


class LogEntry(Body):
    """One email that another service has sent. What is left out is not known, and not made up."""

    at: Instant
    domain: Annotated[Text, AfterValidator(domain_name)] = Field(
        description="The recipients' domain, as example.com; no address is wanted."
    )
    email_type: TypeName = "transactional"
    provider: Name | None = Field(default=None, description="Who carried it, as the log calls them.")
    outcome: Literal["accepted", "not_sent", "unknown"] = "accepted"
    delivered: StrictBool | None = Field(
        default=None, description="Null: not told. Leave addresses that do not exist out."
    )
    seconds: Annotated[StrictFloat | StrictInt, Field(ge=0, le=3600)] | None = Field(
        default=None, description="That the provider took to accept it."
    )
    cost: Cost | None = Field(
        default=None, description="Of the whole email, in the money that prices are compared in."
    )
    recipients: Annotated[StrictInt, Field(ge=1, le=MOST_RECIPIENTS)] = 1


class ReplayRequest(Body):
    """Which traffic, and what would be different. Traffic is a period of your own (`since`, `until`) or a `log`."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "since": "2030-01-01T00:00:00Z",
                    "until": "2030-01-08T00:00:00Z",
                    "policy": "cheapest",
                    "policies": {"login-code": "most_reliable"},
                    "prices": [{"provider": "ses", "tiers": [{"per_recipient": "0.00009"}]}],
                }
            ]
        }
    )

    since: Instant | None = Field(default=None, description="Emails accepted from here on …")
    until: Instant | None = Field(default=None, description="… and before this, at most 92 days later.")
    email_types: Annotated[list[TypeName], Field(min_length=1, max_length=100)] | None = Field(
        default=None, description="Only these."
    )
    log: Annotated[list[LogEntry], Field(min_length=1, max_length=MOST_EMAILS)] | None = Field(
        default=None, description="What another service has sent, instead of a period."
    )
    known_as: Annotated[dict[Name, Name], Field(max_length=100)] = Field(
        default={}, description="By the log's name of a provider: ours, so that it tells what we know of it."
    )
    sample_of: Annotated[StrictInt, Field(ge=1, le=10**9)] | None = Field(
        default=None, description="How many emails the log's are a sample of."
    )
    limit: Annotated[StrictInt, Field(ge=100, le=MOST_EMAILS)] = Field(
        default=10_000, description="Of more emails than these an even sample is replayed."
    )
    policy: Preference | None = Field(default=None, description="For all types, instead of their own.")
    policies: Annotated[dict[TypeName, Preference], Field(max_length=100)] = Field(
        default={}, description="By email type; goes before `policy`."
    )
    providers: Annotated[list[Name], Field(min_length=1, max_length=100)] | None = Field(
        default=None, description="Names of those that may carry anything. Null: all that are active."
    )
    prices: Annotated[list[ReplayPrices], Field(max_length=100)] = Field(
        default=[], description="Of providers that would charge something else than now."
    )
    rules: StrictBool = Field(default=True, description="Whether the routing rules hold.")
    seed: StrictInt = Field(default=1, ge=0, le=2**31, description="Of chance: equals give equal answers.")

    @model_validator(mode="after")
    def _one_traffic(self) -> Self:
        if (self.log is None) == (self.since is None and self.until is None):
            raise PydanticCustomError("traffic", "give either `since` and `until`, or a `log`")
        if self.log is None:
            if self.since is None or self.until is None:
                raise PydanticCustomError("traffic", "`since` and `until` are given together")
            if not timedelta(0) < self.until - self.since <= LONGEST:
                raise PydanticCustomError("period", "`until` is after `since`, by 92 days at most")
            if self.known_as or self.sample_of is not None:
                raise PydanticCustomError("traffic", "`known_as` and `sample_of` are of a `log`")
        else:
            if self.email_types is not None:
                raise PydanticCustomError("traffic", "`email_types` are of a period")
            times = [entry.at for entry in self.log]
            if max(times) - min(times) > LONGEST:
                raise PydanticCustomError("period", "the log's times lie within 92 days")
            if self.sample_of is not None and self.sample_of < len(self.log):
                raise PydanticCustomError("sample", "a log is no sample of fewer emails than it has")
        return self


class IntervalOut(Out):
    """Of a model's figure: its mean, and where it lies with a chance of nine in ten."""

    mean: float
    low: float
    high: float


class ComparisonOut(Out):
    """`happened` beside `would`, of the same `emails` of those replayed. Null: not known; `unknown` says why."""

    happened: float | None
    would: IntervalOut | None
    difference: IntervalOut | None = Field(description="`would` less `happened`.")
    emails: int
    unknown: str | None


class ShareOut(Out):
    """Of those replayed, what a provider carried, and would have carried on average."""

    provider: str
    emails: int
    cost: Cost
    would_emails: float
    would_cost: Cost


class CellOut(Out):
    """What is known of a provider at a mailbox host, where it would have been the first choice of `emails`."""

    provider: str
    mailbox_group: str
    emails: int
    observations: int
    delivered: IntervalOut | None
    unknown: str | None


class TrafficOut(Out):
    """`found` emails, of which `replayed` are an even sample where these are fewer."""

    since: Timestamp
    until: Timestamp
    found: int
    replayed: int
    sampled: bool


class ReplayOut(Out):
    """What would have come of past emails. Money in what prices are compared in; totals are of all emails found."""

    traffic: TrafficOut
    cost_per_1000: ComparisonOut
    cost: ComparisonOut = Field(description="The whole period's.")
    delivered: ComparisonOut = Field(
        description="Share of the told; addresses that do not exist are left out."
    )
    held: ComparisonOut = Field(description="Share that would be in doubt.")
    seconds: ComparisonOut = Field(description="Mean time that the providers take until one has accepted it.")
    seconds_p95: ComparisonOut
    waited: float = Field(
        description="Mean seconds that emails would wait for a rate, a quota or a better price."
    )
    not_carried: int = Field(description="Of those replayed: nobody could have carried them.")
    monthly_fees: Cost = Field(description="Of the providers that would carry something; in no other figure.")
    providers: list[ShareOut]
    cells: list[CellOut]
    reasons: dict[str, int] = Field(description="How often each reason decided, of those replayed.")
