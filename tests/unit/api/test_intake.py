"""accept(): against a store in memory, without framework or database."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Self
from uuid import UUID

import pytest

from api.intake import accept
from domain.errors import StorageUnavailable
from domain.intake import (
    Accepted,
    Draft,
    Entry,
    KeyTaken,
    Once,
    Refused,
    Sender,
    Surroundings,
    TypeTerms,
)
from domain.lifecycle import Status
from domain.message import (
    Address,
    Envelope,
    Lane,
    Message,
    OnUnknown,
    Recipient,
    RoutingWishes,
)
from tests.builders import new_id

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SENDER = Sender(new_id(), new_id())
DRAFT = Draft(
    Message("Hello", text="Hello"),
    Envelope(Address("a@example.com"), (Recipient(Address("b@example.com")),)),
    "transactional",
)
ONCE = Once("POST /v1/emails", "k", b"hash", timedelta(hours=72))


@dataclass
class Memory:
    """domain.ports.IntakeWork and IntakeStore; what is not committed is forgotten."""

    entries: list[Entry] = field(default_factory=list)
    keys: dict[str, tuple[Once, Sequence[Accepted]]] = field(default_factory=dict)
    commits: int = 0
    fail_commit: bool = False
    rings: list[Lane] = field(default_factory=list)
    rung_before_commit: bool = False
    _new: list[Entry] = field(default_factory=list)
    _new_keys: dict[str, tuple[Once, Sequence[Accepted]]] = field(default_factory=dict)

    @property
    def intake(self) -> Self:
        return self

    def __enter__(self) -> Self:
        self._new, self._new_keys = [], {}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._new, self._new_keys = [], {}

    def survey(self, _: UUID, types: Sequence[str], providers: Sequence[str]) -> Surroundings:
        known = {
            "transactional": TypeTerms(Lane.TRANSACTIONAL, OnUnknown.HOLD),
            "marketing": TypeTerms(Lane.BULK, OnUnknown.RESEND),
        }
        return Surroundings(
            NOW, {t: known[t] for t in types if t in known}, frozenset(providers) & frozenset({"main"})
        )

    def remember(self, _: UUID, once: Once, answer: Sequence[Accepted]) -> Sequence[Accepted] | None:
        if once.key in self.keys:
            before, kept = self.keys[once.key]
            if before.request_hash != once.request_hash:
                raise KeyTaken(once.key)
            return kept
        self._new_keys[once.key] = once, answer
        return None

    def add(self, _: Sender, entries: Sequence[Entry]) -> None:
        self._new.extend(entries)

    def commit(self) -> None:
        if self.fail_commit:
            raise StorageUnavailable("gone")
        self.entries.extend(self._new)
        self.keys.update(self._new_keys)
        self.commits += 1

    def ring(self, lane: Lane) -> None:
        self.rung_before_commit |= self.commits == 0
        self.rings.append(lane)


@pytest.fixture
def memory() -> Memory:
    return Memory()


def test_many_emails_are_one_commit_and_one_ring_per_lane(memory: Memory) -> None:
    drafts = [DRAFT, DRAFT, replace(DRAFT, email_type="marketing")]
    receipt = accept(lambda: memory, memory, new_id, SENDER, drafts)
    assert [e.id for e in receipt.emails] == [e.submission.id for e in memory.entries]
    assert memory.commits == 1
    assert memory.rings == [Lane.BULK, Lane.TRANSACTIONAL]
    assert not memory.rung_before_commit


def test_one_bad_email_refuses_all_and_every_objection_says_where(memory: Memory) -> None:
    bad = replace(
        DRAFT, email_type="nope", send_at=NOW, wishes=RoutingWishes(pinned=frozenset({"main", "x"}))
    )
    with pytest.raises(Refused) as refused:
        accept(lambda: memory, memory, new_id, SENDER, [DRAFT, bad], ONCE)
    assert {(o.item, o.path) for o in refused.value.objections} == {
        (1, ("email_type",)),
        (1, ("send_at",)),
        (1, ("routing", "pinned")),
    }
    assert (memory.entries, memory.keys, memory.rings) == ([], {}, [])


def test_a_failed_commit_accepts_nothing_and_rings_nothing(memory: Memory) -> None:
    memory.fail_commit = True
    with pytest.raises(StorageUnavailable):
        accept(lambda: memory, memory, new_id, SENDER, [DRAFT])
    assert (memory.entries, memory.rings) == ([], [])


def test_a_replay_writes_and_rings_nothing(memory: Memory) -> None:
    first = accept(lambda: memory, memory, new_id, SENDER, [DRAFT], ONCE)
    again = accept(lambda: memory, memory, new_id, SENDER, [DRAFT], ONCE)
    assert (again.emails, again.replayed, first.replayed) == (first.emails, True, False)
    assert (len(memory.entries), memory.commits, len(memory.rings)) == (1, 1, 1)


@pytest.mark.parametrize(
    ("send_at", "status", "keep"),
    [
        (None, Status.QUEUED, timedelta(hours=72)),
        (NOW + timedelta(hours=5), Status.SCHEDULED, timedelta(hours=77)),
        (NOW + timedelta(days=366), Status.SCHEDULED, timedelta(days=366, hours=72)),
    ],
)
def test_a_scheduled_email_waits_and_its_key_outlives_it(
    memory: Memory, send_at: datetime | None, status: Status, keep: timedelta
) -> None:
    receipt = accept(lambda: memory, memory, new_id, SENDER, [replace(DRAFT, send_at=send_at)], ONCE)
    assert receipt.emails[0].status is status
    assert memory.keys["k"][0].keep == keep
    assert memory.rings == ([] if send_at else [Lane.TRANSACTIONAL])


@pytest.mark.parametrize(
    ("asked", "email_type", "expected"),
    [
        (None, "transactional", OnUnknown.HOLD),
        (None, "marketing", OnUnknown.RESEND),
        (OnUnknown.RESEND, "transactional", OnUnknown.RESEND),
        (OnUnknown.HOLD, "marketing", OnUnknown.HOLD),
    ],
)
def test_an_email_may_overrule_its_type_about_unknown(
    memory: Memory, asked: OnUnknown | None, email_type: str, expected: OnUnknown
) -> None:
    accept(lambda: memory, memory, new_id, SENDER, [replace(DRAFT, on_unknown=asked, email_type=email_type)])
    assert memory.entries[0].submission.on_unknown is expected
