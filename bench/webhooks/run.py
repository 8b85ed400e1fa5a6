"""SendGrid's signed events, as many as asked for, against the whole stack, and how long until they are applied."""

from __future__ import annotations

import base64
import http.client
import json
import random
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import urlsplit

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import Connection, create_engine, text

from bench.stack import Stack, data_folder, remove

_KINDS = ("processed", "deferred", "delivered", "open", "click")
_PER_EMAIL = len(_KINDS)
_CONNECTIONS = 16
_PATIENCE = 120.0  # seconds until all must be applied


@dataclass(frozen=True, slots=True)
class Report:
    """`lag_seconds`: from the last answer until the last event was applied. `cpu_us_per_call` by program, with all that
    was done until then.
    """

    calls: int
    cpu_us_per_call: dict[str, float]
    per_second: float
    p50_ms: float
    p99_ms: float
    worst_ms: float
    statuses: dict[str, int]
    stored: int
    applied: int
    lag_seconds: float
    delivered: int
    emails: int

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def run(rate: int, seconds: int) -> Report:
    """Start a stack of its own, send emails, and have their provider tell of them at `rate` calls a second."""
    folder = data_folder()
    stack = Stack(folder)
    try:
        ready = stack.start()
        emails = -(-rate * seconds // _PER_EMAIL)
        key = ec.generate_private_key(ec.SECP256R1())
        path = _set_up(ready, key)
        attempts = _send(ready, emails)
        calls = _calls(key, attempts, rate * seconds)
        before = _cpu(stack)
        told = _call(ready, path, calls, rate)
        lag = _wait_until_applied(ready)
        cpu = {name: (took - before[name]) * 1e6 / len(calls) for name, took in _cpu(stack).items()}
        return _count(ready, told, len(calls), emails, cpu, lag)
    finally:
        stack.end()
        remove(folder)


def _ask(ready: dict[str, Any], method: str, path: str, body: Any = None) -> Any:
    parts = urlsplit(ready["api_url"])
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
    fields = {"Authorization": f"Bearer {ready['api_key']}", "Content-Type": "application/json"}
    connection.request(method, path, None if body is None else json.dumps(body), fields)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    if answer.status >= 300:
        raise RuntimeError(f"{method} {path} answered {answer.status}: {content[:500]!r}")
    return json.loads(content)


def _set_up(ready: dict[str, Any], key: ec.EllipticCurvePrivateKey) -> str:
    providers = _ask(ready, "GET", "/v1/providers?limit=100")["data"]
    (provider,) = [p for p in providers if p["name"] == "sandbox-sendgrid"]
    public = key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    secret = {"verification_key": base64.b64encode(public).decode()}
    hook = _ask(ready, "PUT", f"/v1/providers/{provider['id']}/webhook", {"secrets": [secret]})
    return str(urlsplit(hook["url"]).path)


def _send(ready: dict[str, Any], emails: int) -> list[str]:
    """Hand emails over and wait until they are sent; returns their attempts."""
    defaults = {
        "from": "bench@example.com", "subject": "Hello", "text": "Hello", "routing": {"pinned": ["sandbox-sendgrid"]},
    }  # fmt: skip
    for first in range(0, emails, 1000):
        batch = [{"to": [f"u{n}@example.com"]} for n in range(first, min(first + 1000, emails))]
        _ask(ready, "POST", "/v1/emails/batch", {"defaults": defaults, "emails": batch})
    engine = create_engine(ready["database_url"])
    end = time.monotonic() + _PATIENCE
    with engine.connect() as connection:
        while _number(connection, "SELECT count(*) FROM email_jobs WHERE status = 'sent'") < emails:
            if time.monotonic() > end:
                raise RuntimeError("the emails were not sent in time")
            time.sleep(0.2)
        found = [str(i) for i in connection.execute(text("SELECT id FROM delivery_attempts")).scalars()]
    engine.dispose()
    return found


def _calls(key: ec.EllipticCurvePrivateKey, attempts: list[str], count: int) -> list[dict[str, Any]]:
    """One event a call, in any order; signed ahead."""
    events = [(attempt, kind) for attempt in attempts for kind in _KINDS][:count]
    random.Random(1).shuffle(events)
    now = int(time.time())
    calls = []
    for attempt, kind in events:
        event = {
            "email": "u@example.com", "event": kind, "timestamp": now, "sg_event_id": f"{attempt}-{kind}",
            "sg_message_id": "none", "mailmux_attempt": attempt,
        }  # fmt: skip
        body = json.dumps([event])
        signature = key.sign(f"{now}{body}".encode(), ec.ECDSA(hashes.SHA256()))
        headers = {
            "Content-Type": "application/json",
            "X-Twilio-Email-Event-Webhook-Timestamp": str(now),
            "X-Twilio-Email-Event-Webhook-Signature": base64.b64encode(signature).decode(),
        }
        calls.append({"headers": headers, "body": body})
    return calls


def _call(ready: dict[str, Any], path: str, calls: list[dict[str, Any]], rate: int) -> dict[str, Any]:
    spec = {
        "host": urlsplit(ready["api_url"]).netloc, "path": path, "calls": calls, "rate": rate,
        "connections": _CONNECTIONS,
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "bench.webhooks.calls"],
        input=json.dumps(spec) + "\n",
        capture_output=True,
        text=True,
        check=True,
        timeout=600,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _cpu(stack: Stack) -> dict[str, float]:
    """Seconds that each program has worked, its children included."""
    found = {}
    for name in ("api", "postgres", "transactional", "all-lanes"):
        program = stack.program(name)
        family = [program, *program.children(recursive=True)]
        found[name] = sum(p.cpu_times().user + p.cpu_times().system for p in family)
    return found


def _wait_until_applied(ready: dict[str, Any]) -> float:
    engine = create_engine(ready["database_url"])
    began = time.monotonic()
    with engine.connect() as connection:
        while _number(connection, "SELECT count(*) FROM inbound_events WHERE state = 'waiting'"):
            if time.monotonic() - began > _PATIENCE:
                break
            time.sleep(0.1)
    engine.dispose()
    return time.monotonic() - began


def _count(
    ready: dict[str, Any], told: dict[str, Any], calls: int, emails: int, cpu: dict[str, float], lag: float
) -> Report:
    engine = create_engine(ready["database_url"])
    with engine.connect() as connection:
        stored = _number(connection, "SELECT count(*) FROM inbound_events")
        applied = _number(connection, "SELECT count(*) FROM inbound_events WHERE state = 'applied'")
        delivered = _number(connection, "SELECT count(*) FROM email_jobs WHERE status = 'delivered'")
    engine.dispose()
    took = told["latencies_ms"]
    return Report(
        calls=calls,
        cpu_us_per_call={name: round(us) for name, us in cpu.items()},
        per_second=calls / told["seconds"],
        p50_ms=took[len(took) // 2],
        p99_ms=took[min(len(took) - 1, int(len(took) * 0.99))],
        worst_ms=took[-1],
        statuses=told["statuses"],
        stored=stored,
        applied=applied,
        lag_seconds=lag,
        delivered=delivered,
        emails=emails,
    )


def _number(connection: Connection, statement: str) -> int:
    found = int(connection.execute(text(statement)).scalar_one())
    connection.rollback()
    return found
