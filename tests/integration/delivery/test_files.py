"""Files of emails: how long they are kept, and what becomes of an email whose files cannot be read."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest
import structlog

from db.blobs.local import LocalStore
from domain.files import FileMissing, blob_key
from domain.upkeep import Retention
from tests.builders import USER, new_id
from tests.integration.delivery.conftest import House
from workers.files import FileReader, collect_unused

HOUR, DAY = 3600, 86_400
log = structlog.get_logger("test")


@pytest.fixture
def store(house: House, tmp_path: Path) -> LocalStore:
    made = LocalStore(tmp_path / "files")
    house.dispatcher = replace(house.dispatcher, files=FileReader(made, most_bytes=0))
    return made


def kept(house: House, store: LocalStore, content: bytes) -> bytes:
    """A file that was brought; its SHA-256."""
    hash_ = hashlib.sha256(content).digest()
    with house.units() as unit:
        unit.attachments.reserve(USER, [(hash_, len(content))])
        store.put(blob_key(USER, hash_), content)
        unit.attachments.enter(new_id(), USER, hash_, "a.txt", "text/plain")
        unit.commit()
    return hash_


def carry(house: House, hash_: bytes, size: int, due_in: float = 0.0) -> UUID:
    """An email with the file."""
    (job,) = house.accept(due_in=due_in)
    file = {
        "id": str(new_id()), "hash": hash_.hex(), "size": size, "filename": "a.txt", "content_type": "text/plain",
        "disposition": "attachment", "content_id": None,
    }  # fmt: skip
    with house.engine.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE email_jobs SET envelope = envelope || %s::jsonb WHERE id = %s",
            (json.dumps({"files": [file]}), job),
        )
        connection.exec_driver_sql(
            "INSERT INTO email_attachments (job_id, user_id, hash) VALUES (%s, %s, %s)", (job, USER, hash_)
        )
    return job


def there(store: LocalStore, hash_: bytes) -> bool:
    return store.size(blob_key(USER, hash_)) is not None


def purge(house: House) -> None:
    with house.units() as unit:
        unit.upkeep.purge(Retention())
        unit.commit()


def test_a_file_that_no_email_carries_is_kept_for_a_day(house: House, store: LocalStore) -> None:
    unused = kept(house, store, b"nobody's")
    house.pass_time(23 * HOUR)
    asked = kept(house, store, b"asked for lately")
    assert collect_unused(house.units, store, log) == 0
    house.pass_time(2 * HOUR)
    assert collect_unused(house.units, store, log) == 1
    assert (there(store, unused), there(store, asked)) == (False, True)
    assert len(house.all("SELECT 1 FROM blobs")) == 1


@pytest.mark.parametrize("end", ["failed", "sent", "cancelled"])
def test_a_file_is_kept_until_its_email_has_ended_and_as_long_again_as_is_set(
    house: House, store: LocalStore, end: str
) -> None:
    hash_ = kept(house, store, b"carried")
    job = carry(house, hash_, 7, due_in=400 * DAY)
    house.pass_time(45 * DAY)
    purge(house)
    collect_unused(house.units, store, log)
    assert there(store, hash_), "it waits still"
    with house.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM email_queue")
        connection.exec_driver_sql("UPDATE email_jobs SET status = %s", (end,))
        if end == "sent":
            connection.exec_driver_sql("UPDATE email_jobs SET sent_at = mm_now()")
        connection.exec_driver_sql(
            "INSERT INTO email_status (id, email_job_id, status) VALUES (%s, %s, %s)", (new_id(), job, end)
        )
    house.pass_time(29 * DAY)
    purge(house)
    collect_unused(house.units, store, log)
    assert there(store, hash_), "thirty days from its end, and not from when it was accepted"
    house.pass_time(2 * DAY)
    purge(house)
    assert collect_unused(house.units, store, log) == 1
    assert not there(store, hash_)


def test_a_content_that_another_email_carries_stays(house: House, store: LocalStore) -> None:
    hash_ = kept(house, store, b"of two")
    ended, waits = carry(house, hash_, 6), carry(house, hash_, 6, due_in=400 * DAY)
    with house.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM email_queue WHERE job_id = %s", (ended,))
    house.pass_time(60 * DAY)
    purge(house)
    assert [row.job_id for row in house.all("SELECT job_id FROM email_attachments")] == [waits]
    collect_unused(house.units, store, log)
    assert there(store, hash_)


def test_an_email_whose_file_cannot_be_read_waits_and_goes_when_it_can(
    house: House, store: LocalStore
) -> None:
    provider = house.provider("one")
    content = b"there again"
    hash_ = kept(house, store, content)
    job = carry(house, hash_, len(content))
    plain, *_ = house.accept()
    store.delete(blob_key(USER, hash_))
    house.drain()
    assert (house.job(job).status, house.job(plain).status) == ("deferred", "sent")
    assert "attachments cannot be read" in house.job(job).status_reason
    assert house.ledger(job) == []
    store.put(blob_key(USER, hash_), b"another one")  # as long, and not what was put there
    house.pass_time(61)
    house.drain()
    assert house.job(job).status == "deferred"
    store.delete(blob_key(USER, hash_))
    store.put(blob_key(USER, hash_), content)
    house.pass_time(61)
    house.drain()
    assert house.job(job).status == "sent"
    assert [a.content for a in provider.sent[-1].submission.message.attachments] == [content]


def test_one_whose_file_never_comes_back_fails_with_the_reason(house: House, store: LocalStore) -> None:
    house.provider("one")
    hash_ = kept(house, store, b"lost")
    job = carry(house, hash_, 4)
    store.delete(blob_key(USER, hash_))
    with pytest.raises(FileMissing):
        store.read(blob_key(USER, hash_))
    house.pass_time(house.patience.give_up_after + 1)
    house.drain()
    assert house.job(job).status == "failed"
    assert "attachments cannot be read" in house.job(job).status_reason
