"""What an answer of Mailjet's to a send means, whatever its status.

Sources: Mailjet's guide "Send API v3.1" (a Status for each message, error codes); dev.mailjet.com: "Status codes".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from domain.attempt import SendResult
from domain.errors import (
    Misconfigured,
    OutcomeUnknown,
    ProviderError,
    Rejected,
    SenderNotVerified,
    Unsupported,
)
from domain.events import RejectReason
from providers.base import UNREADABLE, HTTPProvider
from providers.exchange import Response
from providers.partial import taken_but_for
from providers.webhooks import word
from providers.words import clean

_INVALID = re.compile(r'"([^"\s]{1,320})" is an invalid email')
_CODES: dict[str, type[ProviderError]] = {
    "send-0006": Misconfigured,
    "send-0007": SenderNotVerified,
    "send-0008": SenderNotVerified,
    "send-0011": Unsupported,
    "send-0015": Unsupported,
    "mj-0001": Misconfigured,
    "mj-0006": Unsupported,
    "mj-0008": Unsupported,
    "mj-0011": Unsupported,
    "mj-0015": Misconfigured,
}


class MailjetAnswers(HTTPProvider):
    def tells_of_each(self, response: Response) -> bool:
        """Also a refusal does, with the status of its first error."""
        try:
            return response.status < 500 and all("Status" in m for m in self.json(response)["Messages"])
        except UNREADABLE:
            return False

    def took(self, response: Response) -> bool:
        """Also one that was taken for some recipients, with whatever status the errors of the others have."""
        some_taken, errors = self._errors(response) if 400 <= response.status < 500 else (False, [])
        return super().took(response) or (some_taken and bool(errors))

    def parse(self, response: Response) -> SendResult:
        """MessageID 0 stands for none, in sandbox mode. Where some recipients were refused it does not say which."""
        some_taken, errors = self._errors(response)
        if some_taken and errors:
            taken = next(m for m in self.json(response)["Messages"] if m.get("Status") == "success")
            people = [person_ for kind in ("To", "Cc", "Bcc") for person_ in taken.get(kind) or ()]
            message_id = str(people[0].get("MessageID") or "")[:255] or None
            said = f"taken for some recipients only: {clean(self.explain(response) or '', self._secrets)}"
            refused = [(named[1], RejectReason.INVALID) for e in errors if (named := _blamed(e))]
            return taken_but_for(
                message_id,
                refused,
                said,
                others=len(refused) < len(errors),
                taken=[address for p in people if (address := word(p.get("Email")))],
            )
        if (failure := self._failure(response)) is not None:
            raise failure
        (message,) = self.json(response)["Messages"]
        if message["Status"] != "success":
            raise ValueError("neither a success nor an error")
        return SendResult(str(message["To"][0].get("MessageID") or "")[:255] or None)

    def explain(self, response: Response) -> str | None:
        found = [f"{e.get('ErrorCode', '')} {e['ErrorMessage']}".strip() for e in self._errors(response)[1]]
        return "; ".join(found[:5]) or None

    def classify(self, response: Response, said: str) -> ProviderError | None:
        return None if response.status == 429 or response.status >= 500 else self._failure(response, said)

    def _failure(self, response: Response, said: str | None = None) -> ProviderError | None:
        """What the errors in the answer mean, whatever its status; None where there is none."""
        some_taken, errors = self._errors(response)
        if not errors and response.status < 400:
            return None
        said = said if said is not None else clean(self.explain(response) or "", self._secrets)
        detail = f"{response.status}: {said}"
        if some_taken:
            return OutcomeUnknown(self.name, f"{detail}; and taken")
        meanings = [_CODES.get(str(e.get("ErrorCode"))) for e in errors]
        if (known := next((m for m in meanings if m is not None), None)) is not None:
            return known(self.name, detail)
        if response.status >= 400:
            return None
        refused = all(_is_refusal(e) for e in errors)  # at 200 the status is the error's own
        return (Rejected if refused else OutcomeUnknown)(self.name, detail)

    def _errors(self, response: Response) -> tuple[bool, list[dict[str, Any]]]:
        """Whether any message was taken, and the errors of the others; a global error has no message around it."""
        try:
            body = self.json(response)
            messages = body.get("Messages", [])
            errors = [e for m in messages for e in m.get("Errors", [])] or [body] * ("ErrorMessage" in body)
            return any(m.get("Status") == "success" for m in messages), [
                e for e in errors if "ErrorMessage" in e
            ]
        except UNREADABLE:
            return False, []


def _blamed(error: Mapping[str, Any]) -> re.Match[str] | None:
    """Whose address is wrong, where the error is of that and quotes it."""
    return _INVALID.match(str(error["ErrorMessage"])) if error.get("ErrorCode") == "mj-0013" else None


def _is_refusal(error: Mapping[str, Any]) -> bool:
    status = error.get("StatusCode")
    return isinstance(status, int) and 400 <= status < 500
