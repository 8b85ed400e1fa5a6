"""The shapes of questions for statistics, and of their answers."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import AfterValidator, ConfigDict, Field, model_validator
from pydantic.config import JsonDict
from pydantic_core import PydanticCustomError

from api.fields import Amount, Body, Out, Text, Timestamp, TimeZone
from domain.stats import Dimension
from routing.mailbox_groups import GROUPS

MOST_DAYS = 400
Key = Literal["day", "provider", "email_type", "sender_domain", "mailbox_group", "campaign"]
_FILTERS = {
    "email_type": Dimension.EMAIL_TYPE,
    "sender_domain": Dimension.SENDER_DOMAIN,
    "mailbox_group": Dimension.MAILBOX_GROUP,
    "campaign_id": Dimension.CAMPAIGN,
}


def _group(name: str) -> str:
    if name not in GROUPS:
        raise PydanticCustomError("mailbox_group", "is one of {names}", {"names": ", ".join(GROUPS)})
    return name


class StatsFilter(Body):
    """Which emails, and by what they are added up.

    Email type, sender domain, mailbox group and campaign are not combined with one another; each is with the provider
    and the day.
    """

    since: date | None = Field(default=None, description="The first day. Left out: 29 days before `until`.")
    until: date | None = Field(default=None, description="The last day, included. Left out: today.")
    timezone: TimeZone = Field(default="UTC", description="Where days begin: a name of the IANA database.")
    group_by: list[Key] = Field(default=[], max_length=3, description="Given once for each.")
    provider: Annotated[Text, Field(min_length=1, max_length=100)] | None = Field(
        default=None, description="An account's name."
    )
    email_type: Annotated[Text, Field(min_length=1, max_length=50)] | None = None
    sender_domain: Annotated[Text, Field(min_length=1, max_length=253)] | None = None
    mailbox_group: Annotated[Text, AfterValidator(_group)] | None = Field(
        default=None, description="Who runs the mailboxes of the recipient's domain, as `google` or `other`."
    )
    campaign_id: UUID | None = None

    @model_validator(mode="after")
    def _one_dimension(self) -> Self:
        if len(self._dimensions()) > 1:
            names = ", ".join(sorted(self._dimensions()))
            raise PydanticCustomError(
                "dimensions", "only one of these is asked for: {names}", {"names": names}
            )
        return self

    @property
    def dimension(self) -> Dimension:
        return next(iter(self._dimensions()), Dimension.ALL)

    @property
    def value(self) -> str | None:
        """What the dimension is narrowed down to."""
        found = next((v for name in _FILTERS if (v := getattr(self, name)) is not None), None)
        return None if found is None else str(found).lower() if self.sender_domain else str(found)

    def _dimensions(self) -> set[Dimension]:
        grouped = {Dimension(key) for key in self.group_by if key in _FILTERS.values()}
        return grouped | {d for name, d in _FILTERS.items() if getattr(self, name) is not None}


class SingleOut(Out):
    """What the same recipients would have cost by one account alone."""

    provider_id: UUID
    provider: str
    cost: Amount
    currency: str
    within_quota: bool = Field(
        description="Whether its quotas would have let all emails of these months through."
    )


class FiguresOut(Out):
    """Attempts are counted, each once as each thing: an email to several recipients is one.

    All of it counts where the email was given to the provider, however late it was told of.
    """

    sent: int = Field(description="Accepted by a provider.")
    recipients: int = Field(description="Of what was sent.")
    not_sent: int = Field(description="Tries that a provider refused, or that did not reach it.")
    unknown: int = Field(description="Tries that may have been sent.")
    delivered: int
    bounced: int
    hard_bounced: int
    soft_bounced: int = Field(description="And not hard afterwards.")
    complained: int
    opened: int
    clicked: int
    latency_p50_ms: float | None = Field(
        description="How long providers took to accept, within some percent."
    )
    latency_p95_ms: float | None
    spend: dict[str, Amount] = Field(
        description="Estimated, by currency, of what was or may have been sent; monthly fees are apart."
    )
    cheapest: dict[str, Amount] | None = Field(
        description="What the cheapest split among the accounts would have cost within their quotas, by price lists "
        "alone. Null: their quotas are too small."
    )
    single: list[SingleOut]


class GroupOut(FiguresOut):
    """The same of one group. Only what was grouped by is there."""

    day: date | None = None
    provider_id: UUID | None = None
    provider: str | None = None
    email_type: str | None = None
    sender_domain: str | None = None
    mailbox_group: str | None = None
    campaign_id: UUID | None = None
    campaign: str | None = Field(default=None, description="The campaign's name.")


_EXAMPLE: JsonDict = {
    "sent": 9000,
    "recipients": 9000,
    "not_sent": 120,
    "unknown": 0,
    "delivered": 8910,
    "bounced": 54,
    "hard_bounced": 40,
    "soft_bounced": 14,
    "complained": 2,
    "opened": 3105,
    "clicked": 411,
    "latency_p50_ms": 81.3,
    "latency_p95_ms": 240.9,
    "spend": {"USD": "3.6"},
    "cheapest": {"USD": "2.7"},
    "single": [
        {
            "provider_id": "01988b0e-5c0a-7e3c-9d6e-0b6a3d1f2a44",
            "provider": "ses",
            "cost": "0.9",
            "currency": "USD",
            "within_quota": False,
        }
    ],
}


class StatsOut(Out):
    """Statistics of the days `since` to `until` of the time zone."""

    model_config = ConfigDict(
        frozen=True,
        json_schema_extra={
            "examples": [
                {
                    "since": "2026-03-01",
                    "until": "2026-03-30",
                    "timezone": "Europe/Berlin",
                    "group_by": ["mailbox_group"],
                    "added_up_at": "2026-03-30T12:00:05Z",
                    "total": _EXAMPLE,
                    "groups": [{"mailbox_group": "google", **_EXAMPLE}],
                }
            ]
        },
    )

    since: date
    until: date
    timezone: str
    group_by: list[Key]
    added_up_at: Timestamp | None = Field(description="What was known then is in it. Null: nothing yet.")
    total: FiguresOut
    groups: list[GroupOut] = Field(
        description="By day, then the largest first. Empty where nothing is grouped by."
    )
