"""What the ledger and the breakers are told of a route and of its reply: values, no work."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from uuid import UUID

from domain.attempt import Attempt, Outcome, SendResult
from domain.delivery import Ending, Opening
from domain.errors import ProviderError, RateLimited, RecipientSuppressed, SenderNotVerified
from domain.events import EventType, InboundEvent
from domain.message import Submission
from domain.ports import Letter
from domain.suppression import Cause, Reach, Report, normalized
from routing.breaker import sign_of
from routing.live import Signal
from workers.planning import Parcel, Route
from workers.sending import Outgoing, Reply

NOT_ATTEMPTED = "not_attempted"  # the ledger's word for an attempt that never reached the wire
_HIGHEST_COST = Decimal("999999.99999999")  # that the ledger's column holds


def outgoing(attempt_id: UUID, route: Route) -> Outgoing:
    candidate = route.candidate
    return Outgoing(candidate.provider_id, candidate.provider, Letter(route.parcel.submission, attempt_id))


def opening(attempt_id: UUID, route: Route) -> Opening:
    submission, candidate = route.parcel.submission, route.candidate
    return Opening(
        attempt_id=attempt_id,
        job_id=submission.id,
        provider_id=candidate.provider_id,
        round=route.parcel.case.round,
        recipients=submission.recipient_count,
        cost=min(candidate.cost, _HIGHEST_COST),
        currency=candidate.currency,
        decision=route.decision.kept(),
        warming=submission.envelope.sender.domain if route.warming else None,
        user_id=submission.user_id,
        heeds_budgets=route.heeds_budgets,
    )


def ending(attempt_id: UUID, route: Route, reply: Reply) -> Ending:
    if reply.error is not None:
        refused = None
        if isinstance(reply.error, SenderNotVerified):
            refused = (route.candidate.provider_id, route.parcel.submission.envelope.sender.domain)
        return Ending(
            attempt_id,
            reply.error.outcome,
            reply.error.code,
            storable(reply.error.detail),
            latency_ms=reply.latency_ms,
            refused_sender=refused,
            reports=_reports(route, reply.error),
        )
    if reply.sent is None:
        return Ending(attempt_id, Outcome.NOT_SENT, NOT_ATTEMPTED, "the worker's lease had passed")
    message_id = storable(reply.sent.provider_message_id)
    return Ending(
        attempt_id,
        Outcome.ACCEPTED,
        provider_message_id=message_id,
        latency_ms=reply.latency_ms,
        events=tuple(
            [
                (route.candidate.provider_id, event)
                for event in told_at_once(attempt_id, reply.sent, route.parcel.submission)
            ]
        ),
    )


def told_at_once(attempt_id: UUID, sent: SendResult, submission: Submission) -> list[InboundEvent]:
    """What the answer to the send told: it is of this attempt, also where the provider gave the email no name.

    A refusal of somebody to whom nothing was sent is one of somebody, and not of everybody.
    """
    people = {normalized(r.address.email) for r in submission.envelope.recipients}
    found: list[InboundEvent] = []
    for place, told in enumerate(sent.events):
        stranger = (
            told.event.type is EventType.REJECTED
            and len(people) > 1
            and normalized(told.event.recipient or "") not in people
        )
        event = replace(told.event, attempt_id=attempt_id, partly=told.event.partly or stranger)
        found.append(InboundEvent(f"answer:{attempt_id}:{place}", event, told.raw))
    return found


def _reports(route: Route, error: ProviderError) -> tuple[Report, ...]:
    """Whom the provider lists is on the user's list too, as far as the email's kind: it did not say for what."""
    if not isinstance(error, RecipientSuppressed):
        return ()
    submission, source = route.parcel.submission, f"refused by {route.candidate.provider_id}"
    return tuple(
        Report(
            submission.id,
            normalized(r.address.email),
            Cause.PROVIDER,
            Reach.ITS_KIND,
            source,
            storable(error.detail),
        )
        for r in submission.envelope.recipients
    )


def storable(text: str | None) -> str | None:
    """A provider's words without what PostgreSQL's text cannot hold: NUL and lone surrogates."""
    return text and text.replace("\0", "").encode("utf-8", "replace").decode()


def after(attempt_id: UUID, route: Route, error: ProviderError) -> Parcel:
    """The email with this try in its history."""
    parcel, candidate = route.parcel, route.candidate
    attempt = Attempt(
        id=attempt_id,
        job_id=parcel.submission.id,
        provider_id=candidate.provider_id,
        provider=candidate.provider,
        round=parcel.case.round,
        outcome=error.outcome,
        error=error.code,
    )
    return replace(parcel, case=replace(parcel.case, attempts=(*parcel.case.attempts, attempt), held=False))


def signal(route: Route, error: ProviderError | None) -> Signal:
    retry_after = error.retry_after if isinstance(error, RateLimited) else None
    cause = "" if error is None else error.code
    candidate = route.candidate
    return Signal(candidate.provider_id, sign_of(error), candidate.probe, cause, retry_after)
