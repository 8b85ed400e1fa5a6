"""Build → post → classify → parse, once for all providers that speak HTTP.

An adapter says how its request looks, what a success looks like, and which refusals its provider documents.
The rest is the same everywhere:

    2xx, readable by the adapter       accepted
    2xx, unreadable                    OutcomeUnknown
    3xx, 401, 402, 403, 404, 405, 410  Misconfigured: the address or the account is wrong, not the email
    400, 422                           Rejected
    413                                Unsupported: larger than this provider takes; another may take it
    408, 421, 425, 429, 503            not processed, by RFC 9110, 6585 and 8470: ProviderUnavailable, RateLimited
    every other 5xx                    OutcomeUnknown, unless the adapter lists it among its `refusals`
    anything else                      OutcomeUnknown
"""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from math import isfinite
from typing import Any
from uuid import UUID

from domain.attempt import SendResult
from domain.capabilities import Capabilities
from domain.checkup import Checkup
from domain.errors import (
    Misconfigured,
    OutcomeUnknown,
    ProviderError,
    ProviderUnavailable,
    RateLimited,
    Rejected,
    Unsupported,
)
from domain.message import Submission
from domain.ports import Letter
from domain.sender_domains import SenderDomain
from providers import guard, wire
from providers.answers import LARGEST_LIST
from providers.exchange import Origin, Request, Response
from providers.words import clean
from providers.world import World

LONGEST_WAIT = 86_400.0  # seconds; a Retry-After beyond a day is an error of the provider's
# What reading another form than the documented one raises.
UNREADABLE = (ValueError, TypeError, LookupError, AttributeError)
_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?")
_LONGEST_ID = 255  # characters, as it is kept
_NO_DATE = (ValueError, OverflowError)  # the latter of a year of twenty digits
_NO_EMAIL_OF_OURS = frozenset({401, 402, 403, 404, 405, 406, 410, 415})
_OF_THE_EMAIL = frozenset({400, 422})
_NOT_PROCESSED = frozenset({408, 421, 425, 503})


class _MayNotAsk(Exception):
    """The credentials may send, and not ask about domains."""


class HTTPProvider(ABC):
    """One account at a provider with an HTTP API. Safe for several threads; never repeats a request."""

    _fields: Mapping[str, str] = {}  # that go with each request
    # Statuses that the provider documents as "not accepted", with the error each means. Name the source beside.
    refusals: Mapping[int, Callable[[str, str], ProviderError]] = {}

    def __init__(
        self,
        name: str,
        base_url: str,
        capabilities: Capabilities,
        world: World,
        secrets: tuple[str, ...] = (),
    ) -> None:
        self.name, self.base_url = name, base_url
        self._capabilities, self._world, self._secrets = capabilities, world, secrets
        self._origin = Origin(name, base_url, world)

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    def send(self, submission: Submission, attempt_id: UUID) -> SendResult:
        return self._result(self._origin.perform(self.compose(submission, attempt_id)), submission)

    def send_group(
        self, letters: Sequence[Letter], go_on: Callable[[], bool]
    ) -> Iterator[tuple[int, SendResult | ProviderError | None, float]]:
        refused: list[tuple[int, ProviderError]] = []
        for place, ended, seconds in self._origin.perform_together(self._composed(letters, go_on, refused)):
            result: SendResult | ProviderError | None
            try:
                result = (
                    self._result(ended, letters[place].submission) if isinstance(ended, Response) else ended
                )
            except ProviderError as error:
                result = error
            except Exception as error:  # noqa: BLE001  # nothing proves that it was not taken; the others' answers come
                result = wire.unanswered(self.name, error)
            yield place, result, seconds
        for place, reason in refused:
            yield place, reason, 0.0

    def _composed(
        self, letters: Sequence[Letter], go_on: Callable[[], bool], refused: list[tuple[int, ProviderError]]
    ) -> Iterator[tuple[int, Request]]:
        for place, letter in enumerate(letters):
            if not go_on():
                return
            try:
                request = self.compose(letter.submission, letter.attempt_id)
            except ProviderError as error:
                refused.append((place, error))
            except Exception as error:  # noqa: BLE001  # nothing of it went, and the others are not to blame
                refused.append(
                    (place, Unsupported(self.name, f"could not be composed: {type(error).__name__}"))
                )
            else:
                yield place, request

    def _result(self, response: Response, submission: Submission) -> SendResult:
        """What an answer to a send means. Raises ProviderError."""
        if (refusal := self.judge(response, submission)) is not None:
            raise refusal
        try:
            return self.parse(response)
        except ProviderError:
            raise
        except UNREADABLE as reason:
            raise OutcomeUnknown(self.name, f"an unreadable {self._shape(response)}") from reason

    def compose(self, submission: Submission, attempt_id: UUID) -> Request:
        """What `send` would send. Raises Rejected or Unsupported."""
        guard.refuse(self.name, self._capabilities, submission)
        try:
            return self.build(submission, attempt_id)
        except UNREADABLE as error:
            raise Unsupported(self.name, f"could not be composed: {type(error).__name__}") from error

    def check(self) -> Checkup:
        try:
            request = self.probe()
        except ValueError as error:
            raise Misconfigured(self.name, "the credentials cannot be sent over HTTP") from error
        response = self._origin.perform(request)
        if self.may_only_send(response):
            return Checkup(notes=("the credentials may send, but not ask what the account may do",))
        response = self.passed(response)
        try:
            return self.recognise(response)
        except UNREADABLE as error:
            raise Misconfigured(self.name, "the address does not answer as this provider does") from error

    def sender_domain(self, name: str) -> SenderDomain | None:
        try:
            return self.find_domain(name)
        except _MayNotAsk:
            return None
        except UNREADABLE as error:
            raise Misconfigured(self.name, "it does not tell of domains in the documented form") from error

    def find_domain(self, name: str) -> SenderDomain | None:
        """As `sender_domain`, raising whatever a strange answer raises. By the identities that a check finds, where an
        adapter does not know better.
        """
        known = {identity.name.lower(): identity.verified for identity in self.check().identities or ()}
        return SenderDomain(known[name]) if name in known else None

    def ask_domain(self, request: Request) -> Any:
        """The JSON of an answer about a domain; None: the account has none of that name."""
        response = self._origin.perform(request)
        if response.status in (401, 403) or self.may_only_send(response):
            raise _MayNotAsk
        if response.status == 404:
            return None
        return self.json(self.passed(response))

    def ask_list(self, request: Request) -> Any:
        """The JSON of an answer that may be long. Raises ProviderError."""
        response = self.passed(self._origin.perform(request, LARGEST_LIST))
        try:
            return self.json(response)
        except ValueError as error:
            raise Misconfigured(self.name, "it does not tell of its lists in the documented form") from error

    def passed(self, response: Response) -> Response:
        """The same answer where it is a 2xx; raises the error that any other one means."""
        if (refusal := self.judge(response)) is not None:
            raise refusal
        return response

    def close(self) -> None:
        self._origin.close()

    @abstractmethod
    def build(self, submission: Submission, attempt_id: UUID) -> Request:
        """The request that sends the email. Raises Unsupported, or ValueError where it cannot be composed."""

    @abstractmethod
    def parse(self, response: Response) -> SendResult:
        """Read a 2xx answer. Raise one of UNREADABLE where it does not say "accepted"."""

    @abstractmethod
    def probe(self) -> Request:
        """A request that needs the credentials and changes nothing."""

    def took(self, response: Response) -> bool:
        """Whether the answer says that the email was taken, and so is for `parse`: every 2xx."""
        return 200 <= response.status < 300

    def recognise(self, response: Response) -> Checkup:  # noqa: ARG002
        """Read the 2xx answer to the probe. Raises Misconfigured where it shows that sending would fail, and one of
        UNREADABLE where it is not the provider's.
        """
        return Checkup()

    def may_only_send(self, response: Response) -> bool:  # noqa: ARG002
        """Whether a refused probe shows only that these credentials may not ask: the provider knows them."""
        return False

    def explain(self, response: Response) -> str | None:  # noqa: ARG002
        """What the provider says went wrong, from its documented error form. None, or one of UNREADABLE raised, where
        it is not in that form.
        """
        return None

    def explained(self, response: Response) -> str | None:
        """What the provider says went wrong; None where the answer is not in its form."""
        try:
            return self.explain(response)
        except UNREADABLE:
            return None

    def classify(self, response: Response, said: str) -> ProviderError | None:  # noqa: ARG002
        """A finer class than the status gives, or None."""
        return None

    def reset_after(self, response: Response) -> float | None:  # noqa: ARG002
        """Seconds until a rate limit ends, from a field of the provider's own."""
        return None

    def judge(self, response: Response, submission: Submission | None = None) -> ProviderError | None:
        """The error that the answer means, or None where `parse` is to read it."""
        status = response.status
        if self.took(response):
            return None
        raw = self.explained(response)
        said = clean(raw, self._secrets, submission) if raw is not None else None
        detail = f"{status}: {said}" if said else f"answered {self._shape(response)}"
        if (finer := self.classify(response, said or "")) is not None:
            return finer
        if status == 429:
            return RateLimited(self.name, detail, self.retry_after(response))
        if status in self.refusals:
            return self.refusals[status](self.name, detail)
        if status in _NOT_PROCESSED:
            return ProviderUnavailable(self.name, detail)
        if status in _NO_EMAIL_OF_OURS or 300 <= status < 400:
            return Misconfigured(self.name, detail)
        if status == 400 and response.media_type == "text/html":
            return ProviderUnavailable(self.name, f"{detail}: a page from something before the provider")
        if status == 413:
            return Unsupported(self.name, detail)
        if status in _OF_THE_EMAIL:
            return Rejected(self.name, detail)
        return OutcomeUnknown(self.name, detail)

    def retry_after(self, response: Response) -> float | None:
        """Seconds from Retry-After (RFC 9110, 10.2.3: seconds or a date), else from the provider's own field."""
        value = response.headers.get("retry-after", "").strip()
        seconds = number_in(value, digits=99)
        if seconds is None and value:
            try:
                seconds = self.seconds_until(response, parsedate_to_datetime(value))
            except _NO_DATE:
                seconds = None
        if seconds is None:
            seconds = self.reset_after(response)
        if seconds is None or not isfinite(seconds):
            return None
        return min(max(seconds, 0.0), LONGEST_WAIT)

    def seconds_until(self, response: Response, moment: datetime) -> float:
        """By the provider's own clock (its Date field), so that ours may be wrong; else by ours."""
        try:
            now = parsedate_to_datetime(response.headers["date"])
        except (LookupError, *_NO_DATE):
            now = self._world.wall_time()
        return (_aware(moment) - _aware(now)).total_seconds()

    def json(self, response: Response) -> Any:
        """The body as JSON. Raises ValueError."""
        try:
            return json.loads(response.body)
        except RecursionError:
            raise ValueError("nested too deep") from None

    def post(self, path: str, body: bytes, **fields: str) -> Request:
        """A request with JSON. `fields`: more of them, by their names with _ for -."""
        more = {name.replace("_", "-"): value for name, value in fields.items()}
        return Request("POST", path, {**self._fields, "Content-Type": "application/json", **more}, body)

    @staticmethod
    def _shape(response: Response) -> str:
        kind = clean(response.media_type)[:60] or "untyped"
        return f"{response.status} with {len(response.body)} bytes ({kind})"


def number_in(text: object, digits: int = 9) -> float | None:
    """The number in a field of an answer; None where there is none, or a longer one: a time is no number of seconds."""
    value = str(text or "").strip()
    return float(value) if _NUMBER.fullmatch(value) and len(value.partition(".")[0]) <= digits else None


def id_in(value: object) -> str:
    """The provider's id of an email. Raises ValueError where this is none."""
    if not isinstance(value, str) or not value:
        raise ValueError("no id")
    return value[:_LONGEST_ID]


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
