"""After a restore very many emails may be held: each has its turn at every account, and no beat reads all of them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import Connection, event, insert

from db import models
from domain.capabilities import Capabilities, Search
from domain.errors import ProviderUnavailable
from domain.events import InboundEvent
from domain.lookups import Sought
from domain.message import Lane
from providers.memory import MemoryProvider
from tests.builders import a_submission, new_id
from tests.integration.delivery.conftest import House
from workers.lookups import look_up
from workers.recovery import hold_suspects

PAGE = 200
log = structlog.get_logger("test")


class Asked(MemoryProvider):
    """An account that can be asked, knows of nothing, and remembers what it was asked for."""

    def __init__(self, name: str) -> None:
        super().__init__(name, can=Capabilities(search=Search.EMAIL))
        self.asked: list[UUID] = []
        self.silent = False

    def find(self, sought: Sought) -> Sequence[InboundEvent]:
        if self.silent:
            raise ProviderUnavailable(self.name, "as the test says")
        self.asked.append(sought.email_id)
        return []


def account(house: House, name: str, owner: UUID | None = None) -> Asked:
    house.provider(name)
    house.adapters[name] = made = Asked(name)
    if owner is not None:
        with house.engine.begin() as connection:
            values = {"owner": owner, "name": name}
            connection.exec_driver_sql(
                "UPDATE providers SET user_id = %(owner)s WHERE name = %(name)s", values
            )
    return made


def held(house: House, count: int, **more: Any) -> list[UUID]:
    """Emails that a recovery holds, half of them of each lane."""
    lanes = list(Lane)
    jobs = house.accept(*(a_submission(lane=lanes[n % 2], **more) for n in range(count)))
    house.kill_all()
    hold_suspects(house.units, house.units, datetime.now(UTC), house.patience)
    return jobs


def look(house: House, seconds: float = 10) -> None:
    """One beat, so much later than the last."""
    house.pass_time(seconds)
    dispatcher = house.dispatcher
    look_up(house.units, dispatcher.fleet, dispatcher.sender.adapter, house.bell, house.clock, log)


def test_each_held_email_has_its_turn_before_any_has_a_second(house: House) -> None:
    one, other = account(house, "one"), account(house, "other")
    jobs = held(house, PAGE + 30)
    beats = 0
    while len(one.asked) < len(jobs):
        look(house)
        beats += 1
        assert beats <= len(jobs) / 5 + 2, "five in a beat"
    for asked in (one.asked, other.asked):
        assert Counter(asked) == Counter(jobs)
    for _ in range(len(jobs) // 5 + 2):
        look(house)
    assert min(Counter(one.asked).values()) == 2, "and then they are asked for again"


def test_what_was_not_asked_for_after_all_is_next_and_does_not_wait_for_all_others(house: House) -> None:
    one = account(house, "one")
    jobs = sorted(held(house, 20))
    one.silent = True
    look(house)
    assert [row.next for row in house.all("SELECT next FROM lookup_cursors")] == [jobs[1]], (
        "of five one was asked for, in vain"
    )
    one.silent = False
    for _ in range(5):
        look(house)
    assert set(one.asked) >= set(jobs[1:])


def test_an_account_of_one_user_is_not_asked_for_emails_of_others(house: House) -> None:
    stranger = new_id()
    with house.engine.begin() as connection:
        user = {"id": stranger, "email": "s@x.example", "password_hash": "-"}
        connection.execute(insert(models.User), user)
    private = account(house, "private", stranger)
    held(house, PAGE + 5)
    mine = held(house, 2, user_id=stranger)
    for _ in range(3):
        look(house)
    assert Counter(private.asked) == Counter(mine)


def test_a_beat_reads_a_page_for_each_account_however_many_are_held(house: House) -> None:
    for name in ("one", "other"):
        account(house, name)
    held(house, 5 * PAGE)
    with house.engine.begin() as connection:
        connection.exec_driver_sql("ANALYZE email_queue, email_jobs")
    most = []
    for _ in range(2):
        with house.units() as unit, counting(unit.connection) as read:
            accounts = [p.id for p in house.dispatcher.fleet.snapshot().providers]
            house.pass_time(11)
            assert len(unit.lookups.take(accounts, accounts)) == 10
            unit.commit()
        most.append(max(read))
    assert max(most) <= 2 * 2 * 2 * PAGE, "of two lanes, for two accounts, by whichever index"


@contextmanager
def counting(connection: Connection) -> Iterator[list[float]]:
    """How many rows of a table each step of each statement's plan reads, its filters' victims among them."""
    read: list[float] = []

    def explain(_: Connection, cursor: Any, statement: str, parameters: Any, *__: Any) -> None:
        if statement.lstrip().upper().startswith("WITH"):
            cursor.execute("SAVEPOINT explained")
            cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", parameters)
            found = cursor.fetchone()[0]
            cursor.execute("ROLLBACK TO explained")
            plans = [(json.loads(found) if isinstance(found, str) else found)[0]["Plan"]]
            while plans:
                plan = plans.pop()
                plans += plan.get("Plans", [])
                rows = plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0)
                if "Relation Name" in plan:
                    read.append(rows * plan["Actual Loops"])

    event.listen(connection, "before_cursor_execute", explain)
    try:
        yield read
    finally:
        event.remove(connection, "before_cursor_execute", explain)
