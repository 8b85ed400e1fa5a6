"""The fields of SendGrid's POST /v3/mail/send with their types, and the collecting of what is wrong.

Sources as in `sandbox.sendgrid_body`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]

TOP = {
    "personalizations": list,
    "from": dict,
    "reply_to": dict,
    "reply_to_list": list,
    "subject": str,
    "content": list,
    "attachments": list,
    "template_id": str,
    "headers": dict,
    "categories": list,
    "custom_args": dict,
    "send_at": int,
    "batch_id": str,
    "asm": dict,
    "ip_pool_name": str,
    "mail_settings": dict,
    "tracking_settings": dict,
    "sections": dict,
}
PERSONALIZATION = {
    "from": dict,
    "to": list,
    "cc": list,
    "bcc": list,
    "subject": str,
    "headers": dict,
    "substitutions": dict,
    "dynamic_template_data": dict,
    "custom_args": dict,
    "send_at": int,
}
ADDRESS = {"email": str, "name": str}
CONTENT = {"type": str, "value": str}
ATTACHMENT = {"content": str, "type": str, "filename": str, "disposition": str, "content_id": str}
_ON = {"enable": bool}
MAIL_SETTINGS: dict[str, Mapping[str, type]] = {
    "bypass_list_management": _ON,
    "bypass_spam_management": _ON,
    "bypass_bounce_management": _ON,
    "bypass_unsubscribe_management": _ON,
    "footer": {"enable": bool, "text": str, "html": str},
    "sandbox_mode": _ON,
}
TRACKING_SETTINGS: dict[str, Mapping[str, type]] = {
    "click_tracking": {"enable": bool, "enable_text": bool},
    "open_tracking": {"enable": bool, "substitution_tag": str},
    "subscription_tracking": {"enable": bool, "text": str, "html": str, "substitution_tag": str},
    "ganalytics": {
        "enable": bool,
        **dict.fromkeys(("utm_source", "utm_medium", "utm_term", "utm_content", "utm_campaign"), str),
    },
}
_TYPE_NAMES: dict[type, str] = {
    dict: "object",
    list: "array",
    str: "string",
    int: "integer",
    bool: "boolean",
    float: "number",
    type(None): "null",
}
RESERVED_HEADERS = {
    "x-sg-id",
    "x-sg-eid",
    "received",
    "dkim-signature",
    "content-type",
    "content-transfer-encoding",
    "to",
    "from",
    "subject",
    "reply-to",
    "cc",
    "bcc",
}


@dataclass(frozen=True)
class Problem:
    message: str
    field: str | None


class InvalidBody(Exception):
    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("; ".join(f"{problem.field}: {problem.message}" for problem in problems))
        self.problems = problems


@dataclass
class Checks:
    """Collects what is wrong, under SendGrid's dotted names of fields."""

    problems: list[Problem] = field(default_factory=list)

    def wrong(self, where: str, message: str) -> None:
        self.problems.append(Problem(message, where))

    def object(self, value: Any, where: str, fields: Mapping[str, type]) -> Json:
        """The known, rightly typed fields of an object."""
        if not isinstance(value, dict):
            self.wrong(where, _type_problem("object", value))
            return {}
        prefix = f"{where}." if where else ""
        right: Json = {}
        for name, inner in value.items():
            expected = fields.get(name)
            if expected is None:
                self.wrong(f"{prefix}{name}", f"Additional property {name} is not allowed")
            elif not isinstance(inner, expected) or (expected is int and isinstance(inner, bool)):
                self.wrong(f"{prefix}{name}", _type_problem(_TYPE_NAMES[expected], inner))
            else:
                right[name] = inner
        return right


def _type_problem(expected: str, given: Any) -> str:
    return f"Invalid type. Expected: {expected}, given: {_TYPE_NAMES.get(type(given), 'unknown')}."
