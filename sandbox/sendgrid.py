"""SendGrid's v3 Web API, as far as sending goes: POST /v3/mail/send and GET /v3/scopes; its lists and its email
activity; and its webhook.

Sources: SendGrid's OpenAPI document for Mail Send, and its pages "Errors" (mail-send/errors) and "Rate
limits" of the v3 API reference. The wording of the errors is theirs, since clients match on it.
"""

import hmac
import re
import secrets
import time

from sandbox import lists, searches
from sandbox import sendgrid_wording as wording
from sandbox.dialect import Answer, Call, Dialect, Purpose, Refused, Taken, json_answer
from sandbox.messages import Received
from sandbox.sendgrid_body import read_messages
from sandbox.sendgrid_events import event_body, sign
from sandbox.sendgrid_fields import InvalidBody, Problem
from sandbox.stories import Happening, Signed

_RATE_LIMIT = 600
_WRONG_KEY = Problem("The provided authorization grant is invalid, expired, or revoked", None)
_REFUSALS: dict[str, tuple[int, Problem]] = {
    "unavailable": (503, Problem("service unavailable", None)),
    "ratelimit": (429, Problem("too many requests", None)),
    "auth": (401, _WRONG_KEY),
    "reject": (400, Problem("Does not contain a valid address.", "personalizations.0.to.0.email")),
    "sender": (403, Problem(wording.SENDER_MISMATCH, "from")),
}
_METHODS = {"/v3/mail/send": "POST", "/v3/scopes": "GET"} | dict.fromkeys(
    (*lists.SENDGRID, lists.SENDGRID_GROUPS, searches.SENDGRID), "GET"
)


_DETAILS = re.compile(r"/v3/messages/([^/]+)")


class SendGrid(Dialect):
    name = "sendgrid"
    max_body = 30 << 20  # "The total size of your email, including attachments, must be less than 30MB"
    accepted = 202

    def purpose(self, call: Call) -> Purpose:
        method = "GET" if _DETAILS.fullmatch(call.path) else _METHODS.get(call.path)
        if method is None:
            return Purpose.UNKNOWN
        if call.method != method:
            return Purpose.WRONG_METHOD
        return Purpose.SENDING if method == "POST" else Purpose.ASKING

    def check(self, call: Call) -> Answer | None:
        scheme, _, key = (call.headers.get("Authorization") or "").partition(" ")
        if scheme.lower() != "bearer" or not key:
            return _errors(401, Problem("authorization required", None))
        if not hmac.compare_digest(key.strip().encode(), self.account.credentials["api_key"].encode()):
            return _errors(401, _WRONG_KEY)
        return None

    def take(self, call: Call) -> Taken:
        if call.media_type != "application/json":
            raise Refused(_errors(415, Problem("Content-Type should be application/json.", None)))
        message_id = secrets.token_urlsafe(16)
        try:
            messages = read_messages(call.body, account=self.account.name, message_id=message_id)
        except InvalidBody as error:
            raise Refused(_errors(400, *error.problems)) from error
        return Taken(messages, Answer(202, {"X-Message-Id": message_id}) if messages else Answer(200))

    def tell(self, call: Call) -> Answer:
        details = _DETAILS.fullmatch(call.path)
        try:
            if details is not None:
                return json_answer(200, searches.sendgrid_details(self.taken(), details[1]))
            if call.path == searches.SENDGRID:
                return json_answer(200, searches.sendgrid_messages(self.taken(), call.query))
        except searches.NotFound:
            return _errors(404, Problem("resource not found", None))
        except searches.Wrong:
            return _errors(400, Problem("invalid query", "query"))
        if call.path != "/v3/scopes":
            return json_answer(200, lists.sendgrid(self.lists, call.path, call.query))
        return json_answer(200, {"scopes": ["mail.send", "sender_verification_eligible"]})

    def tell_of(self, message: Received, recipient: str, happening: Happening, at: float) -> bytes:
        return event_body(message, recipient, happening, at)

    def sign(self, body: bytes, at: float) -> Signed:
        return sign(self.account.webhook["private_key"], body, at)

    def error(self, status: int, message: str) -> Answer:
        return _errors(status, Problem(message, None))

    def refusal(self, mode: str, seconds: float) -> Answer:
        status, problem = _REFUSALS[mode]
        answer = _errors(status, problem)
        if status == 429:
            answer.headers |= {
                "X-RateLimit-Limit": str(_RATE_LIMIT),
                "X-RateLimit-Remaining": "0",
                "X-RateLimit-Reset": str(int(time.time() + seconds + 0.999)),
            }
        return answer


def _errors(status: int, *problems: Problem) -> Answer:
    errors = [{"message": problem.message, "field": problem.field, "help": None} for problem in problems]
    return json_answer(status, {"errors": errors})
