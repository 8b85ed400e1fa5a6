"""Who may carry an email, and for each who may not: why, and until when."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from domain.capabilities import Capabilities
from domain.message import Disposition, Submission
from routing.breaker import Admission
from routing.snapshot import BudgetLeft, ProviderSnapshot, QuotaLeft, RuleSnapshot, Snapshot

_SENDER_LOOK = timedelta(minutes=15)  # it may be verified at any time
_PROBE_TIME = timedelta(seconds=1)  # until a probe that is out may have answered
_ENVELOPE_OVERHEAD = 4096  # bytes allowed for headers and boundaries when a size is estimated


class Because(StrEnum):
    """The stable name of a reason for not choosing a provider."""

    PAUSED = "PAUSED"
    FAULTY = "FAULTY"
    RULE = "RULE"
    TYPE = "TYPE"
    NOT_PINNED = "NOT_PINNED"
    EXCLUDED = "EXCLUDED"
    RESIDENCY = "RESIDENCY"
    MAX_COST = "MAX_COST"
    UNSUPPORTED = "UNSUPPORTED"
    SENDER_NOT_VERIFIED = "SENDER_NOT_VERIFIED"
    TRIED = "TRIED"
    QUOTA_DAY = "QUOTA_DAY"
    QUOTA_MONTH = "QUOTA_MONTH"
    QUOTA_24H = "QUOTA_24H"
    WARMING_UP = "WARMING_UP"
    BUDGET = "BUDGET"
    BREAKER_OPEN = "BREAKER_OPEN"
    RATE_LIMITED = "RATE_LIMITED"
    CHEAPER_SOON = "CHEAPER_SOON"


# Only a change of the email itself could lift these; every other reason passes with time or by an operator.
_OF_THE_EMAIL = frozenset(
    {Because.NOT_PINNED, Because.EXCLUDED, Because.RESIDENCY, Because.MAX_COST, Because.UNSUPPORTED}
)


@dataclass(frozen=True, slots=True)
class Exclusion:
    """`retry_at`: when the reason is known to pass, or None. `budget`: the one that is spent."""

    provider_id: UUID
    provider: str
    because: Because
    detail: str
    retry_at: datetime | None = None
    budget: BudgetLeft | None = None

    @property
    def hopeless(self) -> bool:
        return self.because in _OF_THE_EMAIL

    @classmethod
    def while_down(cls, provider: ProviderSnapshot, now: datetime) -> Exclusion:
        """It is being looked after with probes, and this email is none."""
        until = now + _PROBE_TIME
        return cls(provider.id, provider.name, Because.BREAKER_OPEN, "not well; a probe is awaited", until)


def matching_rule(rules: Iterable[RuleSnapshot], submission: Submission) -> RuleSnapshot | None:
    """The one that holds of those that fit (`RuleSnapshot.rank`). None also for test emails: there is one provider for
    them.
    """
    if submission.test:
        return None
    return min((r for r in rules if _fits(r, submission)), key=lambda r: r.rank, default=None)


def _fits(rule: RuleSnapshot, submission: Submission) -> bool:
    envelope = submission.envelope
    return (
        rule.is_for(submission.user_id, submission.email_type)
        and rule.sender_domain in (None, envelope.sender.domain)
        and (rule.tag is None or rule.tag in submission.tags)
        and (
            rule.recipient_domain is None
            or all(r.address.domain == rule.recipient_domain for r in envelope.recipients)
        )
    )


Reason = tuple[Because, str, datetime | None]


def lasting(
    provider: ProviderSnapshot, submission: Submission, rule: RuleSnapshot | None
) -> Exclusion | None:
    """The first reason, in the order of `Because`, that does not pass with time."""
    reason = _configuration(provider, submission, rule) or _email(provider, submission)
    return None if reason is None else Exclusion(provider.id, provider.name, *reason)


def concerns(provider: ProviderSnapshot, submission: Submission) -> bool:
    """Nobody hears of another user's, and a test of any that is not for tests."""
    return provider.test is submission.test and provider.owner in (None, submission.user_id)


def most_bytes(snapshot: Snapshot, submission: Submission) -> int | None:
    """The largest such email that anybody carries who may carry it otherwise; None: no limit is known, or nobody may.

    Whoever carries less is left out of the choice for larger ones, with that as the reason.
    """
    rule, message = matching_rule(snapshot.rules, submission), submission.message
    files = tuple(replace(file, content=b"") for file in message.attachments)
    html = message.html and " "  # whether there is any decides who may carry it
    weightless = replace(submission, message=replace(message, text="", html=html, attachments=files))
    limits = [
        provider.capabilities.max_bytes
        for provider in snapshot.providers
        if concerns(provider, weightless) and lasting(provider, weightless, rule) is None
    ]
    return None if None in limits else max((most for most in limits if most is not None), default=None)


def at_the_moment(
    provider: ProviderSnapshot, submission: Submission, tried: Mapping[UUID, bool], now: datetime
) -> Exclusion | None:
    """The first reason that keeps the provider from carrying the email now.

    `tried`: the providers that have not taken it in this round; true where theirs could not express it.
    """
    if tried.get(provider.id):
        reason: Reason | None = (Because.UNSUPPORTED, "its adapter could not express the email", None)
    else:
        reason = _moment(provider, submission, tried, now)
    return None if reason is None else Exclusion(provider.id, provider.name, *reason)


def _configuration(
    provider: ProviderSnapshot, submission: Submission, rule: RuleSnapshot | None
) -> Reason | None:
    """What an operator or a rule decided."""
    if not provider.active:
        return Because.PAUSED, "paused by an operator", None
    if provider.fault is not None:
        return Because.FAULTY, provider.fault, None
    if rule is not None and provider.id not in rule.providers:
        return Because.RULE, "not named by the routing rule", None
    if not provider.carries(submission.user_id, submission.email_type):
        return Because.TYPE, "not among the providers of the email's type", None
    return None


def _email(provider: ProviderSnapshot, submission: Submission) -> Reason | None:
    """What the email itself rules out, for good. A test email may wish what it will: there is one provider for it."""
    if provider.test:
        return None
    wishes = submission.wishes
    if wishes.pinned and provider.name not in wishes.pinned:
        return Because.NOT_PINNED, "the email is pinned to other providers", None
    if provider.name in wishes.excluded:
        return Because.EXCLUDED, "excluded by the email", None
    if wishes.residency is not None and provider.region != wishes.residency:
        place = "nobody says in which region it is" if provider.region is None else f"in {provider.region}"
        return Because.RESIDENCY, f"{place}; the email may not leave {wishes.residency}", None
    if wishes.max_cost is not None and provider.price > wishes.max_cost:
        dear = f"costs {provider.price:f} per recipient, more than {wishes.max_cost:f}"
        return Because.MAX_COST, dear, None
    if lacking := unsupported(provider.capabilities, submission):
        return Because.UNSUPPORTED, "; ".join(lacking), None
    return None


def _moment(
    provider: ProviderSnapshot, submission: Submission, tried: Mapping[UUID, bool], now: datetime
) -> Reason | None:
    """What passes with time."""
    breaker = provider.breaker
    if provider.refused_senders:
        sender_retry = provider.refused_senders.get(submission.envelope.sender.domain)
        if sender_retry is not None and now < sender_retry:
            until = min(sender_retry, now + _SENDER_LOOK)
            return Because.SENDER_NOT_VERIFIED, "the sender domain is not verified there", until
    if provider.id in tried:
        return Because.TRIED, "already tried in this round", None
    if (spent := _quota_exclusion(provider.quota, submission.recipient_count)) is not None:
        return spent
    warming = provider.warming.get(submission.envelope.sender.domain) if provider.warming else None
    if warming is not None and warming.left < submission.recipient_count and now < warming.ends:
        detail = f"{warming.left} recipients left today, while the sender domain warms up there"
        return Because.WARMING_UP, detail, warming.ends
    if breaker.admission(now) is Admission.SHUT or (breaker.retry_at is not None and provider.probe_taken):
        until = max(breaker.retry_at or now, now + _PROBE_TIME)
        return Because.BREAKER_OPEN, f"not answering: {breaker.cause or 'repeated failures'}", until
    if breaker.throttled(now):
        return Because.RATE_LIMITED, "the provider asked to slow down", breaker.throttled_until
    if provider.rate_free_at is not None and now < provider.rate_free_at:
        return Because.RATE_LIMITED, "its rate per second is spent", provider.rate_free_at
    return None


def _quota_exclusion(quota: QuotaLeft, recipients: int) -> Reason | None:
    if quota.this_month is not None and quota.this_month < recipients:
        return Because.QUOTA_MONTH, f"{max(0, quota.this_month)} recipients left this month", quota.month_ends
    if quota.today is not None and quota.today < recipients:
        return Because.QUOTA_DAY, f"{max(0, quota.today)} recipients left today", quota.day_ends
    if quota.rolling is not None and quota.rolling < recipients:
        return Because.QUOTA_24H, f"{max(0, quota.rolling)} recipients left of 24 hours", quota.rolling_ends
    return None


def beyond_budget(
    provider: ProviderSnapshot, submission: Submission, budgets: Iterable[BudgetLeft]
) -> Exclusion | None:
    """The first budget that has no room for the email by this provider. What costs nothing always has room."""
    cost = provider.price * submission.recipient_count
    for budget in budgets if cost else ():
        if budget.left < cost and budget.covers(submission.user_id, provider.id):
            return Exclusion(provider.id, provider.name, Because.BUDGET, budget.said, budget.ends, budget)
    return None


def unsupported(can: Capabilities, submission: Submission) -> list[str]:
    """What the email needs and the provider cannot express, in words; empty where it can carry it."""
    return [*_too_much(can, submission), *_too_special(can, submission)]


def _too_much(can: Capabilities, submission: Submission) -> list[str]:
    lacking: list[str] = []
    if can.max_recipients is not None and submission.recipient_count > can.max_recipients:
        lacking.append(f"more than {can.max_recipients} recipients")
    if can.max_reply_to is not None and len(submission.envelope.reply_to) > can.max_reply_to:
        lacking.append(f"more than {can.max_reply_to} reply-to addresses")
    if can.max_bytes is not None and estimated_bytes(submission) > can.max_bytes:
        lacking.append(f"larger than {can.max_bytes} bytes")
    if not can.repeated_addresses and submission.recipient_count > 1:
        addresses = [r.address.email.lower() for r in submission.envelope.recipients]
        if len(set(addresses)) < len(addresses):
            lacking.append("an address named twice")
    return lacking


def _too_special(can: Capabilities, submission: Submission) -> list[str]:
    message = submission.message
    lacking: list[str] = []
    if message.headers and not can.custom_headers:
        lacking.append("custom headers")
    if message.attachments and not can.attachments:
        lacking.append("attachments")
    inline = message.attachments and any(a.disposition is Disposition.INLINE for a in message.attachments)
    if inline and not can.inline_images:
        lacking.append("inline images")
    tracking = submission.tracking
    own = tracking.links  # what we do ourselves is not wished of the provider
    # Opens are noticed by an image in the HTML: without HTML they are not, whatever the account does.
    opens = None if (own and own.opens) or (tracking.opens is False and not message.html) else tracking.opens
    if opens is not None and not can.tracking_opens:
        lacking.append("a setting for open tracking per email")
    elif opens is False and not can.tracking_opens_off:
        lacking.append("an email whose opens are not tracked")
    if tracking.clicks is not None and not can.tracking_clicks and not (own and own.clicks):
        lacking.append("a setting for click tracking per email")
    if message.headers and (can.reserved_headers or can.only_headers is not None):
        refused = sorted({name for name, _ in message.headers if not _carries(can, name.lower())})
        if refused:
            lacking.append(f"the headers {', '.join(refused)}")
    return lacking


def _carries(can: Capabilities, header: str) -> bool:
    return header not in can.reserved_headers and (can.only_headers is None or header in can.only_headers)


def estimated_bytes(submission: Submission) -> int:
    """The size on the wire, from above: base64 costs a third and a line end every 57 bytes."""
    message = submission.message
    raw = _utf8_bytes(message.text or "") + _utf8_bytes(message.html or "")
    for attachment in message.attachments:
        raw += len(attachment.content)
    size = encoded_bytes(raw)
    for name, value in message.headers:
        size += len(name) + len(value)
    return size


def encoded_bytes(raw: int) -> int:
    """What so many bytes of bodies and files become on the wire, from above."""
    return raw * 4 // 3 + raw // 28 + _ENVELOPE_OVERHEAD


def _utf8_bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())
