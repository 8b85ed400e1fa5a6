"""After a restore: what was due may have been sent by the world that was lost, and is not sent again by itself."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy.engine import make_url

from cli.recover import recover
from domain.message import Lane
from tests.builders import a_submission
from tests.conftest import Databases
from tests.integration.delivery.conftest import House
from tests.integration.delivery.test_death import claim, open_attempt
from wiring.embedded.postgres import _find_binaries
from workers.recovery import HELD_BECAUSE, hold_suspects, release_held, survey


def now(house: House) -> datetime:
    found: datetime = house.one("SELECT mm_now() AS now").now
    return found


def cli(house: House, *options: str, answers: str = "", since: datetime | None = None) -> Any:
    url = house.engine.url.render_as_string(hide_password=False)
    return CliRunner(env={"DATABASE_URL": url}).invoke(
        recover, ["--since", (since or now(house)).isoformat(), *options], input=answers
    )


@pytest.fixture
def restored(house: House, databases: Databases, redis_url: str, tmp_path: Path) -> Iterator[Any]:
    """A function that makes a real dump now, and later restores it into a new database: the house in the old state."""
    binaries = _find_binaries(None)
    houses: list[House] = []
    contexts: list[Any] = []

    def run(tool: str, url: str, *arguments: str) -> None:
        parts = make_url(url)
        subprocess.run(
            [str(binaries / tool), "-h", str(parts.host), "-p", str(parts.port), "-U", str(parts.username),
             "-d", str(parts.database), *arguments],
            check=True, capture_output=True, timeout=60,
            env={**os.environ, "PGPASSWORD": str(parts.password)},
        )  # fmt: skip

    def dump() -> Any:
        file = tmp_path / "backup.dump"
        run("pg_dump", house.engine.url.render_as_string(hide_password=False), "-Fc", "-f", str(file))
        at = now(house)

        def restore() -> tuple[House, datetime]:
            context = databases.empty()
            url = context.__enter__()
            contexts.append(context)
            run("pg_restore", url, "--no-owner", "--exit-on-error", str(file))
            again = House(url, redis_url, restored=True)
            again.adapters = house.adapters
            houses.append(again)
            return again, at

        return restore

    yield dump
    for made in houses:
        made.close()
    for context in contexts:
        context.__exit__(None, None, None)


def test_what_was_sent_since_the_backup_is_not_sent_again(house: House, restored: Any):
    provider = house.provider("only")
    jobs = house.accept(*(a_submission() for _ in range(5)))
    (waits,) = house.accept(due_in=9000)
    claimed = house.run()
    with house.units() as unit:
        unit.delivery.claim(Lane.TRANSACTIONAL, claimed.id, 2, house.clock.chance.shuffle)
        unit.commit()
    restore = restored()
    house.kill(claimed)
    house.sweep()
    house.drain()
    assert len(provider.sent) == 5

    new, at = restore()
    assert {new.job(j).status for j in jobs} == {"queued"}, "this world knows nothing of it"
    new.kill_all()
    result = cli(new, answers="y\nn\n", since=at)
    assert result.exit_code == 0, result.output
    assert "Held: 5 emails" in result.output
    new.sweep()
    new.drain()
    assert len(provider.sent) == 5, "none twice"
    assert {new.job(j).status for j in jobs} == {"unknown"}
    assert {new.job(j).status_reason for j in jobs} == {HELD_BECAUSE}
    assert new.job(waits).status == "queued"
    assert new.timeline(jobs[0])[-1] == "unknown"
    new.pass_time(86_401)
    new.drain()
    assert new.queued(jobs[0]) is None, "final, without having been sent"
    assert len(provider.sent) == 5


def test_a_dry_run_changes_nothing(house: House):
    jobs = house.accept(a_submission(), a_submission())
    result = cli(house, "--dry-run")
    assert result.exit_code == 0
    assert "2 emails were due" in result.output
    assert "Nothing was changed" in result.output
    assert {house.job(j).status for j in jobs} == {"queued"}


def test_while_a_worker_lives_nothing_is_done(house: House):
    (job,) = house.accept()
    house.run()
    result = cli(house, "--yes")
    assert result.exit_code == 1
    assert "Stop all workers" in result.output
    assert house.job(job).status == "queued"


def test_emails_accepted_after_the_restore_are_left_to_be_sent(house: House):
    provider = house.provider("only")
    (old,) = house.accept()
    at = now(house)
    house.pass_time(10)
    (new,) = house.accept()
    result = cli(house, "--yes", since=at)
    assert "1 emails were accepted after that time" in result.output
    house.drain()
    assert (house.job(old).status, house.job(new).status, len(provider.sent)) == ("unknown", "sent", 1)


def test_it_sends_only_what_it_was_told_to_and_may_be_repeated(house: House):
    provider = house.provider("only")
    (job,) = house.accept()
    for _ in range(2):
        assert cli(house, "--yes").exit_code == 0
    assert house.timeline(job) == ["unknown"]
    assert cli(house, answers="n\n").exit_code == 0
    house.drain()
    assert provider.sent == ()
    house.kill_all()
    result = cli(house, "--release", "--yes", answers="y\n")
    assert "Released: 1 emails" in result.output
    house.drain()
    assert (house.job(job).status, len(provider.sent)) == ("sent", 1)


def test_an_attempt_that_was_open_at_the_backup_is_settled_as_unknown(house: House):
    house.provider("one")
    (job,) = house.accept()
    dead = house.run()
    open_attempt(house, dead, claim(house, dead).token, job)
    house.kill(dead)
    assert cli(house, "--yes").exit_code == 0
    assert [a.outcome for a in house.ledger(job)] == ["unknown"]
    assert house.job(job).status == "unknown"


def test_many_are_held_in_batches(house: House):
    jobs = house.accept(*(a_submission() for _ in range(1203)))
    at = now(house)
    assert hold_suspects(house.units, house.units, at, house.patience) == len(jobs)
    assert survey(house.units, at).held == len(jobs)
    assert release_held(house.units) == len(jobs)
    assert survey(house.units, at).held == 0


@pytest.mark.parametrize("given", ["yesterday", "2026-05-03T04:00:00", ""])
def test_a_time_without_its_zone_is_refused(house: House, given: str):
    result = CliRunner(env={"DATABASE_URL": "postgresql://x@127.0.0.1:1/x"}).invoke(
        recover, ["--since", given]
    )
    assert result.exit_code == 2


def test_a_time_to_come_is_refused(house: House):
    house.accept()
    result = cli(house, "--yes", since=now(house) + timedelta(hours=1))
    assert result.exit_code == 1
    assert "future" in result.output
