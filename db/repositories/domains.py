"""Domains that users send from, and at which accounts nothing goes out from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Connection, RowMapping, text
from sqlalchemy.exc import IntegrityError

from db.statements import json_text
from domain.sender_domains import CheckedRecord, DomainReport, State

PROOF_DAYS: Final = 3  # that a proof holds which is not in the DNS any more

_SEEN = """
    SELECT id, user_id, name, token, proved_at, report, checked_at, created_at FROM domains WHERE user_id = :user_id
"""
_LIST = text(f"{_SEEN} AND (CAST(:before AS uuid) IS NULL OR id < :before) ORDER BY id DESC LIMIT :limit")
_GET = text(f"{_SEEN} AND id = :id")
_COUNT = text("SELECT count(*) FROM domains WHERE user_id = :user_id")
_ADD = text("INSERT INTO domains (id, user_id, name) VALUES (:id, :user_id, :name)")
# What is known of accounts goes with the last of their users who declared the domain.
_DELETE = text("""
    WITH gone AS (DELETE FROM domains WHERE id = :id RETURNING name)
    DELETE FROM sender_domains s USING gone
    WHERE s.domain = gone.name AND NOT EXISTS (
        SELECT FROM domains d JOIN providers p ON p.id = s.provider_id
        WHERE d.name = gone.name AND d.id <> :id AND (p.user_id IS NULL OR p.user_id = d.user_id))
""")

# Taken for a while, so that what a dead process took is checked by the next.
_TAKE = text("""
    UPDATE domains d SET due_at = mm_now() + interval '10 minutes'
    FROM (SELECT id FROM domains WHERE due_at <= mm_now() ORDER BY due_at LIMIT :limit FOR UPDATE SKIP LOCKED) due
    WHERE d.id = due.id RETURNING d.id, d.user_id, d.name, d.token
""")
_GIVE_BACK = text("UPDATE domains SET due_at = mm_now() WHERE id = ANY(CAST(:ids AS uuid[]))")
# Daily; a young one that waits for its records every quarter of an hour. A proof that is gone from the DNS still holds
# for some days: records are lost in a move from one DNS to another.
_KEEP = text(f"""
    UPDATE domains SET report = CAST(:report AS jsonb), checked_at = mm_now(),
        proved_at = CASE WHEN CAST(:proved AS boolean) THEN coalesce(proved_at, mm_now())
            WHEN NOT :proved AND missing_since < mm_now() - interval '{PROOF_DAYS} days' THEN NULL
            ELSE proved_at END,
        missing_since = CASE WHEN :proved THEN NULL WHEN NOT :proved THEN coalesce(missing_since, mm_now())
            ELSE missing_since END,
        due_at = mm_now() + CASE WHEN :settled OR created_at < mm_now() - interval '3 days'
            THEN interval '1 day' ELSE interval '15 minutes' END
    WHERE id = :id
""")  # noqa: S608  # a constant of this module only
# Longer than until the next check, and not for ever: should nobody check any more, a refusal is the provider's to say.
_MARK = text("""
    INSERT INTO sender_domains (provider_id, domain, verified, detail, retry_at)
    SELECT CAST(m.provider_id AS uuid), :name, m.verified, 'by a check',
        CASE WHEN NOT m.verified THEN mm_now() + interval '26 hours' END
    FROM unnest(CAST(:providers AS uuid[]), CAST(:verified AS boolean[])) AS m(provider_id, verified)
    WHERE EXISTS (SELECT FROM domains WHERE id = :id) ORDER BY 1
    ON CONFLICT (provider_id, domain) DO UPDATE SET verified = excluded.verified, detail = excluded.detail,
        checked_at = mm_now(), retry_at = excluded.retry_at
""")


class NameTaken(Exception):
    """The user has declared this domain before."""


class Domains:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def list(self, user_id: UUID, before: UUID | None, limit: int) -> Sequence[RowMapping]:
        """Up to `limit` of the user's, newest first, below the id `before`."""
        values = {"user_id": user_id, "before": before, "limit": limit}
        return self._connection.execute(_LIST, values).mappings().all()

    def get(self, user_id: UUID, id: UUID) -> RowMapping | None:
        return self._connection.execute(_GET, {"user_id": user_id, "id": id}).mappings().one_or_none()

    def count(self, user_id: UUID) -> int:
        return int(self._connection.scalar(_COUNT, {"user_id": user_id}) or 0)

    def add(self, id: UUID, user_id: UUID, name: str) -> None:
        """Raises NameTaken; the transaction is over then."""
        try:
            self._connection.execute(_ADD, {"id": id, "user_id": user_id, "name": name})
        except IntegrityError as error:
            raise NameTaken(name) from error

    def delete(self, id: UUID) -> None:
        self._connection.execute(_DELETE, {"id": id})

    def take_due(self, limit: int) -> Sequence[RowMapping]:
        """Domains that are due to be checked: id, user_id, name, token. They are this process's for ten minutes."""
        return self._connection.execute(_TAKE, {"limit": limit}).mappings().all()

    def give_back(self, taken: Sequence[UUID]) -> None:
        """Let what was taken, and not checked, be due at once."""
        self._connection.execute(_GIVE_BACK, {"ids": list(map(str, taken))})

    def keep(self, id: UUID, name: str, report: DomainReport) -> None:
        """Write down what a check found: whose the domain is, and from which accounts emails are kept since it is not
        verified there.
        """
        told = [p.told for p in report.providers if p.told.state in (State.VERIFIED, State.UNVERIFIED)]
        proved = report.ownership.ok
        settled = proved is not False and bool(told) and all(t.state is State.VERIFIED for t in told)
        found = {"report": json_text(report_row(report)), "settled": settled, "proved": proved}
        self._connection.execute(_KEEP, {"id": id, **found})
        if told:
            marks = {
                "providers": [str(t.provider_id) for t in told],
                "verified": [t.state is State.VERIFIED for t in told],
            }
            self._connection.execute(_MARK, {"id": id, "name": name, **marks})


def report_row(report: DomainReport) -> dict[str, Any]:
    """A report as JSON, in the form in which the API shows it."""
    return {
        "ownership": _record_row(report.ownership),
        "spf": asdict(report.spf),
        "dmarc": asdict(report.dmarc),
        "providers": [
            {
                "provider_id": str(one.told.provider_id),
                "provider": one.told.provider,
                "state": one.told.state.value,
                "detail": one.told.failure or "",
                "return_path": one.told.domain and one.told.domain.return_path,
                "records": [_record_row(checked) for checked in one.records],
            }
            for one in report.providers
        ],
    }


def _record_row(checked: CheckedRecord) -> dict[str, Any]:
    return {**asdict(checked.record), "found": checked.found, "ok": checked.ok}
