"""The learner and the workers together, on real Redis and PostgreSQL: what is told is learned, and decides."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import structlog
import structlog.testing
from sqlalchemy import text

from db.live import RedisLiveState
from db.news import RedisNewsroom
from db.repositories.learning import Memory
from domain.delivery import HomeMove
from domain.events import DeliveryEvent, EventType, RejectReason
from domain.inbound import Match
from domain.message import Lane
from providers.memory import Answer
from routing.explanation import tell
from routing.mailbox_groups import GROUPS
from routing.news import Began, Ended, Healed, Heard
from routing.signs import End
from routing.worths import BALANCED
from tests.builders import USER, a_submission, new_id
from tests.integration.delivery.conftest import House
from workers.inbound import hear
from workers.learner import LearningProcess
from workers.mind import forecast

GOOGLE, OTHER = GROUPS.index("google"), GROUPS.index("other")


class School:
    """A house with a learner. Time passes only where the test says so, for the learner as for the database."""

    def __init__(self, house: House) -> None:
        self.house, self.room = house, RedisNewsroom(house.redis, house.clock)
        house.dispatcher = replace(house.dispatcher, newsroom=self.room)
        self.learner = self.another()
        self.numbers = 0
        self.at: dict[int, float] = {}  # when attempts were accepted

    def another(self) -> LearningProcess:
        """A learner of its own process, so to speak."""
        room = RedisNewsroom(self.house.redis, self.house.clock)
        house, log = self.house, structlog.get_logger("test")
        fleet = house.dispatcher.fleet.snapshot
        return LearningProcess(house.units, room, fleet, house.clock, log, new_id())

    def study(self, seconds: float = 1.1, learner: LearningProcess | None = None) -> bool:
        self.room.flush()
        self.house.pass_time(seconds)
        return (learner or self.learner).step()

    def now(self) -> float:
        return float(self.house.one("SELECT EXTRACT(epoch FROM mm_now()) AS now").now)

    def id(self, name: str) -> Any:
        return self.house.one("SELECT id FROM providers WHERE name = :name", name=name).id

    def went(self, name: str, count: int, end: End = End.ACCEPTED, *, group: int = OTHER) -> list[int]:
        """Tell of emails that went through a provider."""
        provider, at = self.id(name), self.now()
        numbers = tuple(range(self.numbers, self.numbers + count))
        self.numbers += count
        self.at.update(dict.fromkeys(numbers, at))
        self.room.tell([Began(provider, at, numbers, ((USER, "transactional", group),) * count)])
        self.room.tell([Ended(provider, at, tuple((n, end, 0.1) for n in numbers))])
        return list(numbers)

    def heard(self, name: str, numbers: list[int], share: float, *, group: int = OTHER) -> None:
        """Tell what became of them, half a second after they went."""
        provider, at = self.id(name), self.at[numbers[0]] + 0.5
        good = round(len(numbers) * share)
        self.room.tell([Heard(provider, at, n, group, i < good, self.at[n]) for i, n in enumerate(numbers)])

    def send(self, to: str = "ada@firm.example") -> Any:
        """One email; returns how its first decision is told."""
        (job,) = self.house.accept(a_submission(to=(to,)))
        self.house.clock.move(0.3)  # a view that was read is used for a moment
        self.house.drain()
        return tell(self.house.ledger(job)[0].decision)


@pytest.fixture
def school(house: House) -> Iterator[School]:
    made = School(house)
    yield made
    made.room.close()


def test_what_was_learned_decides_and_every_figure_of_it_is_told(school: School):
    school.house.provider("cheap", "0.0001")
    school.house.provider("dear", "0.0009")
    assert school.send()["reason"] == "LOWEST_COST"
    assert school.study()
    told = school.send()
    assert (told["chosen"], told["reason"]) == ("cheap", "LOWEST_EXPECTED_COST")
    assert (told["runner_up"], told["mailbox_group"]) == ("dear", "other")
    assert told["margin"] == pytest.approx(0.8, abs=0.05)
    assert told["explanation"].startswith(
        "cheap: the lowest expected cost of those that can carry it. Next would be dear."
    )


def test_it_learns_nothing_of_nobody_until_there_are_providers(school: School):
    for _ in range(3):
        assert school.study(130), "a new installation has no providers; it plans for none"
    school.house.provider("first")
    school.house.dispatcher.fleet.outdate()
    assert school.study(5)
    assert school.send()["chosen"] == "first"


def test_a_block_by_one_mailbox_host_is_found_by_its_events_and_routed_around(school: School):
    school.house.provider("cheap", "0.0001")
    school.house.provider("dear", "0.0030")
    school.study()
    for _ in range(2):
        for name in ("cheap", "dear"):
            for group in (GOOGLE, OTHER):
                school.heard(name, school.went(name, 100, group=group), 0.99, group=group)
        school.study(320)
    for _ in range(6):
        for group in (GOOGLE, OTHER):
            school.heard("cheap", school.went("cheap", 12, group=group), float(group == OTHER), group=group)
        school.study(1.2)
    school.study()
    school.study(2)
    first, second = school.send("ada@gmail.com"), school.send("ada@gmail.com")
    assert "dear" in (first["chosen"], second["chosen"])  # one of them may be a probe
    assert school.send("ada@firm.example")["chosen"] == "cheap"


def test_who_hangs_is_left_before_its_calls_time_out_and_comes_back_by_probes(school: School):
    cheap = school.house.provider("cheap", "0.0001")
    school.house.provider("dear", "0.0009")
    school.study()
    provider, at = school.id("cheap"), school.now()
    for window in range(3):
        numbers = tuple(range(1000 + 10 * window, 1010 + 10 * window))
        school.room.tell([Began(provider, at, numbers, ((USER, "transactional", OTHER),) * 10)])
    school.study(2.0)
    for _ in range(4):
        school.study(2.0)
    told = [school.send() for _ in range(4)]
    assert {t["reason"] for t in told} <= {"PROBE", "BREAKER_OPEN"}
    assert ("dear", "BREAKER_OPEN") in [(t["chosen"], t["reason"]) for t in told]
    for _ in range(40):
        school.send()
        school.study(1.1)
        school.house.redis.delete(f"mailmux:probe:{provider}")  # Redis's own clock stands still for us
        if len(cheap.sent) > 5:
            break
    assert len(cheap.sent) > 5
    school.study(12)
    assert school.send()["reason"] == "LOWEST_EXPECTED_COST"


def test_an_operators_word_lets_a_provider_be_used_again_at_once(school: School):
    school.house.provider("cheap", "0.0001")
    school.house.provider("dear", "0.0009")
    school.study()
    school.went("cheap", 8, End.FAILED)
    school.study()
    assert school.send()["reason"] in ("BREAKER_OPEN", "PROBE")
    RedisLiveState(school.house.redis, school.house.clock).forget(school.id("cheap"))
    school.room.tell([Healed(school.id("cheap"))])
    school.study()
    assert school.send()["reason"] == "LOWEST_EXPECTED_COST"


def test_a_restart_and_an_emptied_redis_start_warm(school: School):
    school.house.provider("cheap", "0.0001")
    school.house.provider("dear", "0.0009")
    school.study()
    for name in ("cheap", "dear"):
        school.heard(name, school.went(name, 200), 0.7 if name == "cheap" else 0.99)
    school.study()
    school.learner.close()
    assert school.house.all("SELECT 1 FROM provider_performance WHERE learned IS NOT NULL")
    school.house.redis.flushall()
    assert school.study(learner=school.another())
    assert school.send()["chosen"] == "dear"


def test_what_the_version_before_noted_as_owed_is_still_owed(school: School):
    with school.house.engine.begin() as connection:
        connection.execute(
            text("UPDATE email_types SET deliver_at_least = 0.985 WHERE name = 'transactional'")
        )
    school.house.provider("cheap")
    notes, holder = Memory("0-0", {"promises": [[None, "transactional", 60.0, 4.0]]}, {}), new_id()
    with school.house.units() as unit:
        held = unit.learning.lease(holder, 5.0)
        assert held is not None
        assert unit.learning.keep(held[0], notes)
        unit.learning.release(holder)
        unit.commit()
    assert school.study()
    assert school.room.view().worths[None, "transactional"].value > 2 * BALANCED
    school.learner.close()
    assert school.study(learner=school.another())
    assert school.room.view().worths[None, "transactional"].value > 2 * BALANCED
    assert "promises" not in school.house.one("SELECT notes FROM learner").notes


def test_one_learns_and_a_standby_takes_over_when_its_lease_has_passed(school: School):
    school.house.provider("cheap", "0.0001")
    standby = school.another()
    assert school.study()
    assert not school.study(learner=standby)
    school.house.pass_time(6)
    assert school.study(learner=standby)
    before = school.room.view()
    assert not school.study()
    school.house.clock.move(0.3)
    assert school.room.view().version >= before.version


def test_without_redis_the_workers_go_on_with_what_they_last_saw(school: School):
    school.house.provider("cheap", "0.0001")
    school.study()
    school.send()
    school.house.redis.connection_pool.disconnect()
    school.house.redis.connection_pool.connection_kwargs["port"] = 1
    assert school.send()["chosen"] == "cheap"


def test_a_forecast_is_the_same_hour_of_a_day_and_a_week_ago_else_what_goes_now():
    hour, day = 3600.0, 86_400.0
    now = 20_000 * hour + 100
    past = [(20_000 * hour - day, 2.0), (20_000 * hour - 7 * day, 4.0), (20_001 * hour - day, 5.0)]
    assert forecast(past, now, 0.5)[:3] == [3.0, 5.0, 0.5]


def test_a_failed_send_is_told_and_counted(school: School):
    school.house.provider("cheap", "0.0001", answer=Answer.UNAVAILABLE)
    school.house.provider("dear", "0.0009")
    school.study()
    for _ in range(6):
        school.send()
    school.study()
    school.study(2)
    school.house.clock.move(0.3)
    assert school.room.view().standings[school.id("cheap")].share == 0


def test_eight_processes_are_granted_exactly_a_quota_of_5000_also_when_redis_is_emptied(
    school: School, database_url: str
):
    school.house.provider("only", quota={"daily_quota": 5000})
    argv = [
        sys.executable,
        "-m",
        "tests.integration.delivery.quota_racer",
        database_url,
        str(school.id("only")),
    ]
    racers = [subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) for _ in range(8)]
    while school.house.one("SELECT used_today AS used FROM provider_quota").used == 0:
        assert any(r.poll() is None for r in racers), "nobody got anything"
    school.house.redis.flushall()
    granted = [int(r.communicate(timeout=60)[0]) for r in racers]
    assert sum(granted) == 5000
    assert school.house.one("SELECT used_today AS used FROM provider_quota").used == 5000


def test_a_window_reserves_all_its_rates_in_one_round_trip(school: School):
    school.house.provider("slow", "0.0001", quota={"rate_per_second": 5})
    school.house.provider("dear", "0.0009", quota={"rate_per_second": 100})
    school.house.accept(*(a_submission() for _ in range(25)))
    live = school.house.dispatcher.live
    asked = []

    class Counted:
        """The live state, and how often its rates were asked for."""

        def __getattr__(self, name: str) -> Any:
            return getattr(live, name)

        def reserve(self, wishes: Any) -> Any:
            asked.append({p: w.count for p, w in wishes.items()})
            return live.reserve(wishes)

    school.house.dispatcher = replace(school.house.dispatcher, live=Counted())
    school.house.drain()
    assert asked[0] == {school.id("slow"): 25}  # once for all of the window, then for those that got nothing
    assert asked[1].keys() == {school.id("dear")}
    assert len(asked) <= 4


@pytest.mark.parametrize(
    ("event", "learned"),
    [
        (DeliveryEvent(EventType.DELIVERED, recipient="ada@gmail.com"), True),
        (DeliveryEvent(EventType.BOUNCED, reject_reason=RejectReason.BLOCKED), False),
        (DeliveryEvent(EventType.BOUNCED, reject_reason=RejectReason.INVALID), None),
        (DeliveryEvent(EventType.BOUNCED, status_code="5.1.1"), None),
        (DeliveryEvent(EventType.BOUNCED, status_code="5.1.8"), False),
        (DeliveryEvent(EventType.OPENED), None),
    ],
)
def test_what_an_event_teaches(event: DeliveryEvent, learned: bool | None):
    match = Match(new_id(), new_id(), False, new_id(), 100.0, 120.0)
    heard = hear(["ada@gmail.com"], match, event)
    told = None if heard is None else (heard.delivered, heard.group)
    assert told == (None if learned is None else (learned, GOOGLE))


def test_a_learner_that_has_fallen_silent_no_longer_decides(school: School):
    school.house.provider("cheap", "0.0001")
    school.study()
    assert school.send()["reason"] == "LOWEST_EXPECTED_COST"
    school.house.clock.move(25)
    assert school.send()["reason"] == "LOWEST_COST"


def newsletters(school: School, count: int, sender: str = "shop@shop.example") -> list[Any]:
    """Emails to one mailbox host, from one sender domain; how their decisions are told."""
    emails = [
        a_submission(to=(f"r{n}@gmail.com",), sender=sender, email_type="marketing", lane=Lane.BULK)
        for n in range(count)
    ]
    jobs = school.house.accept(*emails)
    school.house.clock.move(0.3)
    school.house.drain(Lane.BULK)
    return [tell(school.house.ledger(job)[0].decision) for job in jobs]


def test_a_senders_marketing_keeps_to_one_provider_until_that_one_loses_it(school: School):
    school.house.provider("cheap", "0.0001")
    school.house.provider("dear", "0.0009")
    school.study()
    assert {d["chosen"] for d in newsletters(school, 20)} == {"cheap"}
    with school.house.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE providers SET base_cost = 0.002 WHERE name = 'cheap'")
    school.study(2.1)
    kept = newsletters(school, 200)
    assert 0.8 < sum(d["chosen"] == "cheap" for d in kept) / 200 < 0.97
    assert {d["reason"] for d in kept if d["chosen"] == "cheap"} == {"HOME"}
    assert {d["chosen"] for d in newsletters(school, 20, "news@other.example")} == {"dear"}
    for _ in range(3):
        school.heard("cheap", school.went("cheap", 300, group=GOOGLE), 0.1, group=GOOGLE)
        school.study(30)
    assert {d["chosen"] for d in newsletters(school, 20) if d["reason"] != "PROBE"} == {"dear"}
    homes = school.house.all(
        "SELECT h.sender_domain, p.name FROM homes h JOIN providers p ON p.id = h.provider_id"
    )
    assert {(h.sender_domain, h.name) for h in homes} == {("shop.example", "dear"), ("other.example", "dear")}


def test_workers_that_settle_at_once_agree_on_one_home(school: School):
    for name in ("a", "b"):
        school.house.provider(name)
    place = (USER, "shop.example", GOOGLE)
    first, second = school.id("a"), school.id("b")
    for home, left in ((first, None), (second, None), (second, first), (first, first)):
        with school.house.units() as unit:
            unit.delivery.move_homes([HomeMove(place, home, left)])
            unit.commit()
        with school.house.units() as unit:
            found = unit.routes.homes()[place]
        assert found == (second if left else first)


def test_troubles_are_logged_once_when_they_come_and_once_when_they_go(school: School):
    school.house.provider("cheap", "0.0001")
    school.house.provider("dear", "0.0009")
    school.study()
    with structlog.testing.capture_logs() as logs:
        school.went("cheap", 8, End.FAILED)
        for _ in range(3):
            school.study()
        school.room.tell([Healed(school.id("cheap"))])
        school.study()
        school.study(12)
    said = [(line["event"], line["provider"], line["trouble"]) for line in logs if "trouble" in line]
    trouble = "it does not take emails"
    assert said == [("provider_in_trouble", "cheap", trouble), ("provider_well_again", "cheap", trouble)]


def test_a_campaign_waits_for_a_cheap_providers_rate_and_a_password_does_not(school: School):
    school.house.provider("cheap", "0.0001", quota={"rate_per_second": 20})
    school.house.provider("dear", "0.0009")
    school.study()
    [first, *_] = newsletters(school, 1)
    assert first["chosen"] == "cheap"
    mails = school.house.accept(
        *(a_submission(to=(f"n{n}@gmail.com",), email_type="marketing", lane=Lane.BULK) for n in range(40))
    )
    passwords = school.house.accept(*(a_submission(to=(f"p{n}@gmail.com",)) for n in range(40)))
    school.house.clock.move(0.3)
    school.house.drain(Lane.BULK)
    school.house.drain()
    assert {school.house.job(job).status for job in passwords} == {"sent"}
    waiting = [job for job in mails if not school.house.ledger(job)]
    assert len(waiting) >= 10
    assert {school.house.job(job).status for job in waiting} == {"queued"}, "it is nobody's trouble"
    for _ in range(12):
        school.study(60)
        school.house.clock.move(0.3)
        time.sleep(0.2)  # the rate is Redis's, by its own clock
        school.house.drain(Lane.BULK)
    carried = [
        tell(school.house.ledger(job)[0].decision)["chosen"] for job in mails if school.house.ledger(job)
    ]
    assert carried == ["cheap"] * 40


def test_after_a_quarter_of_an_hour_a_campaign_takes_what_there_is(school: School):
    school.house.provider("cheap", "0.0001", quota={"rate_per_second": 0.01})
    school.house.provider("dear", "0.0009")
    school.study()
    newsletters(school, 1)
    school.house.clock.move(0.3)
    mails = school.house.accept(
        *(a_submission(to=(f"n{n}@gmail.com",), email_type="marketing", lane=Lane.BULK) for n in range(10))
    )
    school.house.drain(Lane.BULK)
    assert not any(school.house.ledger(job) for job in mails)
    for _ in range(2):
        school.study(500)
        school.house.clock.move(0.3)
        school.house.drain(Lane.BULK)
    assert {school.house.job(job).status for job in mails} == {"sent"}
