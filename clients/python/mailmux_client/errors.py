"""What can go wrong, as the service says it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class FieldError:
    """A field that is wrong. `where`: its JSON pointer, or the name of a parameter or header."""

    where: str
    code: str
    detail: str


class MailmuxError(Exception):
    """The service refused the request (RFC 9457). `errors` names every wrong field; `request_id` is in its log."""

    def __init__(self, status: int, problem: dict[str, Any], request_id: str | None = None) -> None:
        self.status = status
        self.type = str(problem.get("type", "about:blank"))
        self.title = str(problem.get("title", ""))
        self.detail = str(problem.get("detail", ""))
        self.errors: Sequence[FieldError] = [
            FieldError(
                str(e.get("pointer") or e.get("parameter") or e.get("header") or ""),
                str(e.get("code", "")),
                str(e.get("detail", "")),
            )
            for e in problem.get("errors", ())
        ]
        self.request_id = request_id
        lines = [f"{status}: {self.detail or self.title or 'refused'}"]
        lines += [f"  {e.where}: {e.detail}" for e in self.errors]
        super().__init__("\n".join(lines))


class Unreachable(Exception):
    """The service gave no answer. Of a request that sends, nobody can say whether it was accepted: ask again with the
    same idempotency key, which is `idempotency_key`.
    """

    def __init__(self, text: str, idempotency_key: str | None = None) -> None:
        super().__init__(text)
        self.idempotency_key = idempotency_key
