"""What the service answers. Made by make_shapes.py from /openapi.json: do not change it by hand."""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict

BounceClass = Literal["hard", "soft"]


Cause = Literal["hard_bounce", "soft_bounces", "complaint", "unsubscribed", "provider", "manual", "imported"]


Disposition = Literal["attachment", "inline"]


EventType = Literal[
    "queued",
    "sent",
    "rejected",
    "failed",
    "bounced",
    "deferred",
    "delivered",
    "autoresponded",
    "opened",
    "clicked",
    "complained",
    "unsubscribed",
    "subscribed",
    "unknown",
]


Lane = Literal["transactional", "bulk"]


OnUnknown = Literal["hold", "resend"]


RecipientKind = Literal["to", "cc", "bcc"]


RejectReason = Literal["invalid", "bounced", "timed_out", "blocked", "spam", "unsubscribed", "other"]


Status = Literal[
    "scheduled",
    "queued",
    "sending",
    "deferred",
    "sent",
    "delivered",
    "bounced",
    "complained",
    "unknown",
    "failed",
    "suppressed",
    "cancelled",
    "expired",
]


class AddressOut(TypedDict):
    email: str
    name: str


class Alive(TypedDict):
    status: NotRequired[Literal["ok"]]


class AllowanceOut(TypedDict):
    limit: int | None
    used: int
    left: int | None
    hours: int


class AtMailboxHost(TypedDict):
    """Of the emails to one mailbox host, as far as its events tell."""

    mailbox_group: str
    delivered: float
    sample: float
    alarm: bool


class AtProviderOut(TypedDict):
    """The domain at one account. `unverified`: nothing is sent from it there; `unknown`: the provider does
    not tell, and is tried; `unreachable`: it could not be asked, and what was known before holds."""

    provider_id: str
    provider: str
    state: Literal["verified", "unverified", "unknown", "unreachable"]
    detail: str
    return_path: str | None
    records: list[RecordOut]


class AttachmentOut(TypedDict):
    """A file that is kept. `download_url` holds until `download_expires_at`, for whoever has it."""

    id: str
    filename: str
    content_type: str
    size: int
    sha256: str
    in_use: bool
    created_at: str
    download_url: str
    download_expires_at: str


class AttachmentPage(TypedDict):
    """The caller's files, newest first."""

    data: list[AttachmentOut]
    has_more: bool
    next_cursor: NotRequired[str | None]


class AttemptOut(TypedDict):
    """One try at one provider. `outcome` null: it is under way, or nobody can say how it ended."""

    id: str
    provider_id: str
    provider: str
    outcome: Literal["accepted", "not_sent", "unknown"] | None
    error: str | None
    detail: str | None
    provider_message_id: str | None
    latency_ms: float | None
    estimated_cost: str
    currency: str
    recipients: int
    opened_at: str
    settled_at: str | None
    decision: dict[str, Any]


class AuditOut(TypedDict):
    """One change."""

    id: str
    at: str
    user_id: str | None
    api_key_id: str | None
    by: str
    action: str
    target: str | None
    fields: list[str]
    request_id: str | None


class AuditPage(TypedDict):
    """Changes, newest first."""

    data: list[AuditOut]
    has_more: bool
    next_cursor: NotRequired[str | None]


class BatchAccepted(TypedDict):
    """The accepted emails are committed: each will be delivered, or accounted for."""

    accepted: int
    rejected: int
    results: list[BatchResult]


class BatchDrawn(TypedDict):
    """What sending would answer; nothing was accepted."""

    accepted: int
    rejected: int
    results: list[EntryDrawn]


class BatchResult(TypedDict):
    """What became of one entry: its email's id and status, or what is wrong with it."""

    index: int
    status: Status | Literal["rejected"]
    id: NotRequired[str | None]
    replayed: NotRequired[bool]
    errors: NotRequired[list[ProblemInItem]]


class BudgetOut(TypedDict):
    """A budget, and what is spent of it in the day or month that goes on."""

    id: str
    amount: str
    currency: str
    period: Literal["day", "month"]
    time_zone: str
    provider_id: str | None
    provider: str | None
    user_id: str | None
    imposed: bool
    shared: bool
    spent: str
    left: str
    period_begins: str
    period_ends: str
    alerted_at: str | None
    stopped_at: str | None
    created_at: str
    updated_at: str


class BudgetPage(TypedDict):
    """Budgets, newest first."""

    data: list[BudgetOut]
    has_more: bool
    next_cursor: NotRequired[str | None]


class CampaignMoved(TypedDict):
    """`emails`: how many were taken back, or are due again."""

    id: str
    name: str
    status: Literal["active", "paused", "cancelled"]
    status_reason: str | None
    per_minute: int | None
    spend_cap: str | None
    max_complaints: float
    max_bounces: float
    min_sent: int
    created_at: str
    updated_at: str
    emails: int


class CampaignOut(TypedDict):
    """A campaign. `status_reason`: why it is paused."""

    id: str
    name: str
    status: Literal["active", "paused", "cancelled"]
    status_reason: str | None
    per_minute: int | None
    spend_cap: str | None
    max_complaints: float
    max_bounces: float
    min_sent: int
    created_at: str
    updated_at: str


class CampaignPage(TypedDict):
    """Campaigns, newest first."""

    data: list[CampaignOut]
    has_more: bool
    next_cursor: NotRequired[str | None]


class CampaignShown(TypedDict):
    """A campaign with its progress."""

    id: str
    name: str
    status: Literal["active", "paused", "cancelled"]
    status_reason: str | None
    per_minute: int | None
    spend_cap: str | None
    max_complaints: float
    max_bounces: float
    min_sent: int
    created_at: str
    updated_at: str
    progress: ProgressOut


class CancelledMany(TypedDict):
    """What was taken back. `has_more`: more of them waited than are taken back at once; ask again."""

    cancelled: int
    has_more: bool


class CellOut(TypedDict):
    """What is known of a provider at a mailbox host, where it would have been the first choice of
    `emails`."""

    provider: str
    mailbox_group: str
    emails: int
    observations: int
    delivered: IntervalOut | None
    unknown: str | None


class CheckFailure(TypedDict):
    code: str
    detail: str


class CheckOut(TypedDict):
    """One part. `required` false: reported only, as accepting emails works without it."""

    name: str
    ok: bool
    required: bool
    detail: str


class ComparisonOut(TypedDict):
    """`happened` beside `would`, of the same `emails` of those replayed. Null: not known; `unknown` says
    why."""

    happened: float | None
    would: IntervalOut | None
    difference: IntervalOut | None
    emails: int
    unknown: str | None


class DomainOut(TypedDict):
    """`status`: `pending` until it was checked; `verified` where an account has it verified; else
    `unverified` where one has not; `unknown` where none tells."""

    id: str
    name: str
    status: Literal["pending", "verified", "unverified", "unknown"]
    ownership: OwnershipOut
    spf: FindingOut | None
    dmarc: FindingOut | None
    providers: list[AtProviderOut]
    checked_at: str | None
    created_at: str


class DomainPage(TypedDict):
    """The caller's domains, newest first."""

    data: list[DomainOut]
    has_more: bool
    next_cursor: NotRequired[str | None]


class EmailAccepted(TypedDict):
    """The email is committed: it will be delivered, or accounted for."""

    id: str
    status: Status


class EmailDrawn(TypedDict):
    """An email that was not accepted, as it would be; or the one that was, before, under the Idempotency-
    Key."""

    status: Status
    id: NotRequired[str | None]
    replayed: NotRequired[bool]
    subject: str | None
    text: str | None
    html: str | None
    decision: dict[str, Any] | None


class EmailFile(TypedDict):
    """A file of an email. `GET /v1/attachments/{id}` tells where it can be read, as long as it is kept."""

    id: str
    filename: str
    content_type: str
    size: int
    sha256: str
    disposition: Disposition
    content_id: str | None


# An email, with everything that happened to it.
EmailOut = TypedDict(
    "EmailOut",
    {
        "id": "str",
        "status": "Status",
        "status_reason": "str | None",
        "email_type": "str",
        "lane": "Lane",
        "from": "AddressOut",
        "recipients": "list[RecipientFate]",
        "subject": "str",
        "tags": "list[str]",
        "metadata": "dict[str, str]",
        "provider": "str | None",
        "created_at": "str",
        "send_at": "str | None",
        "expires_at": "str | None",
        "sent_at": "str | None",
        "campaign_id": "str | None",
        "on_unknown": "OnUnknown",
        "resend_of": "str | None",
        "resent_as": "str | None",
        "attachments": "list[EmailFile]",
        "timeline": "list[TimelineEntry]",
        "attempts": "list[AttemptOut]",
        "events": "list[EventOut]",
    },
)


class EmailPage(TypedDict):
    """Emails, newest first."""

    data: list[EmailSummary]
    has_more: bool
    next_cursor: NotRequired[str | None]


# An email, as lists show it.
EmailSummary = TypedDict(
    "EmailSummary",
    {
        "id": "str",
        "status": "Status",
        "status_reason": "str | None",
        "email_type": "str",
        "lane": "Lane",
        "from": "AddressOut",
        "recipients": "list[RecipientOut]",
        "subject": "str",
        "tags": "list[str]",
        "metadata": "dict[str, str]",
        "provider": "str | None",
        "created_at": "str",
        "send_at": "str | None",
        "expires_at": "str | None",
        "sent_at": "str | None",
        "campaign_id": "str | None",
    },
)


class EndpointMade(TypedDict):
    """`secret` is shown this once."""

    id: str
    url: str
    types: list[str]
    description: str
    enabled: bool
    disabled_reason: str | None
    disabled_at: str | None
    failing_since: str | None
    old_secret_until: str | None
    created_at: str
    updated_at: str
    secret: str


class EndpointOut(TypedDict):
    """A webhook that is called. `disabled_reason`: why it is not."""

    id: str
    url: str
    types: list[str]
    description: str
    enabled: bool
    disabled_reason: str | None
    disabled_at: str | None
    failing_since: str | None
    old_secret_until: str | None
    created_at: str
    updated_at: str


class EndpointPage(TypedDict):
    """Webhooks, newest first."""

    data: list[EndpointOut]
    has_more: bool
    next_cursor: NotRequired[str | None]


class EntryDrawn(TypedDict):
    """What an entry would become: its email's status and subject, and who would carry it now; or what is
    wrong. Or the email that was accepted before, under the entry's key or the request's."""

    index: int
    status: Status | Literal["rejected"]
    id: NotRequired[str | None]
    replayed: NotRequired[bool]
    subject: NotRequired[str | None]
    provider: NotRequired[str | None]
    errors: NotRequired[list[ProblemInItem]]


class ErasureOut(TypedDict):
    """How far it has come. The address is not told: when the work is done, nobody knows it any more."""

    id: str
    state: Literal["waiting", "working", "done"]
    everybody: bool
    found: dict[str, int]
    asked_at: str
    done_at: str | None


class ErasurePage(TypedDict):
    """Erasures, newest first."""

    data: list[ErasureOut]
    has_more: bool
    next_cursor: NotRequired[str | None]


class EventOut(TypedDict):
    """What a provider told later. `recipient` null: it did not say whose copy it was."""

    id: str
    type: EventType
    provider: str
    attempt_id: str
    recipient: str | None
    occurred_at: str | None
    received_at: str
    bounce: BounceClass | None
    reject_reason: RejectReason | None
    status_code: str | None
    description: str | None
    mta_response: str | None
    click_url: str | None
    user_agent: str | None
    machine: str | None


class FiguresOut(TypedDict):
    """Attempts are counted, each once as each thing: an email to several recipients is one. All of it
    counts where the email was given to the provider, however late it was told of."""

    sent: int
    recipients: int
    not_sent: int
    unknown: int
    delivered: int
    bounced: int
    hard_bounced: int
    soft_bounced: int
    complained: int
    opened: int
    clicked: int
    latency_p50_ms: float | None
    latency_p95_ms: float | None
    spend: dict[str, str]
    cheapest: dict[str, str] | None
    single: list[SingleOut]


class FindingOut(TypedDict):
    """A policy of the domain itself. `ok` null: the DNS did not answer."""

    ok: bool | None
    found: list[str]
    detail: str


class GroupOut(TypedDict):
    """The same of one group. Only what was grouped by is there."""

    sent: int
    recipients: int
    not_sent: int
    unknown: int
    delivered: int
    bounced: int
    hard_bounced: int
    soft_bounced: int
    complained: int
    opened: int
    clicked: int
    latency_p50_ms: float | None
    latency_p95_ms: float | None
    spend: dict[str, str]
    cheapest: dict[str, str] | None
    single: list[SingleOut]
    day: NotRequired[str | None]
    provider_id: NotRequired[str | None]
    provider: NotRequired[str | None]
    email_type: NotRequired[str | None]
    sender_domain: NotRequired[str | None]
    mailbox_group: NotRequired[str | None]
    campaign_id: NotRequired[str | None]
    campaign: NotRequired[str | None]


class HaltList(TypedDict):
    """Halts, newest first."""

    data: list[HaltOut]


class HaltOut(TypedDict):
    """`user_id` null: of all users."""

    id: str
    user_id: str | None
    kind: str
    value: str
    reason: str
    created_at: str


class HealthOut(TypedDict):
    """What was learned of a provider, as the workers see it now."""

    provider_id: str
    state: Literal["well", "coming_back", "down", "paused", "faulty", "unknown"]
    detail: str
    accepted: float | None
    rate_per_second: float | None
    feed_down: bool
    mailbox_hosts: list[AtMailboxHost]


class IdentityOut(TypedDict):
    name: str
    verified: bool


class Imported(TypedDict):
    """`next_cursor`: ask again with it; null: the lists are at their end. `skipped`: what is no address."""

    added: int
    known: int
    skipped: int
    next_cursor: str | None


class IntervalOut(TypedDict):
    """Of a model's figure: its mean, and where it lies with a chance of nine in ten."""

    mean: float
    low: float
    high: float


class KeyMade(TypedDict):
    """`key` is shown this once."""

    id: str
    public_id: str
    name: str
    test: bool
    scopes: list[str]
    created_at: str
    expires_at: str | None
    revoked_at: str | None
    senders: list[str]
    networks: list[str]
    per_minute: int | None
    key: str


class KeyOut(TypedDict):
    """What is known of a key; never the key. `public_id` is the part of it that may be shown."""

    id: str
    public_id: str
    name: str
    test: bool
    scopes: list[str]
    created_at: str
    expires_at: str | None
    revoked_at: str | None
    senders: list[str]
    networks: list[str]
    per_minute: int | None


class KeyPage(TypedDict):
    """Keys, newest first."""

    data: list[KeyOut]
    has_more: bool
    next_cursor: NotRequired[str | None]


class KindList(TypedDict):
    data: list[KindOut]
    has_more: NotRequired[Literal[False]]
    next_cursor: NotRequired[None]


class KindOut(TypedDict):
    """A kind of provider: what it is configured with, and what it can express."""

    name: str
    title: str
    config_schema: dict[str, Any]
    credentials_schema: dict[str, Any]
    capabilities: dict[str, Any]
    webhook_secret_schema: dict[str, Any] | None


class MessageOut(TypedDict):
    """Something that a webhook is told. `answer`: the HTTP status of the last try."""

    id: str
    type: str
    email_id: str | None
    state: Literal["waiting", "told", "failed"]
    tries: int
    next_try_at: str | None
    created_at: str
    told_at: str | None
    answer: int | None
    error: str | None


class MessagePage(TypedDict):
    """Messages, newest first."""

    data: list[MessageOut]
    has_more: bool
    next_cursor: NotRequired[str | None]


class MessageQueued(TypedDict):
    """It is told within a second; the message says how that ended."""

    message_id: str


class OwnershipOut(TypedDict):
    """Whose the domain is. `proved_at`: since when the record has proved that it is yours, and that of
    everything below it; null: it has not. One that is gone from the DNS is a proof for three more days."""

    proved_at: str | None
    record: RecordOut


class PasswordLink(TypedDict):
    """`token` is shown this once: whoever has it sets the password, once, until it ends."""

    token: str
    expires_at: str


class Preview(TypedDict):
    """What would be decided for an email now; nothing is sent or reserved."""

    decision: dict[str, Any]


class PriceListOut(TypedDict):
    valid_from: str
    monthly_fee: str
    included: int
    tiers: list[TierOut]
    per_gigabyte: str
    in_force: bool


class PricesOut(TypedDict):
    """What an account charges, in its currency, and how far this month has come."""

    provider_id: str
    currency: str
    recipients_this_month: int
    per_recipient_now: str
    prices: list[PriceListOut]


class ProblemInItem(TypedDict):
    """What is wrong with a field of the batch's body."""

    pointer: str
    detail: str
    code: str


class ProgressOut(TypedDict):
    """How far it is. `seconds_left` null: nothing was sent lately, so nobody can say."""

    total: int
    waiting: int
    sent: int
    statuses: dict[str, int]
    hard_bounces: int
    spent: str
    per_minute_lately: float
    seconds_left: float | None


class ProviderNamed(TypedDict):
    id: str
    name: str


class ProviderOut(TypedDict):
    """A provider account. Its credentials are never shown."""

    id: str
    name: str
    kind: str
    shared: bool
    config: dict[str, Any]
    base_cost: str
    currency: str
    region: str | None
    status: bool
    reliability_score: float
    quota: QuotaOut
    version: int
    created_at: str
    updated_at: str


class ProviderPage(TypedDict):
    """Providers, newest first."""

    data: list[ProviderOut]
    has_more: bool
    next_cursor: NotRequired[str | None]


class ProviderTest(TypedDict):
    """What a real connection to the provider, with its credentials, came to. Nothing was sent. What a
    provider does not tell is null."""

    ok: bool
    latency_ms: float
    error: NotRequired[CheckFailure | None]
    sender_identities: NotRequired[list[IdentityOut] | None]
    allowance: NotRequired[AllowanceOut | None]
    rate_per_second: NotRequired[float | None]
    notes: NotRequired[list[str]]


class QuotaOut(TypedDict):
    """Limits and what is used of them. Use is counted where there is a limit."""

    daily: int | None
    monthly: int | None
    rolling_24h: int | None
    rate_per_second: float | None
    time_zone: str
    used_today: int
    used_this_month: int
    used_rolling_24h: int
    resets_at: str | None


class Readiness(TypedDict):
    status: Literal["ready", "unready"]
    checks: list[CheckOut]


class RecipientFate(TypedDict):
    """Somebody who receives it, and what became of their copy. `unresolved`: the provider tells what
    happened to the email, but not to which of its recipients."""

    email: str
    name: str
    kind: RecipientKind
    status: Status | Literal["unresolved"]
    bounce: BounceClass | None


class RecipientOut(TypedDict):
    """Somebody who receives it. `status`: the email's, as far as nothing more is known of this recipient."""

    email: str
    name: str
    kind: RecipientKind
    status: Status


class RecordOut(TypedDict):
    """A record that is wanted. `found`: what stands there; `ok` null: the DNS did not answer."""

    kind: Literal["spf", "dkim", "dmarc", "return_path", "ownership", "tracking"]
    type: str
    name: str
    value: str
    priority: int | None
    found: list[str]
    ok: bool | None


class RenderedOut(TypedDict):
    """What an email would be sent with."""

    version: int
    subject: str
    text: str | None
    html: str | None


class ReplayOut(TypedDict):
    """What would have come of past emails. Money in what prices are compared in; totals are of all emails
    found."""

    traffic: TrafficOut
    cost_per_1000: ComparisonOut
    cost: ComparisonOut
    delivered: ComparisonOut
    held: ComparisonOut
    seconds: ComparisonOut
    seconds_p95: ComparisonOut
    waited: float
    not_carried: int
    monthly_fees: str
    providers: list[ShareOut]
    cells: list[CellOut]
    reasons: dict[str, int]


class Replayed(TypedDict):
    """`messages`: how many are told again. `has_more`: the range holds more; ask again with `asked_at`."""

    messages: int
    has_more: bool
    asked_at: str


class RescheduledMany(TypedDict):
    """What is sent at another time now. `has_more`: more of them wait than are moved at once; ask again."""

    rescheduled: int
    expire_before: int
    has_more: bool


class ResentMany(TypedDict):
    """What is sent again. `has_more`: ask again with `next_cursor`, there may be more."""

    resent: int
    refused: list[Unsent]
    has_more: bool
    next_cursor: str | None


class RuleOut(TypedDict):
    id: str
    email_type: str | None
    sender_domain: str | None
    recipient_domain: str | None
    tag: str | None
    user_id: str | None
    catch_all: bool
    default_provider: ProviderNamed
    fallback_providers: list[ProviderNamed]
    policy: Literal["cheapest", "balanced", "most_reliable"] | None
    priority: int
    shared: bool
    created_at: str


class RulePage(TypedDict):
    """Routing rules, newest first."""

    data: list[RuleOut]
    has_more: bool
    next_cursor: NotRequired[str | None]


class SessionMade(TypedDict):
    """`token` is shown this once. It is sent as an API key is, and may do all that the user may."""

    id: str
    program: str
    came_from: str | None
    created_at: str
    expires_at: str
    current: bool
    token: str
    user_id: str


class SessionOut(TypedDict):
    """Somebody is signed in."""

    id: str
    program: str
    came_from: str | None
    created_at: str
    expires_at: str
    current: bool


class SessionPage(TypedDict):
    """Sessions that stand, newest first."""

    data: list[SessionOut]
    has_more: bool
    next_cursor: NotRequired[str | None]


class ShareOut(TypedDict):
    """Of those replayed, what a provider carried, and would have carried on average."""

    provider: str
    emails: int
    cost: str
    would_emails: float
    would_cost: str


class SingleOut(TypedDict):
    """What the same recipients would have cost by one account alone."""

    provider_id: str
    provider: str
    cost: str
    currency: str
    within_quota: bool


class StatsOut(TypedDict):
    """Statistics of the days `since` to `until` of the time zone."""

    since: str
    until: str
    timezone: str
    group_by: list[Literal["day", "provider", "email_type", "sender_domain", "mailbox_group", "campaign"]]
    added_up_at: str | None
    total: FiguresOut
    groups: list[GroupOut]


class Suppressed(TypedDict):
    """`added`: entries that are new, or hold longer than before. The others were there already."""

    added: int
    known: int


class SuppressionOut(TypedDict):
    """An entry of the caller's list. `email_id`: the email whose event put it there."""

    id: str
    address: str
    scope: str
    cause: Cause
    source: str
    detail: str | None
    email_id: str | None
    expires_at: str | None
    created_at: str


class SuppressionPage(TypedDict):
    """Entries, newest first."""

    data: list[SuppressionOut]
    has_more: bool
    next_cursor: NotRequired[str | None]


class TemplateOut(TypedDict):
    """A template. Emails are rendered with its published version, or with the one that they name."""

    id: str
    name: str
    published_version: int | None
    newest_version: int
    created_at: str
    updated_at: str


class TemplatePage(TypedDict):
    """Templates, newest first."""

    data: list[TemplateOut]
    has_more: bool
    next_cursor: NotRequired[str | None]


class TierOut(TypedDict):
    up_to: int | None
    per_recipient: str


class TimelineEntry(TypedDict):
    """A visible change or a provider's event, and why. `status`: the email's, after it."""

    status: Status
    at: str
    reason: str | None
    attempt_id: str | None
    event: EventType | None


class TrafficOut(TypedDict):
    """`found` emails, of which `replayed` are an even sample where these are fewer."""

    since: str
    until: str
    found: int
    replayed: int
    sampled: bool


class TypeOut(TypedDict):
    """A declared email type."""

    id: str
    name: str
    category: Literal["transactional", "marketing"]
    lane: Literal["transactional", "bulk"]
    on_unknown: Literal["hold", "resend"]
    policy: Literal["cheapest", "balanced", "most_reliable"]
    urgent: bool
    unsubscribe_scope: Literal["marketing", "type"]
    deliver_at_least: float | None
    taken_within: float | None
    at_budget: Literal["defer", "fail", "ignore"]
    providers: list[ProviderNamed]
    shared: bool
    created_at: str


class TypePage(TypedDict):
    """Email types, newest first."""

    data: list[TypeOut]
    has_more: bool
    next_cursor: NotRequired[str | None]


class Unsent(TypedDict):
    """An email that was not sent again, and why."""

    id: str
    detail: str


class UploadOut(TypedDict):
    """Where to PUT the bytes, until when; then `POST /v1/attachments/uploads/{id}/complete`."""

    id: str
    upload_url: str
    method: NotRequired[Literal["PUT"]]
    expires_at: str


class UserMade(TypedDict):
    """`key`: a first key of every scope, shown this once."""

    id: str
    email: str
    role: Literal["member", "operator"]
    created_at: str
    key: str


class UserOut(TypedDict):
    id: str
    email: str
    role: Literal["member", "operator"]
    created_at: str


class UserPage(TypedDict):
    """Users, newest first."""

    data: list[UserOut]
    has_more: bool
    next_cursor: NotRequired[str | None]


class VersionAdded(TypedDict):
    """`variables`: the names that it reads. What it has defaults for, or asks whether it is there, may be
    left out."""

    version: int
    subject: str
    text: str | None
    html: str | None
    mjml: str | None
    created_at: str
    variables: list[str]


class VersionList(TypedDict):
    """Versions, newest first. `has_more`: ask again with `before` set to the last one's number."""

    data: list[VersionOut]
    has_more: bool


class VersionOut(TypedDict):
    """A version; it never changes."""

    version: int
    subject: str
    text: str | None
    html: str | None
    mjml: str | None
    created_at: str


class WarmUpList(TypedDict):
    data: list[WarmUpOut]
    has_more: NotRequired[Literal[False]]
    next_cursor: NotRequired[None]


class WarmUpOut(TypedDict):
    """A sender domain at a provider."""

    domain: str
    daily: list[int]
    started_at: str
    day: int
    state: Literal["warming", "warm"]
    used_today: int
    left_today: int | None
    day_ends: str | None


class WebhookOut(TypedDict):
    """`url` is what the provider is to call. It bears a token: keep it as you keep a password."""

    url: str | None
    secrets: int
