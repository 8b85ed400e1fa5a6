"""The box that keeps received messages: before the answer, over restarts, within bounds."""

import json
import os
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from sandbox.messages import Correlation, Envelope, Mailbox, MessageBox, Received


@contextmanager
def box_in(directory: Path, **options: Any) -> Iterator[MessageBox]:
    box = MessageBox(directory, **options)
    yield box
    box.close()


def message(subject: str = "hello", **fields: Any) -> Received:
    return Received(
        account="one",
        dialect="smtp",
        message_id="id",
        sender=Mailbox("shop@example.org"),
        envelope=Envelope("shop@example.org", ("ada@example.com",)),
        subject=subject,
        **fields,
    )


def subjects(box: MessageBox) -> list[str]:
    return [record["subject"] for record in box.find(limit=100_000)]


def test_a_message_is_a_line_of_the_file_once_it_is_added(tmp_path: Path) -> None:
    with box_in(tmp_path) as box:
        box.add([message("one\nline"), message("two")])
        lines = [json.loads(line) for line in box.path.read_bytes().splitlines()]
    assert [(line["seq"], line["subject"]) for line in lines] == [(1, "one\nline"), (2, "two")]


def test_messages_and_numbers_go_on_after_a_restart(tmp_path: Path) -> None:
    with box_in(tmp_path) as box:
        box.add([message("one")])
    with box_in(tmp_path) as box:
        box.add([message("two")])
        assert subjects(box) == ["two", "one"]
        assert box.received() == 2


def test_numbers_go_on_after_a_restart_of_an_emptied_box(tmp_path: Path) -> None:
    with box_in(tmp_path) as box:
        box.add([message(), message()])
        assert box.clear() == 2
    with box_in(tmp_path) as box:
        assert box.kept() == 0
        assert box.add([message()])[0]["seq"] == 3


def test_a_line_that_a_crash_cut_off_is_forgotten(tmp_path: Path) -> None:
    with box_in(tmp_path) as box:
        box.add([message("whole")])
    with (tmp_path / "received.jsonl").open("ab") as file:
        file.write(b'{"seq": 2, "subject": "cut o')
    with box_in(tmp_path) as box:
        box.add([message("next")])
        assert subjects(box) == ["next", "whole"]
    for line in (tmp_path / "received.jsonl").read_bytes().splitlines():
        json.loads(line)


def test_only_the_newest_stay_in_memory_but_all_in_the_file(tmp_path: Path) -> None:
    with box_in(tmp_path, keep=3) as box:
        for number in range(10):
            box.add([message(str(number))])
        assert subjects(box) == ["9", "8", "7"]
        assert box.get(1) is None
        assert len(box.path.read_bytes().splitlines()) == 10
    with box_in(tmp_path, keep=3) as box:
        assert subjects(box) == ["9", "8", "7"]


def test_large_messages_are_bounded_by_their_size(tmp_path: Path) -> None:
    with box_in(tmp_path, keep_bytes=5000) as box:
        for number in range(10):
            box.add([message(str(number), text="x" * 2000)])
        assert subjects(box) == ["9", "8"]
        box.add([message("huge", text="x" * 6_000_000)])
        assert subjects(box) == ["huge"]
    with box_in(tmp_path, keep_bytes=5000) as box:
        assert subjects(box) == ["huge"]
        assert box.received() == 11


def test_ids_come_from_custom_arguments_or_headers_under_names_that_can_be_set(tmp_path: Path) -> None:
    names = Correlation("a", "e", "X-A", "X-E")
    with box_in(tmp_path, correlation=names) as box:
        (by_args,) = box.add([message(custom_args={"a": "1", "e": "2"}, headers=(("X-A", "no"),))])
        (by_headers,) = box.add([message(headers=(("x-a", " 3 "), ("X-E", "4")))])
        (neither,) = box.add([message(custom_args={"mailmux_attempt": "5"})])
    assert (by_args["attempt_id"], by_args["email_id"]) == ("1", "2")
    assert (by_headers["attempt_id"], by_headers["email_id"]) == ("3", "4")
    assert (neither["attempt_id"], neither["email_id"]) == (None, None)


def test_a_full_disk_leaves_no_half_line(tmp_path: Path) -> None:
    with box_in(tmp_path) as box:
        box.add([message("one")])
        before = box.path.read_bytes()
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 20, hard))
        try:
            with pytest.raises(OSError, match="large"):
                box.add([message("two")])
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
            signal.signal(signal.SIGXFSZ, handler)
        assert box.path.read_bytes() == before
        assert box.add([message("three")])[0]["seq"] == 2
        assert subjects(box) == ["three", "one"]


def test_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    with box_in(tmp_path, fsync=True) as box:
        box.add([message()])
        assert os.stat(box.path).st_mode & 0o077 == 0
