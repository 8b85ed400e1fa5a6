"""What the learner reads and writes: its lease, its notes, and what it has to know of the house."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

from db.repositories.prices import PriceLists
from routing.pricing import PriceList

_LEASE = text("""
    INSERT INTO learner AS l (id, holder, fence, lease_until)
    VALUES (1, :holder, 1, mm_now() + :seconds * interval '1 second')
    ON CONFLICT (id) DO UPDATE SET holder = excluded.holder, lease_until = excluded.lease_until,
        fence = l.fence + CASE WHEN l.holder = excluded.holder THEN 0 ELSE 1 END
    WHERE l.holder = excluded.holder OR l.lease_until <= mm_now()
    RETURNING fence, CAST(EXTRACT(epoch FROM mm_now()) AS float) AS now
""")
_RELEASE = text("UPDATE learner SET lease_until = mm_now() WHERE holder = :holder")

_NOTES = text("SELECT position, notes FROM learner")
_LEARNED = text("SELECT provider_id, learned FROM provider_performance WHERE learned IS NOT NULL")

_KEEP = text("""
    UPDATE learner SET position = :position, notes = CAST(:notes AS jsonb)
    WHERE fence = :fence AND lease_until > mm_now()
""")
_KEEP_LEARNED = text("""
    INSERT INTO provider_performance (id, provider_id, learned)
    SELECT gen_random_uuid(), k.provider_id, CAST(k.learned AS jsonb)
    FROM unnest(CAST(:providers AS uuid[]), CAST(:learned AS text[])) AS k(provider_id, learned)
    JOIN providers p ON p.id = k.provider_id
    ORDER BY k.provider_id
    ON CONFLICT (provider_id) DO UPDATE SET learned = excluded.learned
""")

_TYPES = text(
    "SELECT user_id, name, category, policy, urgent, deliver_at_least, taken_within FROM email_types "
    "ORDER BY user_id NULLS FIRST, name"
)

# Emails per second by the hour that lies ahead: of the same hours one day ago and one week ago, as far as known.
_AHEAD = text("""
    SELECT CAST(EXTRACT(epoch FROM date_bin('1 hour', slot, timestamptz 'epoch')) AS float) AS at,
           sum(emails_sent + emails_unknown) / 3600.0 AS rate
    FROM provider_performance_history
    WHERE slot > mm_now() - interval '8 days' AND slot <= mm_now()
    GROUP BY 1 ORDER BY 1
""")


@dataclass(frozen=True, slots=True)
class TypeRow:
    """An email type as it was declared. `owner` None: everybody's. `target`: the share that is to be delivered;
    `within`: the seconds in which nearly all are to be taken (routing.service_level.ON_TIME).
    """

    owner: UUID | None
    name: str
    marketing: bool
    policy: str
    urgent: bool
    target: float | None = None
    within: float | None = None


@dataclass(frozen=True, slots=True)
class Memory:
    """What an earlier learner has noted. `position`: where it was in the news."""

    position: str = "0-0"
    notes: Mapping[str, Any] = field(default_factory=dict)
    learned: Mapping[UUID, Mapping[str, Any]] = field(default_factory=dict)


class Learning:
    """The learner's notebook on PostgreSQL."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def lease(self, holder: UUID, seconds: float) -> tuple[int, float] | None:
        """Take or renew the lease: its fence and the time, in seconds; None: another learner holds it."""
        row = self._connection.execute(_LEASE, {"holder": holder, "seconds": seconds}).first()
        return None if row is None else (row.fence, row.now)

    def release(self, holder: UUID) -> None:
        self._connection.execute(_RELEASE, {"holder": holder})

    def recall(self) -> Memory:
        row = self._connection.execute(_NOTES).first()
        learned = {r.provider_id: r.learned for r in self._connection.execute(_LEARNED)}
        return Memory(learned=learned) if row is None else Memory(row.position, row.notes, learned)

    def keep(self, fence: int, memory: Memory) -> bool:
        """Note it all down together. False: the lease has gone to another."""
        notes = {"position": memory.position, "notes": json.dumps(memory.notes), "fence": fence}
        if self._connection.execute(_KEEP, notes).rowcount == 0:
            return False
        if memory.learned:
            kept = {
                "providers": [str(p) for p in memory.learned],
                "learned": [json.dumps(k) for k in memory.learned.values()],
            }
            self._connection.execute(_KEEP_LEARNED, kept)
        return True

    def types(self) -> Sequence[TypeRow]:
        return [
            TypeRow(
                r.user_id,
                r.name,
                r.category == "marketing",
                r.policy,
                r.urgent,
                r.deliver_at_least,
                r.taken_within,
            )
            for r in self._connection.execute(_TYPES)
        ]

    def prices(self) -> Mapping[UUID, PriceList]:
        """The price lists that hold now."""
        return PriceLists(self._connection).in_force()

    def volumes(self) -> Mapping[UUID, float]:
        """Recipients that each provider took in this calendar month, in its own time zone."""
        return PriceLists(self._connection).volumes()

    def rates_by_hour(self) -> Sequence[tuple[float, float]]:
        """(the hour's beginning, emails per second) of the last eight days."""
        return [(r.at, float(r.rate)) for r in self._connection.execute(_AHEAD)]
