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
from domain.events import BounceClass, EventType, RejectReason
from domain.message import Lane, OnUnknown
from domain.recovery import HELD_BECAUSE, WorkersAlive
from providers.memory import Answer
from tests.builders import a_submission, new_id
from tests.conftest import Databases
from tests.integration.delivery.conftest import House
from tests.integration.delivery.test_death import claim, open_attempt
from tests.integration.delivery.test_events import apply, event, sent, states, tell
from wiring.embedded.postgres import find_binaries
from workers.inbound import UNMATCHED_AFTER
from workers.recovery import hold, hold_suspects, release_held, survey


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
    binaries = find_binaries(None)
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


@pytest.mark.parametrize("first", ["hold", "event"])
def test_an_event_of_an_attempt_that_the_restore_has_lost_settles_its_email(
    house: House, restored: Any, first: str
):
    """Its line in the ledger is lost too: our ids, which the event bears, bring it back."""
    provider = house.provider("only")
    told_of, bounced, silent = house.accept(*(a_submission() for _ in range(3)))
    restore = restored()
    house.drain()
    lost = {sent.submission.id: sent.attempt_id for sent in provider.sent}
    new, at = restore()
    new.kill_all()

    def told() -> None:
        for job, kind in ((told_of, EventType.DELIVERED), (bounced, EventType.BOUNCED)):
            tell(new, "only", event(kind, lost[job], email_id=job, bounce=BounceClass.HARD))
        apply(new)

    if first == "event":
        told()
        new.pass_time(UNMATCHED_AFTER + 1)
        apply(new)
        assert states(new) == ["unmatched"] * 2, "the API ran on, and nobody recovered for an hour"
    assert cli(new, "--yes", since=at).exit_code == 0
    if first == "hold":
        told()
    apply(new)
    assert {j: new.job(j).status for j in (told_of, bounced, silent)} == {
        told_of: "delivered", bounced: "bounced", silent: "unknown",
    }  # fmt: skip
    (line,) = new.ledger(told_of)
    assert (line.id, line.outcome, line.provider) == (lost[told_of], "accepted", "only")
    assert [new.queued(j) is None for j in (told_of, bounced, silent)] == [True, True, False]
    new.pass_time(90_000)
    new.drain()
    assert len(provider.sent) == 3


def test_an_attempt_of_another_time_or_of_another_users_account_is_not_believed_to_be_lost(house: House):
    house.provider("only")
    job, attempt = sent(house, provider="other")
    (waits,) = house.accept()
    with house.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE providers SET user_id = NULL")
        connection.exec_driver_sql("DELETE FROM delivery_attempts")
    tell(house, "only", event(EventType.DELIVERED, attempt, email_id=job))
    house.kill_all()
    apply(house)
    assert states(house) == ["waiting"], "there was no restore"
    house.pass_time(2 * 86_400)
    assert cli(house, "--yes", since=now(house)).exit_code == 0
    apply(house)
    assert states(house) == ["unmatched"], "it was made long before the backup"
    stranger = new_id()
    with house.engine.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO users (id, email, password_hash) VALUES (%s, 'x@x.example', '-')", (str(stranger),)
        )
        connection.exec_driver_sql("UPDATE providers SET user_id = %s WHERE name = 'only'", (str(stranger),))
        connection.exec_driver_sql("UPDATE recoveries SET since = since - interval '30 days'")
    tell(house, "only", event(EventType.DELIVERED, new_id(), email_id=waits))
    apply(house)
    assert "applied" not in states(house)
    assert house.job(waits).status == "unknown"


def test_what_was_in_doubt_and_asked_to_be_resent_is_held_too(house: House):
    """The lost world may have sent it again already; "once" is over."""
    provider = house.provider("only", answer=Answer.TAKEN_BUT_UNKNOWN)
    (open_, doubtful) = house.accept(*(a_submission(on_unknown=OnUnknown.RESEND) for _ in range(2)))
    house.drain()
    assert len(provider.sent) == 2
    with house.engine.begin() as connection:  # as a backup between its ledger line and its end has it
        connection.exec_driver_sql(
            "UPDATE delivery_attempts SET outcome = NULL, settled_at = NULL WHERE job_id = %s", (str(open_),)
        )
    house.reconfigure("only")
    house.kill_all()
    result = cli(house, "--yes")
    assert result.exit_code == 0, result.output
    assert {house.job(j).status_reason for j in (open_, doubtful)} == {HELD_BECAUSE}
    for seconds in (61, 3600, 90_000):
        house.pass_time(seconds)
        house.drain()
    assert house.adapters["only"].sent == ()
    assert {house.job(j).status for j in (open_, doubtful)} == {"unknown"}


def test_an_attempt_that_its_provider_refused_is_not_tried_again_by_itself_after_a_restore(house: House):
    """The lost world may have tried the next provider already."""
    house.provider("only", answer=Answer.UNKNOWN)
    (job,) = house.accept()
    house.drain()
    house.kill_all()
    assert cli(house, "--yes").exit_code == 0
    tell(house, "only", event(EventType.REJECTED, house.ledger(job)[0].id, reject_reason=RejectReason.OTHER))
    apply(house)
    assert (house.job(job).status, house.ledger(job)[0].outcome) == ("unknown", "not_sent")
    assert house.queued(job).held


def test_a_worker_that_comes_to_life_meanwhile_ends_it(house: House):
    (job,) = house.accept()
    run = house.run()
    with house.units() as unit:
        unit.delivery.claim(Lane.TRANSACTIONAL, run.id, 1, house.clock.chance.shuffle)
        unit.commit()
    with pytest.raises(WorkersAlive):
        hold_suspects(house.units, house.units, now(house), house.patience)
    assert house.queued(job).run == run.id


def test_one_that_was_broken_off_goes_on_where_it_was(house: House):
    provider = house.provider("only")
    jobs = house.accept(*(a_submission() for _ in range(3)))
    at = now(house)
    with house.units() as unit:
        unit.recovery.put([hold(s, house.patience) for s in unit.recovery.suspects(at, 1)])
        unit.commit()
    assert survey(house.units, at).held == 1
    assert cli(house, "--yes", since=at).exit_code == 0
    assert [house.timeline(job) for job in jobs] == [["unknown"]] * 3
    house.drain()
    assert provider.sent == ()


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


def test_it_says_where_what_is_held_will_be_looked_for(house: House):
    house.accept()
    for kind in ("postmark", "mailgun", "mailjet", "ses", "gone"):
        house.provider(f"our {kind}")
        with house.engine.begin() as connection:
            connection.exec_driver_sql(
                "UPDATE providers SET kind = %s WHERE name = %s", (kind, f"our {kind}")
            )
    said = cli(house, "--yes").output
    assert "looked for, for a day, at our mailgun (mailgun), our postmark (postmark)." in said
    assert "Not at our gone (gone), our mailjet (mailjet), our ses (ses): nobody can be asked there" in said


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
