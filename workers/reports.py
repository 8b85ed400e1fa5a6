"""Fetching what mailboxes hold of bounces and complaints; it is then applied as webhooks' events are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from uuid import UUID

from domain.errors import ProviderError, StorageUnavailable
from domain.events import InboundEvent
from domain.ports import Clock, DeliveryQueue, Log, Provider, ReportingProvider
from workers.upkeep import Units, timely


def collect_reports(
    units: Units,
    providers: Sequence[UUID],
    adapter: Callable[[UUID], Provider],
    queue: DeliveryQueue,
    clock: Clock,
    log: Log,
    stopping: Callable[[], bool] = lambda: False,
) -> int:
    """Read the mailboxes of these accounts; one that fails stops no other. Returns how many events there were.

    When the time of a round is over, what is left is read by the next: each in another order, so that no mailbox is
    left out for good because those before it take long.
    """
    is_over, found = timely(clock, stopping), 0
    for provider_id in clock.chance.sample(providers, len(providers)):
        try:
            provider = adapter(provider_id)
        except LookupError:
            continue
        if not isinstance(provider, ReportingProvider) or is_over():
            continue

        kept: list[int] = []

        def keep(
            events: Sequence[InboundEvent], provider_id: UUID = provider_id, kept: list[int] = kept
        ) -> None:
            with units() as unit:
                unit.inbound.keep([(provider_id, event) for event in events])
                unit.commit()
            kept.append(len(events))

        try:
            provider.collect(keep, lambda: not is_over())
        except ProviderError as error:
            log.warning("reports_not_read", provider=str(provider_id), error=error.code, detail=error.detail)
        except StorageUnavailable:
            raise
        except Exception:  # whatever one account's emails break, the others' are not to wait for it
            log.exception("reports_broken", provider=str(provider_id))
        if count := sum(kept):  # also before it failed
            queue.ring_events()
            log.info("reports_read", provider=str(provider_id), events=count)
        found += count
    return found
