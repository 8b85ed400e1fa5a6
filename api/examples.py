"""Realistic examples for the OpenAPI document: a value for each field's name, and from them a whole answer for each
schema. A field whose name stands nowhere here, and whose schema says nothing either, keeps the service from starting.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from api.errors import MEDIA_TYPE, TITLES, type_of

Schema = Mapping[str, Any]

ID: Final = "01988b0e-5c0a-7e3c-9d6e-0b6a3d1f2a44"
_OTHER_ID: Final = "01988b0e-6f21-7a90-8c1d-42d7f0b3e915"
TIME: Final = "2026-03-30T12:00:05Z"
_TIMES: Final = {
    "expires_at": "2026-03-30T20:00:05Z", "download_expires_at": "2026-03-30T12:15:05Z",
    "period_begins": "2026-02-28T23:00:00Z", "period_ends": "2026-03-31T22:00:00Z", "resets_at": "2026-03-30T22:00:00Z",
    "started_at": "2026-03-28T08:00:00Z", "day_ends": "2026-03-31T08:00:00Z", "valid_from": "2026-01-01T00:00:00Z",
    "since": "2026-03-23T00:00:00Z", "until": "2026-03-30T00:00:00Z",
}  # fmt: skip
_DECISION: Final = {
    "chosen": "ses-main",
    "reason": "LOWEST_COST",
    "rule": None,
    "candidates": [{"provider": "ses-main", "cost": "0.0001", "currency": "USD"}],
    "runner_up": None,
    "excluded": [{"provider": "first", "because": "paused", "detail": "it is paused", "until": None}],
    "explanation": "ses-main: the lowest cost of those that can carry it. Not first (it is paused).",
}

# What a field holds, whichever answer it stands in.
_OF_NAME: Final[Mapping[str, Any]] = {
    # people, addresses, domains
    "email": "ada@example.org", "address": "ada@example.org", "recipient": "ada@example.org", "recipients": 1,
    "senders": ["shop.example.com"], "networks": ["203.0.113.0/24"], "came_from": "203.0.113.7",
    "program": "Firefox/140.0", "user_agent": "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0",
    "domain": "news.example.com", "recipient_domain": "gmail.com", "tag": "invoice",
    "sender_domain": "news.example.com", "mailbox_group": "google", "return_path": "bounce.news.example.com",
    # emails
    "subject": "Your order", "text": "It is on its way.", "html": "<p>It is on its way.</p>", "mjml": None,
    "tags": ["orders"], "metadata": {"order": "17"}, "email_type": "receipt", "campaign": "spring sale",
    "statuses": {"queued": 4000, "sent": 5000}, "status_reason": None, "status_code": "2.0.0", "reason": "accepted",
    "mta_response": "250 2.0.0 OK", "click_url": "https://shop.example.com/orders/17", "machine": None,
    "provider_message_id": "0102018f-7a1c-4b", "variables": ["name", "order"],
    # files
    "filename": "invoice.pdf", "content_type": "application/pdf", "content_id": None, "size": 48213,
    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "download_url": f"https://mail.example.com/v1/attachments/{ID}/content?expires=1774872905&key=k1&signature=q83v",
    "upload_url": f"https://mail.example.com/v1/attachments/uploads/{ID}?expires=1774876505&key=k1&signature=q83v",
    # providers, routing, money
    "provider": "ses-main", "kind": "ses", "title": "Amazon SES", "region": "eu", "currency": "USD",
    "config": {"region": "eu-central-1"}, "decision": _DECISION, "time_zone": "Europe/Berlin", "notes": [],
    "capabilities": {"batch": False, "attachments": True}, "reasons": {"LOWEST_COST": 4200},
    "config_schema": {"type": "object", "properties": {"region": {"type": "string"}}, "required": ["region"]},
    "credentials_schema": {"type": "object", "properties": {"access_key_id": {"type": "string"}}},
    "webhook_secret_schema": {"type": "object", "properties": {"topic_arn": {"type": "string"}}},
    "spend": {"USD": "3.6"}, "cheapest": {"USD": "2.7"}, "daily": 50_000, "monthly": 1_000_000,
    "rolling_24h": None, "rate_per_second": 14.0, "used_today": 1204, "used_this_month": 30_511,
    "used_rolling_24h": 1204, "left_today": 8796, "reliability_score": 0.998, "deliver_at_least": None,
    "taken_within": None, "latency_ms": 81.3, "latency_p50_ms": 81.3, "latency_p95_ms": 240.9, "included": 10_000,
    "up_to": None, "recipients_this_month": 30_511, "priority": 1, "limit": 50_000, "used": 1204, "left": 48_796,
    "hours": 24,
    # counts
    "accepted": 1, "rejected": 0, "added": 2, "known": 1, "skipped": 0, "index": 0, "cancelled": 120,
    "rescheduled": 120, "expire_before": 0, "resent": 12, "refused": [], "messages": 240, "emails": 4000,
    "sent": 9000, "not_sent": 120, "unknown": 0, "delivered": 8910, "bounced": 54, "hard_bounced": 40,
    "soft_bounced": 14, "complained": 2, "opened": 3105, "clicked": 411, "hard_bounces": 21, "total": 9000,
    "waiting": 4000, "min_sent": 100, "max_complaints": 0.001, "max_bounces": 0.05, "per_minute": 600,
    "per_minute_lately": 598.2, "seconds_left": 401.0, "version": 2, "newest_version": 2, "published_version": 2,
    "day": 3, "tries": 1, "sample": 2160.0, "observations": 2160, "would_emails": 3870.4, "waited": 0.2,
    "not_carried": 0, "mean": 0.98, "low": 0.97, "high": 0.99, "happened": 0.97, "secrets": 1,
    # keys, webhooks, the audit log
    "public_id": "kdMAS1NDANlt", "scopes": ["emails:send", "emails:read"], "answer": 200, "error": None,
    "code": "missing",
    "url": "https://app.example.com/mail-events", "types": ["email.delivered", "email.bounced"],
    "disabled_reason": None,
    "description": "the shop's events", "fields": ["base_cost"], "by": "api", "request_id": "01988b0e-71c5-7f4e",
    "scope": "marketing", "source": "API", "detail": "", "name": "spring sale", "type": "TXT", "value": "v=spf1 -all",
    "pointer": "/emails/1/to/0", "found": [], "next_cursor": None, "bounce": None, "reject_reason": None,
    # yes and no
    "has_more": False, "ok": True, "required": True, "shared": False, "test": False, "urgent": False, "current": True,
    "enabled": True, "everybody": False, "imposed": False, "in_force": True, "in_use": True, "replayed": False,
    "sampled": False, "status": True, "verified": True, "within_quota": True, "alarm": False, "feed_down": False,
    "catch_all": False,
}  # fmt: skip

# What it holds in one answer, where that is something else.
_OF_FIELD: Final[Mapping[tuple[str, str], Any]] = {
    # names
    ("AddressOut", "name"): "Shop", ("RecipientOut", "name"): "Ada Lovelace", ("RecipientFate", "name"): "Ada Lovelace",
    ("CheckOut", "name"): "postgres", ("DomainOut", "name"): "news.example.com", ("IdentityOut", "name"): "example.com",
    ("KeyOut", "name"): "checkout", ("KeyMade", "name"): "checkout", ("KindOut", "name"): "ses",
    ("ProviderNamed", "name"): "ses-main", ("ProviderOut", "name"): "ses-main", ("TemplateOut", "name"): "order-sent",
    ("TypeOut", "name"): "receipt", ("RecordOut", "name"): "news.example.com", ("AddressOut",
    "email"): "shop@example.com",
    # emails and what became of them
    ("EmailSummary", "status"): "delivered", ("EmailOut", "status"): "delivered", ("RecipientOut",
    "status"): "delivered",
    ("RecipientFate", "status"): "delivered", ("TimelineEntry", "status"): "delivered", ("TimelineEntry",
    "reason"): None,
    ("TimelineEntry", "event"): "delivered", ("EventOut", "type"): "delivered", ("EventOut", "description"): None,
    ("AttemptOut", "detail"): None, ("BatchResult", "status"): "queued", ("BatchResult", "errors"): [],
    ("Unsent", "detail"): "the template order-sent needs order.number", ("ProblemInItem", "detail"): "not an address",
    ("VersionOut", "subject"): "Your order {{ order.number }}", ("VersionAdded",
    "subject"): "Your order {{ order.number }}",
    # providers, money, campaigns
    ("WebhookOut", "url"): f"https://mail.example.com/hooks/ses/{ID}/5WbX5kEWLlfzsGNjH64I8lOO",
    ("HealthOut", "accepted"): 0.998, ("AtMailboxHost", "delivered"): 0.993, ("ProviderTest", "error"): None,
    ("CheckFailure", "code"): "misconfigured", ("CheckFailure", "detail"): "401: the key is not known",
    ("PriceListOut", "monthly_fee"): "15", ("PriceListOut", "per_gigabyte"): "0.12", ("BudgetOut", "amount"): "250",
    ("BudgetOut", "period"): "month", ("BudgetOut", "spent"): "182.4", ("BudgetOut", "left"): "67.6",
    ("WarmUpOut", "daily"): [50, 100, 500], ("WarmUpOut", "used_today"): 412, ("WarmUpOut", "left_today"): 88,
    ("TrafficOut", "found"): 4200, ("TrafficOut", "replayed"): 4200, ("ComparisonOut", "unknown"): None,
    ("CellOut", "unknown"): None, ("ProgressOut", "sent"): 5000, ("ProgressOut", "spent"): "2.5",
    ("CampaignOut", "per_minute"): 6000, ("CampaignShown", "per_minute"): 6000, ("CampaignMoved", "per_minute"): 6000,
    ("CampaignOut", "spend_cap"): "25", ("CampaignShown", "spend_cap"): "25", ("CampaignMoved", "spend_cap"): "25",
    ("TypeOut", "policy"): "balanced", ("RuleOut", "policy"): None, ("RuleOut", "user_id"): None,
    ("RuleOut", "sender_domain"): None,
    # domains, lists, webhooks, people
    ("DomainOut", "status"): "verified", ("RecordOut", "kind"): "spf", ("RecordOut", "priority"): None,
    ("RecordOut", "found"): ["v=spf1 -all"], ("FindingOut", "found"): ["v=spf1 -all"], ("SuppressionOut",
    "detail"): None,
    ("SuppressionOut", "cause"): "unsubscribed", ("SuppressionOut", "source"): "link", ("ErasureOut", "state"): "done",
    ("HaltOut", "kind"): "type", ("HaltOut", "value"): "newsletter", ("HaltOut", "reason"): "wrong price",
    ("MessageOut", "type"): "email.delivered", ("MessageOut", "state"): "told", ("UserMade",
    "key"): "mx_live_kdMAS1NDANlt_…",
}  # fmt: skip

# Times and ids that most things do not have.
_LEFT_OUT: Final = {
    "expires_at", "revoked_at", "disabled_at", "failing_since", "old_secret_until", "send_at", "resend_of", "resent_as",
    "campaign_id", "alerted_at", "stopped_at", "next_try_at",
}  # fmt: skip


def of_schema(schema: Schema, schemas: Mapping[str, Schema], owner: str = "", name: str = "") -> Any:
    """A value that the schema allows: of the field `name` of the component `owner`. Raises LookupError."""
    if (owner, name) in _OF_FIELD:
        return _OF_FIELD[owner, name]
    if "examples" in schema:
        return schema["examples"][0]
    if "$ref" in schema:
        component = schema["$ref"].rpartition("/")[2]
        return _of_component(schemas[component], schemas, component)
    kinds = schema.get("anyOf") or schema.get("oneOf")
    if kinds:
        may_be_null = any(kind.get("type") == "null" for kind in kinds)
        if may_be_null and (name in _LEFT_OUT or _OF_NAME.get(name, "") is None):
            return None
        return of_schema(next(k for k in kinds if k.get("type") != "null"), schemas, owner, name)
    for given in ("const", "enum"):
        if given in schema:
            return schema["const"] if given == "const" else schema["enum"][0]
    return _of_type(schema, schemas, owner, name)


def _of_component(schema: Schema, schemas: Mapping[str, Schema], component: str) -> Any:
    if "examples" in schema or "properties" not in schema:
        return of_schema(schema, schemas, component)
    return {name: of_schema(field, schemas, component, name) for name, field in schema["properties"].items()}


def _of_type(schema: Schema, schemas: Mapping[str, Schema], owner: str, name: str) -> Any:
    match schema.get("type"), schema.get("format"):
        case "string", "uuid":
            return ID if name == "id" else _OTHER_ID
        case "string", "date-time":
            return _TIMES.get(name, TIME)
        case "null", _:
            return None
        case "array", _ if not isinstance(_OF_NAME.get(name), list):
            return [of_schema(schema["items"], schemas, owner, name)]
    if name not in _OF_NAME:
        raise LookupError(f"api.examples knows no example for the field {name!r} of {owner}")
    return _OF_NAME[name]


# What is said of a status beside its type and title.
_DETAILS: Final[Mapping[int, str]] = {
    400: "The body is not JSON",
    401: "A valid API key is needed: the API key is not known",
    403: "The API key lacks the scope {scope}",
    404: "There is nothing with this id",
    409: "This cannot be done in the present state",
    413: "The body is larger than this service accepts",
    415: "Content-Type must be application/json",
    422: "1 field is wrong",
    429: "The API key may be used 600 times a minute",
    500: "This is a defect of ours; the request's id finds it in the log",
    502: "The provider did not tell: 401: the key is not known",
    503: "The database does not answer. Nothing was accepted, as far as is known",
}


# The same of a route without a key.
_OPEN: Final[Mapping[int, tuple[str, str]]] = {
    401: ("wrong-credentials", "The address or the password is wrong"),
    403: ("bad-link", "The link is not signed by this service, or was changed"),
    429: ("too-many-tries", "There were too many tries; API keys and sessions work as before"),
}


def of_problem(status: int, scope: str | None, wrong: Mapping[str, str]) -> dict[str, Any]:
    """A problem as a route may answer it. `scope` None: it needs no key. `wrong`: a field of its own, for 422."""
    kind, detail = type_of(status), _DETAILS[status].format(scope=scope)
    if scope is None:
        kind, detail = _OPEN.get(status, (kind, detail))
    shown: dict[str, Any] = {
        "type": f"/problems/{kind}",
        "title": TITLES[kind],
        "status": status,
        "detail": detail,
        "request_id": "01988b0e-71c5-7f4e-b6a0-2f9a4c1d7e35",
    }
    match status:
        case 403 if scope is not None:
            shown["scope"] = scope
        case 422:
            shown["errors"] = [{**wrong, "detail": "Field required", "code": "missing"}]
        case 502:
            shown["code"] = "misconfigured"
    return shown


def show(operation: dict[str, Any], schemas: Mapping[str, Schema]) -> None:
    """Give an operation's body and each of its answers an example."""
    scope = operation["security"][0]["key"][0] if operation["security"] else None
    wrong = _some_field(operation, schemas)
    for content in operation.get("requestBody", {}).get("content", {}).values():
        if "example" not in content:
            content["example"] = of_schema(content["schema"], schemas)
    for status, answer in operation["responses"].items():
        for media, content in answer.get("content", {}).items():
            if media == MEDIA_TYPE:
                content["example"] = of_problem(int(status), scope, wrong)
            elif "example" not in content:
                content["example"] = of_schema(content["schema"], schemas)


def _some_field(operation: Mapping[str, Any], schemas: Mapping[str, Schema]) -> Mapping[str, str]:
    """Where something of the request may be wrong: a field that it needs, else one that it may have."""
    body = operation.get("requestBody", {}).get("content", {}).get("application/json")
    if body is not None:
        schema = schemas[body["schema"]["$ref"].rpartition("/")[2]]
        names: Sequence[str] = [*schema.get("required", ()), *schema["properties"]]
        return {"pointer": f"/{names[0]}"}
    for parameter in operation.get("parameters", ()):
        if parameter["in"] in ("query", "header"):
            where = "parameter" if parameter["in"] == "query" else "header"
            return {where: parameter["name"]}
    return {"pointer": ""}
