"""Structured logs on standard error: one JSON object a line, with ids and never addresses, bodies or credentials."""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Iterator

import structlog
from structlog.typing import EventDict, Processor

# Lines per task or per tick that say nothing of an email; shown at DEBUG.
_CHATTY = ("celery.worker.strategy", "celery.app.trace", "celery.beat", "alembic.runtime.migration")


def name_exceptions(_: object, __: str, event: EventDict) -> EventDict:
    """An exception becomes its types and its frames. Its words stay out: they may quote addresses or credentials."""
    found = event.pop("exc_info", None)
    if found is True:
        found = sys.exc_info()
    error = found[1] if isinstance(found, tuple) else found
    if isinstance(error, BaseException):
        event["exception"] = [_name(one) for one in _chain(error)]
        event["frames"] = [
            f"{frame.filename}:{frame.lineno} {frame.name}"
            for frame in traceback.extract_tb(error.__traceback__)
        ]
    return event


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _name(error: BaseException) -> str:
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _reword_celery(_: object, __: str, event: EventDict) -> EventDict:
    """Celery's line about a task that failed ends with the exception's own words."""
    record = event.get("_record")
    if isinstance(record, logging.LogRecord) and record.name == "celery.app.trace":
        data = getattr(record, "data", None)
        if isinstance(data, dict) and "name" in data:
            event["event"] = "task_failed" if record.exc_info else f"task {data.get('description')}"
            event["task"], event["task_id"] = data["name"], data.get("id")
    return event


def configure_logs(level: str = "INFO") -> None:
    """Send structlog's and the standard library's records the same way."""
    shared: list[Processor] = [
        _reword_celery,
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                name_exceptions,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.DEBUG if level == "DEBUG" else logging.WARNING)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
