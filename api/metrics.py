"""What operators watch, in Prometheus's text form: what each figure means, and when to be alarmed by it.

`docs/reference/metrics.md` is written from this table (`python -m wiring.metrics_page`).
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from db.repositories.census import Census
from db.tally import SECONDS

MEDIA_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

_PROVIDER = ("provider", "provider_id")


@dataclass(frozen=True, slots=True)
class Figure:
    """One metric: its type, its labels, what it means, and an expression that is worth an alarm."""

    type: str
    labels: tuple[str, ...]
    meaning: str
    alarm: str


FIGURES: Final[Mapping[str, Figure]] = {
    "mailmux_up": Figure(
        "gauge",
        ("part",),
        "Whether PostgreSQL and Redis (`part`) answered this scrape. Figures of a part that did not are left out.",
        'mailmux_up{part="postgres"} == 0',
    ),
    "mailmux_queue_emails": Figure(
        "gauge",
        ("lane", "state"),
        "Emails that still move: `due` (a worker should take them), `waiting` (for their time or their next try), "
        "`sending` (a worker holds them), `unknown` (possibly sent, held until there is evidence). "
        "Counted up to 100,000 each.",
        'mailmux_queue_emails{state="unknown"} > 50',
    ),
    "mailmux_queue_age_seconds": Figure(
        "gauge",
        ("lane",),
        "For how long the longest waiting due email of a lane has been due. 0: nothing is due.",
        'mailmux_queue_age_seconds{lane="transactional"} > 30',
    ),
    "mailmux_open_attempts": Figure(
        "gauge",
        (),
        "Attempts that are on their way to a provider: what killing every worker now would leave unknown at most.",
        'mailmux_open_attempts > 0 and on () sum(mailmux_worker_runs{state="alive"}) == 0',
    ),
    "mailmux_events_waiting": Figure(
        "gauge",
        (),
        "Events of providers that are stored and not applied yet, also those whose email is not known yet. Counted up "
        "to 100,000.",
        "mailmux_events_waiting > 10000",
    ),
    "mailmux_events_late_seconds": Figure(
        "gauge",
        (),
        "For how long the longest waiting of them should have been applied. 0: none should.",
        "mailmux_events_late_seconds > 60",
    ),
    "mailmux_webhooks_disabled": Figure(
        "gauge",
        (),
        "Webhooks of users that Mailmux has disabled, because they took nothing for three days or answered 410, and "
        "that nobody has enabled again.",
        "delta(mailmux_webhooks_disabled[1h]) > 0",
    ),
    "mailmux_worker_runs": Figure(
        "gauge",
        ("state",),
        "Worker processes by their lease: `alive`, or `dead` and not yet buried by a sweep.",
        'mailmux_worker_runs{state="alive"} == 0 or mailmux_worker_runs{state="dead"} > 0',
    ),
    "mailmux_duty_age_seconds": Figure(
        "gauge",
        ("duty",),
        "How long ago a duty of the clock was last done to its end.",
        'mailmux_duty_age_seconds{duty="measure_providers"} > 300',
    ),
    "mailmux_celery_messages": Figure(
        "gauge",
        ("queue",),
        "Messages that wait in Redis. They carry no emails: a few are usual, more than ten mean that nobody listens.",
        "min_over_time(mailmux_celery_messages[5m]) > 5",
    ),
    "mailmux_provider_active": Figure(
        "gauge", _PROVIDER, "1, or 0 where an operator has paused it.", "mailmux_provider_active == 0"
    ),
    "mailmux_provider_breaker": Figure(
        "gauge",
        _PROVIDER,
        "0: closed, emails go there. 1: open, but one email may probe it now. 2: open.",
        "min_over_time(mailmux_provider_breaker[5m]) > 0",
    ),
    "mailmux_provider_throttled": Figure(
        "gauge",
        _PROVIDER,
        "1 while the provider has asked to slow down.",
        "avg_over_time(mailmux_provider_throttled[15m]) > 0.5",
    ),
    "mailmux_provider_share": Figure(
        "gauge",
        _PROVIDER,
        "The part of its emails that the provider gets by what was learned of it: 0 while it is down.",
        "min_over_time(mailmux_provider_share[5m]) == 0",
    ),
    "mailmux_provider_feed_down": Figure(
        "gauge",
        _PROVIDER,
        "1 while the provider's events have stopped; nothing is judged by them then.",
        "mailmux_provider_feed_down == 1",
    ),
    "mailmux_provider_alarms": Figure(
        "gauge",
        _PROVIDER,
        "Mailbox hosts to which emails get lost at the provider.",
        "mailmux_provider_alarms > 0",
    ),
    "mailmux_provider_reliability": Figure(
        "gauge",
        _PROVIDER,
        "Its reliability score over the last day, from the ledger: 1 is best.",
        "mailmux_provider_reliability < 0.95",
    ),
    "mailmux_provider_latency_seconds": Figure(
        "gauge",
        (*_PROVIDER, "quantile"),
        "How long it took to accept an email, over the last day, within 5%.",
        'mailmux_provider_latency_seconds{quantile="0.95"} > 5',
    ),
    "mailmux_quota_limit": Figure(
        "gauge",
        (*_PROVIDER, "window"),
        "Recipients that may be sent to in the `day` or `month` of the provider's time zone, or in any `24h`.",
        "",
    ),
    "mailmux_quota_used": Figure(
        "gauge",
        (*_PROVIDER, "window"),
        "Recipients of that window that are used, reserved ones included.",
        "mailmux_quota_used / mailmux_quota_limit > 0.9",
    ),
    "mailmux_budget_spent_share": Figure(
        "gauge",
        ("budget_id", "user_id", "provider", "period", "currency"),
        "What is spent of a budget in the `day` or `month` that goes on, by its own calendar: 1 is all, and more where "
        "emails go all the same. Without a `user_id`: of everybody's emails; without a `provider`: by whichever. The "
        "oldest 1,000 budgets are told of.",
        "mailmux_budget_spent_share > 0.8",
    ),
    "mailmux_attempts_total": Figure(
        "counter",
        (*_PROVIDER, "outcome", "error"),
        "Calls to providers: `accepted`, `not_sent`, `unknown`; `error` as in the "
        "[outcomes](statuses.md#outcome-of-an-attempt).",
        'sum by (provider) (rate(mailmux_attempts_total{outcome!="accepted"}[5m]))\n'
        "  / sum by (provider) (rate(mailmux_attempts_total[5m])) > 0.1",
    ),
    "mailmux_events_total": Figure(
        "counter",
        (*_PROVIDER, "event"),
        "Events of providers that were applied, `event` as in [the events](statuses.md#what-providers-tell-later); "
        "`unmatched`: of no email of ours.",
        'sum by (provider) (rate(mailmux_events_total{event="unmatched"}[1h]))\n'
        "  / sum by (provider) (rate(mailmux_events_total[1h])) > 0.1",
    ),
    "mailmux_send_seconds": Figure(
        "histogram",
        _PROVIDER,
        "How long calls to providers took.",
        "histogram_quantile(0.99, sum by (provider, le) (rate(mailmux_send_seconds_bucket[5m]))) > 10",
    ),
    "mailmux_request_seconds": Figure(
        "histogram",
        ("method", "route", "status"),
        "How long the API took to answer. Accepting an email is `POST /v1/emails` and `POST /v1/emails/batch`.",
        'histogram_quantile(0.99, sum by (le) (rate(mailmux_request_seconds_bucket{route="/v1/emails",'
        'method="POST"}[5m]))) > 0.25',
    ),
}


@dataclass(frozen=True, slots=True)
class Sight:
    """What a scrape found. None where that part did not answer. `breakers`: (0, 1 or 2, throttled) by provider;
    `standings`: (share, feed down, alarms) by provider, where somebody learns; `counts` as db.tally has them.
    """

    census: Census | None = None
    breakers: Mapping[UUID, tuple[int, bool]] | None = None
    standings: Mapping[UUID, tuple[float, bool, int]] | None = None
    messages: Mapping[str, int] | None = None
    counts: Mapping[tuple[str, ...], float] | None = None


@dataclass(frozen=True, slots=True)
class Watch:
    """`look()` never raises. `token`: what a scraper must bear; None: only this machine may ask.

    `observe(method, route, status, seconds)` counts an answered request.
    """

    look: Callable[[], Sight] = Sight
    observe: Callable[[str, str, str, float], None] = lambda *_: None
    token: str | None = field(default=None, repr=False)


def render(sight: Sight) -> bytes:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Found(sight))
    return generate_latest(registry)


class _Found:
    def __init__(self, sight: Sight) -> None:
        self._sight = sight

    def collect(self) -> Iterator[Metric]:
        up = _gauge("mailmux_up")
        up.add_metric(["postgres"], float(self._sight.census is not None))
        up.add_metric(["redis"], float(self._sight.counts is not None))
        yield up
        if self._sight.census is not None:
            yield from _of_census(self._sight.census)
            yield from _of_breakers(self._sight.census, self._sight.breakers or {})
            yield from _of_standings(self._sight.census, self._sight.standings or {})
        messages = (self._sight.messages or {}).items()
        yield _filled("mailmux_celery_messages", (((queue,), n) for queue, n in messages))
        names = {str(p.id): p.name for p in self._sight.census.providers} if self._sight.census else {}
        yield from _of_counts(self._sight.counts or {}, names)


def _of_census(census: Census) -> Iterator[Metric]:
    yield _filled("mailmux_queue_emails", census.queue.items())
    yield _filled("mailmux_queue_age_seconds", (((lane,), age) for lane, age in census.ages.items()))
    yield _filled("mailmux_open_attempts", [((), census.open_attempts)])
    yield _filled("mailmux_events_waiting", [((), census.events)])
    yield _filled("mailmux_events_late_seconds", [((), census.events_late)])
    yield _filled("mailmux_webhooks_disabled", [((), census.webhooks_disabled)])
    yield _filled("mailmux_worker_runs", (((state,), n) for state, n in census.runs.items()))
    yield _filled("mailmux_duty_age_seconds", (((duty,), age) for duty, age in census.duties.items()))
    named = [((p.name, str(p.id)), p) for p in census.providers]
    yield _filled("mailmux_provider_active", ((name, p.active) for name, p in named))
    yield _filled("mailmux_provider_reliability", ((name, p.reliability) for name, p in named))
    yield _filled(
        "mailmux_provider_latency_seconds",
        (((*name, str(q)), ms / 1000) for name, p in named for q, ms in p.latencies.items()),
    )
    yield _filled(
        "mailmux_budget_spent_share",
        (
            ((str(b.id), str(b.user_id or ""), b.provider or "", b.period, b.currency), b.spent_share)
            for b in census.budgets
        ),
    )
    for metric, place in (("mailmux_quota_limit", 0), ("mailmux_quota_used", 1)):
        yield _filled(
            metric,
            (((*name, window), quota[place]) for name, p in named for window, quota in p.quotas.items()),
        )


def _of_breakers(census: Census, breakers: Mapping[UUID, tuple[int, bool]]) -> Iterator[Metric]:
    known = [((p.name, str(p.id)), *breakers[p.id]) for p in census.providers if p.id in breakers]
    yield _filled("mailmux_provider_breaker", ((name, state) for name, state, _ in known))
    yield _filled("mailmux_provider_throttled", ((name, throttled) for name, _, throttled in known))


def _of_standings(census: Census, standings: Mapping[UUID, tuple[float, bool, int]]) -> Iterator[Metric]:
    known = [((p.name, str(p.id)), standings[p.id]) for p in census.providers if p.id in standings]
    for place, metric in enumerate(("share", "feed_down", "alarms")):
        yield _filled(f"mailmux_provider_{metric}", ((name, seen[place]) for name, seen in known))


def _of_counts(counts: Mapping[tuple[str, ...], float], names: Mapping[str, str]) -> Iterator[Metric]:
    attempts, events = _counter("mailmux_attempts_total"), _counter("mailmux_events_total")
    for (metric, *labels), count in sorted(counts.items()):
        match metric, labels:
            case "attempts", [_, _, _, _]:
                attempts.add_metric(labels, count)
            case "events", [provider_id, _] if provider_id in names:
                events.add_metric([names[provider_id], *labels], count)
    yield from (attempts, events)
    yield _histogram("mailmux_send_seconds", "send", counts)
    yield _histogram("mailmux_request_seconds", "request", counts)


def _histogram(name: str, counted_as: str, counts: Mapping[tuple[str, ...], float]) -> Metric:
    figure = FIGURES[name]
    found: defaultdict[tuple[str, ...], dict[str, float]] = defaultdict(dict)
    for (metric, *labels, step), count in counts.items():
        if metric == counted_as and len(labels) == len(figure.labels):
            found[tuple(labels)][step] = count
    family = HistogramMetricFamily(name, figure.meaning, labels=figure.labels)
    bounds = [*map(str, SECONDS), "+Inf"]
    for values, steps in sorted(found.items()):
        sums = itertools.accumulate(steps.get(str(step), 0.0) for step in range(len(bounds)))
        family.add_metric(list(values), list(zip(bounds, sums, strict=True)), sum_value=steps.get("sum", 0.0))
    return family


def _counter(name: str) -> CounterMetricFamily:
    figure = FIGURES[name]
    return CounterMetricFamily(name.removesuffix("_total"), figure.meaning, labels=figure.labels)


def _gauge(name: str) -> GaugeMetricFamily:
    figure = FIGURES[name]
    return GaugeMetricFamily(name, figure.meaning, labels=figure.labels)


def _filled(name: str, values: Iterable[tuple[Sequence[str], float]]) -> Metric:
    family = _gauge(name)
    for labels, value in values:
        family.add_metric(list(labels), float(value))
    return family
