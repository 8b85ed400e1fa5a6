"""`mailmux bench campaign`: a large campaign, paused in the middle and then cancelled, counted at the receiver."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

import click
import requests

from bench.stack import Stack, data_folder, remove
from bench.throughput.measure import Processes, Receiver

GOAL_SECONDS = 2.0  # from the answer to the pause until nothing of it leaves any more
_BATCH, _CLIENTS = 1000, 4
_QUIET = 3.0  # seconds without an email, after which none comes any more
_PATIENCE = 300.0
_BODY = "Hello, this is a line of text for you to read.\n" * 40


@dataclass(frozen=True, slots=True)
class Report:
    """`pause_seconds`: from the answer to the pause until the last email came; `cancel_seconds`: from the request to
    cancel until none was waiting any more.
    """

    emails: int
    accepted_per_second: float
    sent_before_pause: int
    sent_per_second: float
    pause_seconds: float
    sent_after_pause: int
    cancel_seconds: float
    cancelled: int
    received: int
    recorded_sent: int
    statuses: dict[str, int]

    @property
    def problems(self) -> list[str]:
        found = []
        if self.pause_seconds > GOAL_SECONDS:
            found.append(f"emails left for {self.pause_seconds:.1f} s after the pause")
        if sum(self.statuses.values()) != self.emails:
            found.append(f"{self.emails} were accepted, and {sum(self.statuses.values())} are accounted for")
        if self.received != self.recorded_sent:
            found.append(f"{self.received} were received, and {self.recorded_sent} are recorded as sent")
        if left := set(self.statuses) - {"sent", "cancelled"}:
            found.append(f"some are neither sent nor cancelled: {', '.join(sorted(left))}")
        return found


@click.command(short_help="Pause a large campaign, and cancel what is unsent.")
@click.option(
    "--emails", type=click.IntRange(1000, 1_000_000), default=100_000, show_default=True, help="Its size."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def campaign(emails: int, as_json: bool) -> None:
    """Post a campaign, let a third of it leave, pause it, and cancel the rest; count at the receiver.

    Starts a stack of its own. Fails where emails still leave two seconds after the pause, or one is unaccounted for.
    """
    report = run(emails, lambda words: click.echo(words, err=True))
    if as_json:
        click.echo(json.dumps({**asdict(report), "problems": report.problems}))
    else:
        click.echo(
            f"{report.emails} emails accepted at {report.accepted_per_second:,.0f}/s and sent at "
            f"{report.sent_per_second:,.0f}/s; paused after {report.sent_before_pause}: the last left "
            f"{report.pause_seconds:.2f} s later ({report.sent_after_pause} more); {report.cancelled} cancelled in "
            f"{report.cancel_seconds:.1f} s; {report.received} received, {report.recorded_sent} recorded"
        )
    for problem in report.problems:
        click.echo(problem, err=True)
    sys.exit(1 if report.problems else 0)


def run(emails: int, say: Callable[[str], None]) -> Report:
    """Start a stack and a receiver of its own, and do all of it."""
    folder = data_folder()
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o711)
    processes = Processes(folder)
    environ = {"MAILMUX_PUBLIC_URL": "https://mail.example"}  # marketing bears links to unsubscribe by
    stack = Stack(folder / "data", "--no-sandbox", "--workers", "2", environ=environ)
    try:
        ready = stack.start()
        with _Service(ready["api_url"], ready["api_key"]) as service:
            return _measure(service, Receiver(processes, "smtp", "smtp"), emails, say)
    finally:
        processes.end()
        stack.end()
        remove(folder)


class _Service:
    def __init__(self, url: str, key: str) -> None:
        self._url = url
        self._own = threading.local()  # requests' sessions are for one thread
        self._headers = {"Authorization": f"Bearer {key}"}

    def __enter__(self) -> _Service:
        return self

    def __exit__(self, *_: object) -> None:
        if hasattr(self._own, "http"):
            self._own.http.close()

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        if not hasattr(self._own, "http"):
            self._own.http = requests.Session()
            self._own.http.headers.update(self._headers)
        answer = self._own.http.request(method, self._url + path, json=body, timeout=120)
        if not answer.ok:
            raise RuntimeError(f"{method} {path} was answered with {answer.status_code}: {answer.text[:300]}")
        return answer.json()

    def statuses(self, campaign: str) -> dict[str, int]:
        found: dict[str, int] = self.ask("GET", f"/v1/campaigns/{campaign}")["progress"]["statuses"]
        return {status: count for status, count in found.items() if count}


def _measure(service: _Service, receiver: Receiver, emails: int, say: Callable[[str], None]) -> Report:
    service.ask("POST", "/v1/providers", {
        "name": "sink", "kind": "smtp", "base_cost": "0.0001", "credentials": {},
        "config": {"host": "127.0.0.1", "port": receiver.port, "tls": "none", "messages_per_connection": 10_000},
    })  # fmt: skip
    campaign = service.ask("POST", "/v1/campaigns", {"name": "bench"})["id"]
    service.ask("POST", f"/v1/campaigns/{campaign}/pause")
    began = time.monotonic()
    with ThreadPoolExecutor(_CLIENTS) as clients:
        list(clients.map(lambda b: service.ask("POST", "/v1/emails/batch", b), _batches(campaign, emails)))
    accepting = time.monotonic() - began
    say(f"{emails} accepted in {accepting:.1f} s")
    began = time.monotonic()
    service.ask("POST", f"/v1/campaigns/{campaign}/resume")
    _until(lambda: receiver.count >= emails // 3)
    sending = time.monotonic() - began
    service.ask("POST", f"/v1/campaigns/{campaign}/pause")
    paused, before = time.monotonic(), receiver.count
    last = _last_one(receiver, paused)
    after = receiver.count
    say(f"paused after {before}, the last came {last:.2f} s later")
    began = time.monotonic()
    service.ask("POST", f"/v1/campaigns/{campaign}/cancel")
    _until(lambda: not set(service.statuses(campaign)) - {"sent", "cancelled"})
    cancelling = time.monotonic() - began
    _last_one(receiver, time.monotonic())
    statuses = service.statuses(campaign)
    return Report(
        emails, emails / accepting, before, before / sending, last, after - before, cancelling,
        statuses.get("cancelled", 0), receiver.count, statuses.get("sent", 0), statuses,
    )  # fmt: skip


def _batches(campaign: str, emails: int) -> Iterator[dict[str, Any]]:
    defaults = {
        "from": "Shop <shop@news.example>", "subject": "Spring", "text": _BODY, "email_type": "marketing",
        "campaign_id": campaign,
    }  # fmt: skip
    for start in range(0, emails, _BATCH):
        items = [{"to": [f"r{n}@mailbox.example"]} for n in range(start, min(start + _BATCH, emails))]
        yield {"defaults": defaults, "emails": items}


def _until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + _PATIENCE
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"it did not happen within {_PATIENCE:g} s")
        time.sleep(0.05)  # a poll; finer than what is reported


def _last_one(receiver: Receiver, since: float) -> float:
    """Seconds from `since` until the last email came, once none has come for a while."""
    count, last = receiver.count, since
    while time.monotonic() - last < _QUIET:
        time.sleep(0.01)  # a poll, as above
        if (now := receiver.count) != count:
            count, last = now, time.monotonic()
    return last - since
