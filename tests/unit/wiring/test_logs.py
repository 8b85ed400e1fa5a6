"""What a log line may hold: ids, types and frames; never an exception's own words."""

from __future__ import annotations

import io
import json
import logging
import sys
from collections.abc import Iterator

import pytest
import structlog

from wiring.logs import configure_logs

SECRET = "mary@example.com SG.secret"


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    configure_logs()
    yield stream
    root.handlers[:], root.level = before, level
    structlog.reset_defaults()


def fail() -> None:
    try:
        raise ValueError(SECRET)
    except ValueError as error:
        raise KeyError(SECRET) from error


def test_an_exception_is_told_by_its_types_and_frames(lines: io.StringIO):
    for log in (structlog.get_logger("own"), logging.getLogger("foreign")):
        try:
            fail()
        except KeyError:
            log.exception("it_broke")
    found = [json.loads(line) for line in lines.getvalue().splitlines()]
    assert [line["event"] for line in found] == ["it_broke", "it_broke"]
    for line in found:
        assert line["exception"] == ["KeyError", "ValueError"]
        assert line["frames"][-1].endswith("fail")
        assert "test_logs.py:" in line["frames"][-1]
    assert SECRET not in lines.getvalue()


def test_a_task_that_fails_is_told_without_the_exceptions_words(lines: io.StringIO):
    from celery import Celery
    from celery.app.trace import build_tracer

    app = Celery("test", broker="memory://", set_as_current=False)
    task = app.task(name="mailmux.breaks")(fail)
    build_tracer("mailmux.breaks", task, app=app, propagate=False)("id-1", (), {}, {"id": "id-1"})
    (line,) = [json.loads(text) for text in lines.getvalue().splitlines()]
    assert (line["event"], line["task"], line["task_id"]) == ("task_failed", "mailmux.breaks", "id-1")
    assert line["exception"] == ["KeyError", "ValueError"]
    assert SECRET not in lines.getvalue()
