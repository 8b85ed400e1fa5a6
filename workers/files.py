"""Files of emails on their way out, and the store's unused ones on theirs."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Final, Protocol
from uuid import UUID

from domain.delivery import Close, LoadedEmail, Move, Release
from domain.files import BlobStore, FileMissing, FilesUnavailable, blob_key, upload_key
from domain.lifecycle import Event, Status, advance
from domain.message import Submission
from domain.ports import Log, WorkerUnit

CACHED_BYTES: Final = 64 * 1024 * 1024
RETRY_SECONDS: Final = 60.0  # until a file is asked for again that could not be read
_AT_ONCE: Final = 500  # unused contents that one round takes away

Units = Callable[[], AbstractContextManager[WorkerUnit]]


class Reader(Protocol):
    def complete(self, email: LoadedEmail) -> Submission:
        """The email with its files. Raises FilesUnavailable, also where one is missing or damaged."""
        ...

    def collect(self, units: Units, log: Log, stopping: Callable[[], bool]) -> int:
        """Take away what nobody wants any more (`collect_unused`)."""
        ...


class NoFiles:
    """Where there is no store no email can have files."""

    def complete(self, email: LoadedEmail) -> Submission:  # noqa: ARG002
        raise FilesUnavailable("no store for attachments is configured")

    def collect(self, units: Units, log: Log, stopping: Callable[[], bool]) -> int:  # noqa: ARG002
        return 0


NO_FILES: Final = NoFiles()


class FileReader:
    """Reads contents from the store, each once as long as it is remembered. For several threads at once.

    What is remembered has at most `most_bytes`: the files of a campaign are the same for all its emails.
    """

    def __init__(self, store: BlobStore, most_bytes: int = CACHED_BYTES) -> None:
        self._store, self._most = store, most_bytes
        self._known: OrderedDict[str, bytes] = OrderedDict()
        self._size = 0
        self._lock = threading.Lock()

    def complete(self, email: LoadedEmail) -> Submission:
        user_id, message = email.submission.user_id, email.submission.message
        attachments = tuple(file.with_content(self._read(user_id, file.hash)) for file in email.files)
        return replace(email.submission, message=replace(message, attachments=attachments))

    def collect(self, units: Units, log: Log, stopping: Callable[[], bool]) -> int:
        return collect_unused(units, self._store, log, stopping)

    def _read(self, user_id: UUID, hash: bytes) -> bytes:
        key = blob_key(user_id, hash)
        with self._lock:
            if (known := self._known.get(key)) is not None:
                self._known.move_to_end(key)
                return known
        content = self._store.read(key)
        if hashlib.sha256(content).digest() != hash:
            raise FileMissing("what the store has is not what was put there")
        with self._lock:
            if key not in self._known and len(content) <= self._most:
                self._known[key] = content
                self._size += len(content)
            while self._size > self._most:
                _, oldest = self._known.popitem(last=False)
                self._size -= len(oldest)
        return content


def unreadable(
    email: LoadedEmail,
    status: Status,
    round_: int,
    held: bool,
    error: FilesUnavailable,
    age: float,
    give_up: float,
) -> Move:
    """What becomes of an email whose files cannot be read now: it waits, until it has waited as long as any may.

    `age` and `give_up`: seconds since it was accepted, and until it is given up. One in doubt stays in doubt.
    """
    job_id, reason = email.submission.id, f"its attachments cannot be read: {error}"
    if age >= give_up:
        return Close(job_id, advance(status, Event.LOST_SIGHT if held else Event.GAVE_UP), reason)
    if held:
        return Release(job_id, RETRY_SECONDS, round_, True)
    return Release(job_id, RETRY_SECONDS, round_, False, advance(status, Event.POSTPONED), reason)


def collect_unused(
    units: Units,
    store: BlobStore,
    log: Log,
    stopping: Callable[[], bool] = lambda: False,
) -> int:
    """Take away what nobody wants any more; returns how many contents and unfinished uploads that were.

    A content's row is locked while its file goes, so that whoever brings the same content then waits for that, finds
    neither, and writes both. Where this breaks off, what is left is taken by the next round.
    """
    taken = 0
    with units() as unit:
        for upload in unit.attachments.old_uploads(_AT_ONCE):
            if stopping():
                break
            store.delete(upload_key(upload))
            unit.attachments.close_upload(upload)
            taken += 1
        unit.attachments.forget_names(10 * _AT_ONCE)
        candidates = unit.attachments.unused(_AT_ONCE)
        unit.commit()
    for user_id, hash_ in candidates:
        if stopping():
            break
        with units() as unit:
            if unit.attachments.drop(user_id, hash_):
                store.delete(blob_key(user_id, hash_))
                unit.commit()
                taken += 1
    if taken:
        log.info("files_collected", files=taken)
    return taken
