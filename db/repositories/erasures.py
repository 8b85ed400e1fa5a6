"""Taking away everything about a recipient: what is asked for, and the work, part by part.

Each part is a transaction that notes how far it came, so that a process that dies loses nothing but its own part.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Connection, RowMapping, text

from db import traces

_ROWS: Final = 2000  # that a part goes through
_PAUSE: Final = 15.0  # seconds before emails are looked at again that were on their way
_STEPS: Final = ("lists", "emails", "contents", "texts")
_NOBODY: Final = "erased@erased.invalid"

_SUBJECT = text("SELECT mm_erased(link_secret, :address) FROM users WHERE id = :user_id")
_COLUMNS = "id, everybody, found, asked_at, done_at, place->>'step' AS step"
_ASK = text(f"""
    INSERT INTO erasures (id, user_id, everybody, subject, address)
    VALUES (:id, :user_id, :everybody, :subject, :address)
    ON CONFLICT (user_id, subject, everybody) WHERE done_at IS NULL DO UPDATE SET address = excluded.address
    RETURNING {_COLUMNS}
""")  # noqa: S608
_GET = text(f"SELECT {_COLUMNS} FROM erasures WHERE user_id = :user_id AND id = :id")  # noqa: S608
_LIST = text(f"""
    SELECT {_COLUMNS} FROM erasures WHERE user_id = :user_id AND (CAST(:before AS uuid) IS NULL OR id < :before)
    ORDER BY id DESC LIMIT :limit
""")  # noqa: S608
_NEXT = text("""
    SELECT id, user_id, everybody, address, place, found FROM erasures
    WHERE done_at IS NULL AND due_at <= mm_now() ORDER BY due_at, id LIMIT 1 FOR UPDATE SKIP LOCKED
""")
_GO_ON = text("""
    UPDATE erasures SET place = CAST(:place AS jsonb), found = CAST(:found AS jsonb),
        due_at = mm_now() + make_interval(secs => :pause) WHERE id = :id
""")
_DONE = text("""
    UPDATE erasures SET place = '{}', found = CAST(:found AS jsonb), address = NULL, done_at = mm_now() WHERE id = :id
""")

# `:user_id` null: of everybody.
_LISTS = (
    """
    DELETE FROM soft_bounces b
    WHERE b.address = :address AND (CAST(:user_id AS uuid) IS NULL OR b.user_id = :user_id)
    """,
    """
    DELETE FROM suppressions s USING users u
    WHERE s.address = :address AND u.id = s.user_id AND (CAST(:user_id AS uuid) IS NULL OR s.user_id = :user_id) AND (
        s.expires_at <= mm_now() OR EXISTS (
            SELECT FROM suppressions e WHERE e.user_id = s.user_id AND e.scope = s.scope
                AND e.address = mm_erased(u.link_secret, :address)
                AND (e.expires_at IS NULL OR e.expires_at >= s.expires_at)))
    """,
    """
    DELETE FROM suppressions e USING users u
    WHERE e.address = mm_erased(u.link_secret, :address) AND u.id = e.user_id
        AND (CAST(:user_id AS uuid) IS NULL OR e.user_id = :user_id)
        AND EXISTS (SELECT FROM suppressions s
            WHERE s.user_id = e.user_id AND s.scope = e.scope AND s.address = :address)
    """,
    """
    UPDATE suppressions s SET address = mm_erased(u.link_secret, :address), detail = NULL, email_id = NULL
    FROM users u
    WHERE s.address = :address AND u.id = s.user_id AND (CAST(:user_id AS uuid) IS NULL OR s.user_id = :user_id)
    """,
)

# The next emails, and among them those that go to the address, or went out without it.
_EMAILS = text("""
    WITH part AS MATERIALIZED (
        SELECT j.id, (CAST(:user_id AS uuid) IS NULL OR j.user_id = :user_id)
            AND lower(CAST(j.envelope AS text)) LIKE :like AND EXISTS (
            SELECT FROM jsonb_array_elements(
                (j.envelope->'recipients') || coalesce(j.envelope->'left_out', '[]')) r
            WHERE lower(r->>'email') = :address) AS hit
        FROM email_jobs j WHERE (CAST(:after AS uuid) IS NULL OR j.id > :after) ORDER BY j.id LIMIT :rows
    )
    SELECT (SELECT count(*) FROM part) AS seen, CAST((SELECT max(CAST(id AS text)) FROM part) AS uuid) AS last,
        ARRAY(SELECT id FROM part WHERE hit) AS hits
""")
_JOBS = text("""
    SELECT j.id, j.user_id, j.content_hash, j.envelope, q.job_id IS NOT NULL AS queued
    FROM email_jobs j LEFT JOIN email_queue q ON q.job_id = j.id WHERE j.id = ANY(:jobs)
""")
# Of those that wait the rows that no worker holds; workers leave them alone until this transaction ends.
_HOLD = text(
    "SELECT job_id FROM email_queue WHERE job_id = ANY(:jobs) AND run IS NULL FOR UPDATE SKIP LOCKED"
)
_NOTE_CONTENTS = text("""
    INSERT INTO erased_contents (erasure_id, user_id, hash)
    SELECT DISTINCT CAST(:id AS uuid), user_id, content_hash FROM email_jobs WHERE id = ANY(:jobs)
    ON CONFLICT DO NOTHING
""")
_DELETE = (
    "DELETE FROM email_queue WHERE job_id = ANY(:jobs)",
    "DELETE FROM delivery_attempts WHERE job_id = ANY(:jobs)",
    "DELETE FROM email_status WHERE email_job_id = ANY(:jobs)",
    "DELETE FROM email_attachments WHERE job_id = ANY(:jobs)",
    "DELETE FROM resends WHERE resend_of = ANY(:jobs)",
    "DELETE FROM resends WHERE job_id = ANY(:jobs)",
    "DELETE FROM inbound_events WHERE job_id = ANY(:jobs)",
    "DELETE FROM email_jobs WHERE id = ANY(:jobs)",
)
_RENAME = text(
    "UPDATE email_jobs SET envelope = CAST(:envelope AS jsonb), recipient = :recipient WHERE id = :id"
)

# Bodies that other emails have as well are not these emails' own.
_SHARED = text("""
    WITH part AS MATERIALIZED (
        SELECT j.id, j.user_id, j.content_hash FROM email_jobs j
        WHERE (CAST(:after AS uuid) IS NULL OR j.id > :after) ORDER BY j.id LIMIT :rows
    ), kept AS (
        DELETE FROM erased_contents c USING part p
        WHERE c.erasure_id = :id AND c.user_id = p.user_id AND c.hash = p.content_hash RETURNING 1
    )
    SELECT (SELECT count(*) FROM part) AS seen, CAST((SELECT max(CAST(id AS text)) FROM part) AS uuid) AS last,
        (SELECT count(*) FROM kept) AS kept
""")
_LEFT = text("SELECT EXISTS (SELECT FROM erased_contents WHERE erasure_id = :id)")
_BODIES = text("""
    WITH own AS (DELETE FROM erased_contents WHERE erasure_id = :id RETURNING user_id, hash)
    DELETE FROM email_contents c USING own WHERE c.user_id = own.user_id AND c.hash = own.hash
""")


@dataclass(frozen=True, slots=True)
class Work:
    """An erasure under way. `user_id`: whose emails; None: everybody's."""

    id: UUID
    user_id: UUID | None
    address: str
    place: dict[str, Any]
    found: dict[str, int]


class Erasures:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def ask(self, id: UUID, user_id: UUID, address: str, everybody: bool) -> RowMapping:
        """Have everything about an address taken away. One that is under way already is that one."""
        subject = self._connection.scalar(_SUBJECT, {"user_id": user_id, "address": address})
        values = {
            "id": id,
            "user_id": user_id,
            "everybody": everybody,
            "subject": subject,
            "address": address,
        }
        return self._connection.execute(_ASK, values).mappings().one()

    def get(self, user_id: UUID, id: UUID) -> RowMapping | None:
        return self._connection.execute(_GET, {"user_id": user_id, "id": id}).mappings().one_or_none()

    def list(self, user_id: UUID, before: UUID | None, limit: int) -> Sequence[RowMapping]:
        values = {"user_id": user_id, "before": before, "limit": limit}
        return self._connection.execute(_LIST, values).mappings().all()

    def work(self) -> bool:
        """Do the next part of what is due. False: nothing is due."""
        row = self._connection.execute(_NEXT).one_or_none()
        if row is None:
            return False
        whose = None if row.everybody else row.user_id
        work = Work(row.id, whose, row.address, dict(row.place), dict(row.found))
        step = work.place.get("step", _STEPS[0])
        {"lists": self._lists, "emails": self._emails, "contents": self._contents, "texts": self._texts}[
            step
        ](work)
        return True

    def _lists(self, work: Work) -> None:
        """Who was on a list stays on it by a keyed hash, which tells nobody who it is."""
        values = {"address": work.address, "user_id": work.user_id}
        for statement in _LISTS:
            kept = self._connection.execute(text(statement), values).rowcount
        work.found["suppressions_kept"] = work.found.get("suppressions_kept", 0) + kept
        self._go_on(work, "emails")

    def _emails(self, work: Work) -> None:
        like = traces.like(work.address)
        values = {"user_id": work.user_id, "address": work.address, "like": like, "rows": _ROWS}
        part = self._connection.execute(_EMAILS, values | {"after": work.place.get("after")}).one()
        rows = self._connection.execute(_JOBS, {"jobs": part.hits}).mappings().all() if part.hits else ()
        held = set(self._connection.scalars(_HOLD, {"jobs": [r["id"] for r in rows if r["queued"]]}))
        ready = [r for r in rows if not r["queued"] or r["id"] in held]
        work.place["on_the_way"] = work.place.get("on_the_way", 0) + len(rows) - len(ready)
        alone = [r["id"] for r in ready if _is_of(r, work.address)]
        if alone:
            self._connection.execute(_NOTE_CONTENTS, {"id": work.id, "jobs": alone})
            for statement in _DELETE:
                self._connection.execute(text(statement), {"jobs": alone})
        others = [r for r in ready if r["id"] not in set(alone)]
        for row in others:
            envelope = _without(row["envelope"], work.address, gone=row["queued"])
            values = {"id": row["id"], "envelope": json.dumps(envelope), "recipient": _first(envelope)}
            self._connection.execute(_RENAME, values)
        _count(work, "emails", len(alone))
        _count(work, "emails_to_others_too", len(others))
        if part.seen == _ROWS:
            self._go_on(work, "emails", after=str(part.last), on_the_way=work.place["on_the_way"])
        elif work.place["on_the_way"]:
            self._go_on(work, "emails", pause=_PAUSE)
        else:
            self._go_on(work, "contents")

    def _contents(self, work: Work) -> None:
        if self._connection.scalar(_LEFT, {"id": work.id}):
            values = {"id": work.id, "after": work.place.get("after"), "rows": _ROWS}
            part = self._connection.execute(_SHARED, values).one()
            _count(work, "contents_of_others_too", part.kept)
            if part.seen == _ROWS:
                self._go_on(work, "contents", after=str(part.last))
                return
            _count(work, "contents", self._connection.execute(_BODIES, {"id": work.id}).rowcount)
        self._go_on(work, "texts")

    def _texts(self, work: Work) -> None:
        tables = traces.walked()
        names = [table.name for table in tables]
        place = names.index(work.place["table"]) if work.place.get("table") in names else 0
        user = None if work.user_id is None else str(work.user_id)
        part = traces.blot(
            self._connection, tables[place], work.address, user, work.place.get("after"), _ROWS
        )
        _count(work, names[place], part.changed)
        if part.after is not None:
            self._go_on(work, "texts", table=names[place], after=part.after)
        elif place + 1 < len(names):
            self._go_on(work, "texts", table=names[place + 1])
        else:
            self._connection.execute(_DONE, {"id": work.id, "found": json.dumps(work.found)})

    def _go_on(self, work: Work, step: str, pause: float = 0.0, **place: Any) -> None:
        values = {
            "place": json.dumps({"step": step, **place}),
            "found": json.dumps(work.found),
            "pause": pause,
        }
        self._connection.execute(_GO_ON, {"id": work.id, **values})


def _count(work: Work, name: str, more: int) -> None:
    if more:
        work.found[name] = work.found.get(name, 0) + more


def _everybody(envelope: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    return [*envelope["recipients"], *envelope.get("left_out", ())]


def _is_of(row: RowMapping, address: str) -> bool:
    """Whether an email is about nobody else; or waits, and would go to nobody any more."""
    envelope = row["envelope"]
    people = envelope["recipients"] if row["queued"] else _everybody(envelope)
    return all(str(r["email"]).lower() == address for r in people)


def _first(envelope: Mapping[str, Any]) -> str:
    return str(_everybody(envelope)[0]["email"])


def _without(envelope: Mapping[str, Any], address: str, *, gone: bool) -> dict[str, Any]:
    """The envelope for the others. What is still to be sent goes without the address (`gone`); in what was sent, nobody
    takes its place, so that what events said of the others stays where it was.
    """

    def kept(people: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        return [
            r if str(r["email"]).lower() != address else {**r, "email": _NOBODY, "name": ""}
            for r in people
            if not (gone and str(r["email"]).lower() == address)
        ]

    found = {**envelope, "recipients": kept(envelope["recipients"])}
    if "left_out" in envelope:
        found["left_out"] = kept(envelope["left_out"])
    return found
