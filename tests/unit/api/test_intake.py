"""accept(): against a store in memory, without framework or database."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from threading import Event
from types import TracebackType
from typing import Self
from uuid import UUID

import pytest

from api.gathering import Gathering
from domain.errors import StorageUnavailable
from domain.intake import (
    Accepted,
    Draft,
    Entry,
    KeyInFlight,
    KeyTaken,
    Memo,
    Once,
    Receipt,
    Refused,
    Sender,
    SenderGone,
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
from domain.suppression import Listing
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
    revoked: set[UUID | None] = field(default_factory=set)
    in_commit: Event = field(default_factory=Event)
    may_commit: Event = field(default_factory=Event)
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

    def survey(
        self,
        senders: Collection[Sender],
        types: Collection[str],
        providers: Collection[str],
        campaigns: Collection[UUID] = (),
        domains: Collection[str] = (),
        regions: Collection[str] = (),
    ) -> Surroundings:
        known = {
            "transactional": TypeTerms(Lane.TRANSACTIONAL, OnUnknown.HOLD),
            "marketing": TypeTerms(Lane.BULK, OnUnknown.RESEND),
        }
        return Surroundings(
            NOW,
            {(None, t): known[t] for t in types if t in known},
            frozenset((None, p) for p in providers if p == "main"),
            frozenset(s.api_key_id for s in senders if s.api_key_id and s.api_key_id not in self.revoked),
            regions=frozenset((None, region) for region in regions if region == "eu"),
        )

    def remember(self, memos: Sequence[Memo]) -> list[Sequence[Accepted] | KeyTaken | None]:
        if len({m.once.key for m in memos}) < len(memos):
            raise KeyInFlight
        found: list[Sequence[Accepted] | KeyTaken | None] = []
        for memo in memos:
            before, kept = self.keys.get(memo.once.key, (memo.once, None))
            if before.request_hash != memo.once.request_hash:
                found.append(KeyTaken(memo.once.key))
                continue
            found.append(kept)
            if kept is None:
                self._new_keys[memo.once.key] = memo.once, memo.answer
        return found

    def forget(self, memos: Sequence[Memo]) -> None:
        for memo in memos:
            del self._new_keys[memo.once.key]

    def listed(self, pairs: Collection[tuple[UUID, str]]) -> Mapping[tuple[UUID, str], Sequence[Listing]]:
        raise AssertionError("nobody here has a list")

    def book(self, campaign_id: UUID, emails: int) -> datetime:
        raise AssertionError("nobody here has a campaign")

    def add(self, entries: Sequence[Entry]) -> None:
        self._new.extend(entries)

    def commit(self) -> None:
        self.in_commit.set()
        assert self.may_commit.wait(5)
        if self.fail_commit:
            raise StorageUnavailable("gone")
        self.entries.extend(self._new)
        self.keys.update(self._new_keys)
        self.commits += 1

    def ring_events(self) -> None:
        pass

    def ring(self, lane: Lane) -> None:
        self.rung_before_commit |= self.commits == 0
        self.rings.append(lane)


@pytest.fixture
def memory() -> Memory:
    memory = Memory()
    memory.may_commit.set()
    return memory


def accept(
    memory: Memory, drafts: Sequence[Draft], once: Once | None = None, sender: Sender = SENDER
) -> Receipt:
    return Gathering(lambda: memory, memory, new_id).accept(sender, drafts, once)


def test_many_emails_are_one_commit_and_one_ring_per_lane(memory: Memory) -> None:
    drafts = [DRAFT, DRAFT, replace(DRAFT, email_type="marketing")]
    receipt = accept(memory, drafts)
    assert [e.id for e in receipt.emails] == [e.submission.id for e in memory.entries]
    assert memory.commits == 1
    assert memory.rings == [Lane.BULK, Lane.TRANSACTIONAL]
    assert not memory.rung_before_commit


def test_one_bad_email_refuses_all_and_every_objection_says_where(memory: Memory) -> None:
    bad = replace(
        DRAFT, email_type="nope", send_at=NOW, wishes=RoutingWishes(pinned=frozenset({"main", "x"}))
    )
    with pytest.raises(Refused) as refused:
        accept(memory, [DRAFT, replace(bad, item=1)], ONCE)
    assert {(o.item, o.path) for o in refused.value.objections} == {
        (1, ("email_type",)),
        (1, ("send_at",)),
        (1, ("routing", "pinned")),
    }
    assert (memory.entries, memory.keys, memory.rings) == ([], {}, [])


def test_a_failed_commit_accepts_nothing_and_rings_nothing(memory: Memory) -> None:
    memory.fail_commit = True
    with pytest.raises(StorageUnavailable):
        accept(memory, [DRAFT])
    assert (memory.entries, memory.rings) == ([], [])


def test_a_replay_writes_and_rings_nothing(memory: Memory) -> None:
    first = accept(memory, [DRAFT], ONCE)
    again = accept(memory, [DRAFT], ONCE)
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
    receipt = accept(memory, [replace(DRAFT, send_at=send_at)], ONCE)
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
    accept(memory, [replace(DRAFT, on_unknown=asked, email_type=email_type)])
    assert memory.entries[0].submission.on_unknown is expected


def test_a_key_that_was_revoked_a_moment_ago_hands_nothing_over(memory: Memory) -> None:
    memory.revoked.add(SENDER.api_key_id)
    with pytest.raises(SenderGone):
        accept(memory, [DRAFT], ONCE)
    assert (memory.entries, memory.keys) == ([], {})


def test_requests_that_come_during_a_commit_share_the_next_one(memory: Memory) -> None:
    """And each gets its own result: a wrong one, a repeated one and two that take one key spoil nothing."""
    gathering = Gathering(lambda: memory, memory, new_id)
    bad = replace(DRAFT, email_type="nope")
    memory.may_commit.clear()
    with ThreadPoolExecutor(8) as threads:
        first = threads.submit(gathering.accept, SENDER, [DRAFT], ONCE)
        assert memory.in_commit.wait(5)
        others = [threads.submit(gathering.accept, SENDER, [replace(DRAFT)]) for _ in range(4)]
        wrong = threads.submit(gathering.accept, SENDER, [bad], replace(ONCE, key="wrong"))
        again = threads.submit(gathering.accept, SENDER, [DRAFT], ONCE)
        while len(gathering._waiting) < 6:
            pass
        memory.may_commit.set()
        results = [first.result(5), *(other.result(5) for other in others)]
        with pytest.raises(Refused):
            wrong.result(5)
        assert again.result(5) == replace(results[0], replayed=True)
    assert {e.submission.id for e in memory.entries} == {r.emails[0].id for r in results}
    assert memory.commits == 2
    assert set(memory.keys) == {"k"}


def test_what_spoils_a_group_is_found_in_each_request_alone(memory: Memory) -> None:
    gathering = Gathering(lambda: memory, memory, new_id)
    memory.may_commit.clear()
    with ThreadPoolExecutor(8) as threads:
        first = threads.submit(gathering.accept, SENDER, [DRAFT])
        assert memory.in_commit.wait(5)
        twins = [threads.submit(gathering.accept, SENDER, [DRAFT], ONCE) for _ in range(2)]
        while len(gathering._waiting) < 2:
            pass
        memory.may_commit.set()
        first.result(5)
        one, other = sorted((twin.result(5) for twin in twins), key=lambda r: r.replayed)
    assert (one.emails, one.replayed, other.replayed) == (other.emails, False, True)
    assert len(memory.entries) == 2


def test_a_lost_database_is_told_to_every_member_of_a_group(memory: Memory) -> None:
    gathering = Gathering(lambda: memory, memory, new_id)
    memory.may_commit.clear()
    with ThreadPoolExecutor(8) as threads:
        first = threads.submit(gathering.accept, SENDER, [DRAFT])
        assert memory.in_commit.wait(5)
        others = [threads.submit(gathering.accept, SENDER, [DRAFT]) for _ in range(3)]
        while len(gathering._waiting) < 3:
            pass
        memory.fail_commit = True
        memory.may_commit.set()
        for asked in (first, *others):
            with pytest.raises(StorageUnavailable):
                asked.result(5)
    memory.fail_commit = False
    assert gathering.accept(SENDER, [DRAFT]).emails
