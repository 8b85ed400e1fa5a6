"""Sender domains that warm up at a provider: so many recipients a day, reserved and refunded as quotas are (ADR 2)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from uuid import UUID

from sqlalchemy import Connection, RowMapping, text

from routing.snapshot import Warming

Pair = tuple[UUID, str]

# Days of 24 hours since it began; what was used of another day does not count.
_DAY = "CAST(floor(EXTRACT(epoch FROM mm_now() - w.started_at) / 86400) AS int)"
_USED = f"CASE WHEN w.used_day = {_DAY} THEN w.used ELSE 0 END"
_STATE = f"""
    w.provider_id, w.sender_domain, w.daily, w.started_at, {_DAY} AS day, {_USED} AS used,
    w.daily[{_DAY} + 1] - {_USED} AS room, w.started_at + ({_DAY} + 1) * interval '1 day' AS day_ends
"""
_ACTIVE = f"{_DAY} < cardinality(w.daily)"

_WARMING = text(f"SELECT {_STATE} FROM warm_ups w WHERE {_ACTIVE}")  # noqa: S608  # constants of this module only
_LIST = text(f"SELECT {_STATE} FROM warm_ups w WHERE w.provider_id = :provider ORDER BY w.sender_domain")  # noqa: S608
_LOCK = text(f"""
    SELECT {_STATE} FROM warm_ups w
    JOIN unnest(CAST(:providers AS uuid[]), CAST(:domains AS text[])) AS a(provider_id, sender_domain)
        ON a.provider_id = w.provider_id AND a.sender_domain = w.sender_domain
    WHERE {_ACTIVE} ORDER BY w.provider_id, w.sender_domain FOR UPDATE OF w
""")  # noqa: S608  # as above
_HOLD = text(f"SELECT 1 FROM warm_ups w WHERE {_ACTIVE} ORDER BY w.provider_id, w.sender_domain FOR UPDATE")  # noqa: S608
_ADD = text(f"""
    UPDATE warm_ups w SET used = {_USED} + a.recipients, used_day = {_DAY}
    FROM unnest(CAST(:providers AS uuid[]), CAST(:domains AS text[]), CAST(:recipients AS int[]))
        AS a(provider_id, sender_domain, recipients)
    WHERE a.provider_id = w.provider_id AND a.sender_domain = w.sender_domain
""")  # noqa: S608  # as above
_REFUND = text(f"""
    WITH returned AS (
        SELECT w.provider_id, w.sender_domain, sum(a.recipients) AS recipients
        FROM delivery_attempts a JOIN email_jobs j ON j.id = a.job_id
        JOIN warm_ups w ON w.provider_id = a.provider_id
            AND w.sender_domain = lower(split_part(j.envelope->'from'->>'email', '@', -1))
        WHERE a.id = ANY(CAST(:attempts AS uuid[])) AND w.used_day = {_DAY}
            AND a.opened_at >= w.started_at + w.used_day * interval '1 day'
        GROUP BY 1, 2
    ), held AS (
        SELECT w.provider_id, w.sender_domain FROM warm_ups w JOIN returned r USING (provider_id, sender_domain)
        ORDER BY 1, 2 FOR UPDATE OF w
    )
    UPDATE warm_ups w SET used = GREATEST(0, w.used - r.recipients)
    FROM returned r JOIN held USING (provider_id, sender_domain)
    WHERE w.provider_id = r.provider_id AND w.sender_domain = r.sender_domain
""")  # noqa: S608  # as above
_BEGIN = text("""
    INSERT INTO warm_ups (provider_id, sender_domain, daily) VALUES (:provider, :domain, :daily)
    ON CONFLICT (provider_id, sender_domain)
    DO UPDATE SET daily = excluded.daily, started_at = mm_now(), used_day = 0, used = 0
""")
_END = text("DELETE FROM warm_ups WHERE provider_id = :provider AND sender_domain = :domain")


class WarmUps:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def warming(self) -> Mapping[UUID, Mapping[str, Warming]]:
        """What is left of the day, by provider and sender domain, of those that are not warm yet."""
        found: dict[UUID, dict[str, Warming]] = defaultdict(dict)
        for row in self._connection.execute(_WARMING):
            found[row.provider_id][row.sender_domain] = Warming(max(0, row.room), row.day_ends)
        return found

    def list(self, provider: UUID) -> Sequence[RowMapping]:
        """All of a provider, those that are warm by now too."""
        return self._connection.execute(_LIST, {"provider": provider}).mappings().all()

    def begin(self, provider: UUID, domain: str, daily: Sequence[int]) -> None:
        """Warm a domain up from now on; what was before is forgotten."""
        values = {"provider": provider, "domain": domain, "daily": list(daily)}
        self._connection.execute(_BEGIN, values)

    def end(self, provider: UUID, domain: str) -> None:
        self._connection.execute(_END, {"provider": provider, "domain": domain})

    def lock(self, pairs: Collection[Pair]) -> dict[Pair, int]:
        """The recipients that there is room for today, locked to the end of the transaction; the warm are left out."""
        ordered = sorted(pairs)
        asked = {"providers": [str(p) for p, _ in ordered], "domains": [d for _, d in ordered]}
        rows = self._connection.execute(_LOCK, asked) if ordered else ()
        return {(r.provider_id, r.sender_domain): max(0, r.room) for r in rows}

    def add(self, recipients: Mapping[Pair, int]) -> None:
        if recipients:
            values = {
                "providers": [str(p) for p, _ in recipients],
                "domains": [d for _, d in recipients],
                "recipients": list(recipients.values()),
            }
            self._connection.execute(_ADD, values)

    def hold_all(self) -> None:
        """Lock all that go on to the end of the transaction."""
        self._connection.execute(_HOLD)

    def refund(self, attempts: Sequence[UUID]) -> None:
        """Give back what these attempts had reserved of the day that goes on."""
        if attempts:
            self._connection.execute(_REFUND, {"attempts": [str(a) for a in attempts]})
