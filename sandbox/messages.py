"""A received message, and the box that keeps it: a file of JSON lines, and the newest ones in memory."""

import json
import os
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Mailbox:
    """One address of a header."""

    email: str
    name: str = ""

    def __str__(self) -> str:
        return f"{self.name} <{self.email}>" if self.name else self.email


@dataclass(frozen=True)
class ReceivedAttachment:
    name: str
    type: str
    size: int
    sha256: str
    disposition: str = "attachment"
    content_id: str = ""


@dataclass(frozen=True)
class Envelope:
    """What the transport was told: the return path and everyone who gets the message."""

    sender: str
    recipients: tuple[str, ...]


@dataclass(frozen=True)
class Received:
    """A message as one dialect understood it, before it has a number."""

    account: str
    dialect: str
    message_id: str
    """The id in the provider's answer."""
    sender: Mailbox
    to: tuple[Mailbox, ...] = ()
    cc: tuple[Mailbox, ...] = ()
    bcc: tuple[Mailbox, ...] = ()
    envelope: Envelope = Envelope("", ())
    subject: str = ""
    text: str = ""
    html: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    attachments: tuple[ReceivedAttachment, ...] = ()
    reply_to: tuple[Mailbox, ...] = ()
    categories: tuple[str, ...] = ()
    custom_args: dict[str, str] = field(default_factory=dict)
    stream: str = ""
    """Where a provider keeps kinds of email apart, the one that was named."""
    size: int = 0
    """Bytes on the wire."""
    defects: tuple[str, ...] = ()
    """What could not be read as it should be."""


@dataclass(frozen=True)
class Correlation:
    """Where a caller's own ids are found in a message."""

    attempt_arg: str = "mailmux_attempt"
    email_arg: str = "mailmux_email"
    attempt_header: str = "X-Mailmux-Attempt"
    email_header: str = "X-Mailmux-Email"

    def attempt_id(self, message: Received) -> str | None:
        return _find(message, self.attempt_arg, self.attempt_header)

    def email_id(self, message: Received) -> str | None:
        return _find(message, self.email_arg, self.email_header)


def _find(message: Received, arg: str, header: str) -> str | None:
    """A provider without arguments of one's own has them in its tags, as name:value."""
    if arg in message.custom_args:
        return message.custom_args[arg]
    if (tag := next((c for c in message.categories if c.startswith(f"{arg}:")), None)) is not None:
        return tag.removeprefix(f"{arg}:")
    wanted = header.lower()
    return next((value.strip() for name, value in message.headers if name.lower() == wanted), None)


Record = dict[str, Any]
"""A received message with its number, as it stands in the file and in JSON answers."""


def to_record(seq: int, message: Received, correlation: Correlation) -> Record:
    record: Record = {
        "seq": seq,
        "received_at": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "attempt_id": correlation.attempt_id(message),
        "email_id": correlation.email_id(message),
    }
    record.update(asdict(message))
    record["from"] = record.pop("sender")
    record["envelope"] = {"from": message.envelope.sender, "to": list(message.envelope.recipients)}
    return record


def to_message(record: Record) -> tuple[Received, float]:
    """The message, without what was attached to it, and when it was received (Unix seconds)."""

    def people(kind: str) -> tuple[Mailbox, ...]:
        return tuple(Mailbox(**mailbox) for mailbox in record[kind])

    message = Received(
        account=record["account"],
        dialect=record["dialect"],
        message_id=record["message_id"],
        sender=Mailbox(**record["from"]),
        to=people("to"),
        cc=people("cc"),
        bcc=people("bcc"),
        envelope=Envelope(record["envelope"]["from"], tuple(record["envelope"]["to"])),
        subject=record["subject"],
        categories=tuple(record["categories"]),
        custom_args=dict(record["custom_args"]),
        stream=record.get("stream", ""),
        size=record["size"],
    )
    return message, datetime.fromisoformat(record["received_at"]).timestamp()


class MessageBox:
    """Every accepted message: appended to `DIR/received.jsonl` before `add` returns, so that a message which
    the caller was told of survives a SIGKILL of this process (and of the machine, with `fsync`).

    The newest `keep` messages, and no more than `keep_bytes` of them, can be read back. Raises OSError when
    the file cannot be written; nothing is kept then.
    """

    def __init__(
        self,
        directory: Path,
        *,
        correlation: Correlation | None = None,
        keep: int = 2000,
        keep_bytes: int = 64 << 20,
        fsync: bool = False,
    ) -> None:
        self.path = directory / "received.jsonl"
        self._seq_path = directory / "received.seq"
        self._correlation = correlation or Correlation()
        self._keep_bytes = keep_bytes
        self._fsync = fsync
        self._lock = threading.Lock()
        self._recent: deque[tuple[Record, int]] = deque()
        self._keep = keep
        self._bytes = 0
        self._fd = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        self._size = self._end_of_last_line()
        os.ftruncate(self._fd, self._size)
        self._seq = int(self._seq_path.read_text()) if self._seq_path.exists() else 0
        for line in self._tail():
            record = json.loads(line)
            self._seq = record["seq"]
            self._remember(record, len(line))

    def add(self, messages: Sequence[Received]) -> list[Record]:
        """Numbers and records the messages in one write."""
        with self._lock:
            records = [
                to_record(self._seq + n, message, self._correlation) for n, message in enumerate(messages, 1)
            ]
            lines = [json.dumps(record, ensure_ascii=True).encode() + b"\n" for record in records]
            self._append(b"".join(lines))
            self._seq += len(records)
            for record, line in zip(records, lines, strict=True):
                self._remember(record, len(line))
            return records

    def find(
        self,
        *,
        to: str = "",
        query: str = "",
        account: str = "",
        email_id: str = "",
        attempt_id: str = "",
        limit: int = 50,
    ) -> list[Record]:
        """The newest messages first that fit every given filter. `to` is part of an envelope recipient,
        `query` of a recipient or of the subject; case does not matter."""
        to, query = to.lower(), query.lower()
        found: list[Record] = []
        with self._lock:
            recent = [record for record, _ in self._recent]
        for record in reversed(recent):
            if len(found) >= limit:
                break
            recipients = " ".join(record["envelope"]["to"]).lower()
            if (
                (not account or record["account"] == account)
                and (not email_id or record["email_id"] == email_id)
                and (not attempt_id or record["attempt_id"] == attempt_id)
                and (not to or to in recipients)
                and (not query or query in recipients or query in record["subject"].lower())
            ):
                found.append(record)
        return found

    def get(self, seq: int) -> Record | None:
        with self._lock:
            return next((record for record, _ in self._recent if record["seq"] == seq), None)

    def kept(self) -> int:
        with self._lock:
            return len(self._recent)

    def received(self) -> int:
        """How many messages were ever received here."""
        with self._lock:
            return self._seq

    def clear(self) -> int:
        """Forgets every message, in the file too. Numbers are not used again. Returns how many were shown."""
        with self._lock:
            shown = len(self._recent)
            self._seq_path.write_text(str(self._seq))
            os.ftruncate(self._fd, 0)
            self._size = self._bytes = 0
            self._recent.clear()
            return shown

    def close(self) -> None:
        with self._lock:
            os.close(self._fd)

    def _append(self, data: bytes) -> None:
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._fd, view) :]
            if self._fsync:
                os.fsync(self._fd)
        except OSError:
            os.ftruncate(self._fd, self._size)  # half a line would spoil the next one
            raise
        self._size += len(data)

    def _remember(self, record: Record, size: int) -> None:
        self._recent.append((record, size))
        self._bytes += size
        while len(self._recent) > self._keep or (self._bytes > self._keep_bytes and len(self._recent) > 1):
            _, gone = self._recent.popleft()
            self._bytes -= gone

    def _end_of_last_line(self) -> int:
        """Where the last complete line ends. What follows was cut off by a crash and was never answered."""
        end = os.fstat(self._fd).st_size
        while end:
            start = max(0, end - 65536)
            block = os.pread(self._fd, end - start, start)
            newline = block.rfind(b"\n")
            if newline >= 0:
                return start + newline + 1
            end = start
        return 0

    def _tail(self) -> list[bytes]:
        """The last lines of the file: at most `keep`, and about `keep_bytes`."""
        start, data = self._size, b""
        while start and (
            data.count(b"\n") < 2 or (data.count(b"\n") <= self._keep and len(data) < self._keep_bytes)
        ):
            step = min(start, 4 << 20)
            start -= step
            data = os.pread(self._fd, step, start) + data
        lines = data.split(b"\n")[:-1]
        return (lines if start == 0 else lines[1:])[-self._keep :]
