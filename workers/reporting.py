"""Telling the learner what goes out and how it ends, a window at a time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from routing.mailbox_groups import group_number
from routing.news import Began, Ended, News, Newsroom, end_of, number_of
from routing.signs import End
from workers.planning import Route
from workers.sending import Reply

Opened = Sequence[tuple[UUID, Route]]


def report_begun(newsroom: Newsroom, opened: Opened, now: datetime) -> None:
    """Before the wire: who hangs can only be noticed if it is known to have begun."""
    by_provider: dict[UUID, list[tuple[UUID, Route]]] = defaultdict(list)
    for attempt_id, route in opened:
        by_provider[route.candidate.provider_id].append((attempt_id, route))
    newsroom.tell([_began(provider, own, now.timestamp()) for provider, own in by_provider.items()])


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
    ends: dict[UUID, list[tuple[int, End, float]]] = defaultdict(list)
    for (attempt_id, route), reply in zip(opened, replies, strict=True):
        made = reply.sent is not None or reply.error is not None
        end = end_of(reply.error) if made else End.QUOTA_SPENT
        seconds = (reply.latency_ms or 0.0) / 1000
        ends[route.candidate.provider_id].append((number_of(attempt_id), end, seconds))
    news: list[News] = [Ended(provider, now.timestamp(), tuple(own)) for provider, own in ends.items()]
    newsroom.tell(news)
