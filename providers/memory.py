"""A provider that keeps what it is given and answers as its script says. It opens no connection.

For tests, and for sending in earnest to nobody.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, model_validator

from domain.attempt import SendResult
from domain.capabilities import Capabilities
from domain.checkup import Checkup
from domain.errors import (
    Misconfigured,
    OutcomeUnknown,
    ProviderError,
    ProviderUnavailable,
    RateLimited,
    RecipientSuppressed,
    Rejected,
    SenderNotVerified,
    Transient,
    Unsupported,
)
from domain.events import BounceClass, DeliveryEvent, EventType, RejectReason, Verified, WebhookRequest
from domain.message import Submission
from providers import guard, magic
from providers.webhooks import BasicAuthSecret, JSONWebhook, attempt_of, instant, word
from providers.world import World


class Answer(StrEnum):
    """How a send ends. The names are those of the errors' codes."""

    ACCEPTED = "accepted"
    TRANSIENT = "transient"
    UNAVAILABLE = "provider_unavailable"
    RATE_LIMITED = "rate_limited"
    MISCONFIGURED = "misconfigured"
    SENDER_NOT_VERIFIED = "sender_not_verified"
    UNSUPPORTED = "unsupported"
    REJECTED = "rejected"
    RECIPIENT_SUPPRESSED = "recipient_suppressed"
    UNKNOWN = "outcome_unknown"
    TAKEN_BUT_UNKNOWN = "taken_but_unknown"


_ERRORS: Mapping[Answer, type[ProviderError]] = {
    Answer.TRANSIENT: Transient,
    Answer.UNAVAILABLE: ProviderUnavailable,
    Answer.MISCONFIGURED: Misconfigured,
    Answer.SENDER_NOT_VERIFIED: SenderNotVerified,
    Answer.UNSUPPORTED: Unsupported,
    Answer.REJECTED: Rejected,
    Answer.RECIPIENT_SUPPRESSED: RecipientSuppressed,
    Answer.UNKNOWN: OutcomeUnknown,
    Answer.TAKEN_BUT_UNKNOWN: OutcomeUnknown,
}
_TAKEN = frozenset({Answer.ACCEPTED, Answer.TAKEN_BUT_UNKNOWN})


class Config(BaseModel):
    """`answers` by recipient's address; the first recipient that has one decides. Else `answer`. `magic`: addresses say
    themselves what becomes of an email (providers.magic).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    answer: Answer = Answer.ACCEPTED
    answers: dict[str, Answer] = {}
    retry_after: Annotated[float | None, Field(ge=0, le=86_400)] = None
    magic: bool = False


class Credentials(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True, slots=True)
class Sent:
    """An email that the provider took."""

    submission: Submission
    attempt_id: UUID
    provider_message_id: str


def capabilities(_config: Config) -> Capabilities:
    return Capabilities()


class MemoryProvider:
    """`script` answers the first calls, one each; then the configuration holds.

    `kept`: how many of the last emails and calls it remembers; None: all.
    """

    def __init__(
        self,
        name: str = "memory",
        config: Config | None = None,
        script: Iterable[Answer | ProviderError] = (),
        can: Capabilities | None = None,
        kept: int | None = None,
    ) -> None:
        self.name = name
        self._config = config or Config()
        self._by_recipient = {address.lower(): a for address, a in self._config.answers.items()}
        self._script = iter(script)
        self._can = can or capabilities(self._config)
        self._lock = threading.Lock()
        self._sent: deque[Sent] = deque(maxlen=kept)
        self._calls: deque[UUID] = deque(maxlen=kept)
        self.closed = False

    @property
    def capabilities(self) -> Capabilities:
        return self._can

    @property
    def sent(self) -> tuple[Sent, ...]:
        """What was taken, in order."""
        with self._lock:
            return tuple(self._sent)

    @property
    def calls(self) -> tuple[UUID, ...]:
        """The attempt of every call that got past the guard, in order."""
        with self._lock:
            return tuple(self._calls)

    def send(self, submission: Submission, attempt_id: UUID) -> SendResult:
        guard.refuse(self.name, self._can, submission)
        with self._lock:
            self._calls.append(attempt_id)
            answer = next(self._script, None) or self._configured(submission)
            message_id = f"memory-{attempt_id}"
            if answer in _TAKEN:
                self._sent.append(Sent(submission, attempt_id, message_id))
        if answer is Answer.ACCEPTED:
            if not self._config.magic:
                return SendResult(message_id)
            if (error := magic.refusal(self.name, submission)) is not None:
                raise error
            return SendResult(message_id, tuple(magic.events(submission, attempt_id)))
        raise self._error(answer)

    def check(self) -> Checkup:
        if self._config.answer in (Answer.UNAVAILABLE, Answer.MISCONFIGURED):
            raise self._error(self._config.answer)
        return Checkup()

    def close(self) -> None:
        self.closed = True

    def _configured(self, submission: Submission) -> Answer:
        for recipient in submission.envelope.recipients:
            if answer := self._by_recipient.get(recipient.address.email.lower()):
                return answer
        return self._config.answer

    def _error(self, answer: Answer | ProviderError) -> ProviderError:
        if isinstance(answer, ProviderError):
            return answer
        if answer is Answer.RATE_LIMITED:
            return RateLimited(self.name, "as scripted", self._config.retry_after)
        return _ERRORS[answer](self.name, "as scripted")


class WebhookSecret(BasicAuthSecret):
    """The user and the password that a call gives."""

    @model_validator(mode="after")
    def _given(self) -> Self:
        if self.username is None:
            raise ValueError("a username and a password")
        return self


class Webhook(JSONWebhook[WebhookSecret]):
    """Events in our own words: {"event", "id", "attempt", "message_id", "recipient", "bounce", "reason", "at"}."""

    def prove(self, request: WebhookRequest, secret: WebhookSecret, now: datetime) -> Verified:  # noqa: ARG002
        secret.check_basic(request)
        return Verified()

    def read(self, item: Mapping[str, Any], request: WebhookRequest) -> Iterable[DeliveryEvent]:  # noqa: ARG002
        told, bounce, reason = item.get("event"), item.get("bounce"), item.get("reason")
        yield DeliveryEvent(
            type=EventType(told) if told in set(EventType) else EventType.UNKNOWN,
            event_id=word(item.get("id")),
            occurred_at=instant(item.get("at")),
            recipient=word(item.get("recipient")),
            attempt_id=attempt_of(item, "attempt"),
            email_id=attempt_of(item, "email"),
            provider_message_id=word(item.get("message_id")),
            reject_reason=RejectReason(reason) if reason in set(RejectReason) else None,
            bounce=BounceClass(bounce) if bounce in set(BounceClass) else None,
            description=word(item.get("description")),
        )


def webhook(_name: str, _config: Config, secrets: Sequence[WebhookSecret], _world: World) -> Webhook:
    return Webhook(secrets)


def build(name: str, config: Config, _credentials: Credentials, _world: World) -> MemoryProvider:
    return MemoryProvider(name, config, kept=0)  # a worker would keep every email for as long as it lives
