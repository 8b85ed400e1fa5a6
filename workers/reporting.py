"""Telling the learner what goes out and how it ends, a window at a time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TypeVar
from uuid import UUID

from routing.mailbox_groups import group_number
from routing.news import Began, Ended, Newsroom, end_of, number_of
from routing.signs import End
from workers.planning import Route
from workers.sending import Reply

T = TypeVar("T")
Opened = Sequence[tuple[UUID, Route]]


def report_begun(newsroom: Newsroom, opened: Opened, now: datetime) -> None:
    """Before the wire: who hangs can only be noticed if it is known to have begun."""
    begun = by_provider(_providers(opened), opened)
    newsroom.tell([_began(provider, own, now.timestamp()) for provider, own in begun.items()])


def _began(provider: UUID, opened: Opened, at: float) -> Began:
    kinds, probes = [], []
    for attempt_id, route in opened:
        submission = route.parcel.submission
        domain = submission.envelope.recipients[0].address.domain
        kinds.append((submission.user_id, submission.email_type, group_number(domain)))
        if route.candidate.probe:
            probes.append(number_of(attempt_id))
    return Began(provider, at, tuple(number_of(a) for a, _ in opened), tuple(kinds), tuple(probes))


def report_ended(newsroom: Newsroom, opened: Opened, replies: Sequence[Reply], now: datetime) -> None:
    """How the calls of a window ended. One that was not made is told as refused for a rate: it says nothing."""
    ends = [_ended(attempt_id, reply) for (attempt_id, _), reply in zip(opened, replies, strict=True)]
    told = by_provider(_providers(opened), ends)
    newsroom.tell([Ended(provider, now.timestamp(), tuple(own)) for provider, own in told.items()])


def _ended(attempt_id: UUID, reply: Reply) -> tuple[int, End, float]:
    made = reply.sent is not None or reply.error is not None
    end = end_of(reply.error) if made else End.QUOTA_SPENT
    return number_of(attempt_id), end, (reply.latency_ms or 0.0) / 1000


def _providers(opened: Opened) -> list[UUID]:
    return [route.candidate.provider_id for _, route in opened]


def by_provider(providers: Iterable[UUID], ones: Iterable[T]) -> dict[UUID, list[T]]:
    """Some things, each with its provider, by provider. Those of a window mostly have the same."""
    found: dict[UUID, list[T]] = {}
    last: UUID | None = None
    own: list[T] = []
    for provider, one in zip(providers, ones, strict=True):
        if provider is not last:  # looked up once for all in a row: an id is slow to hash
            last, own = provider, found.setdefault(provider, [])
        own.append(one)
    return found
