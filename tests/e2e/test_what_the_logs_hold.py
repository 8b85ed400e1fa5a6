"""No address, body, subject, key or credential stands in any log, whatever the tests before this one have done.

The name of this file makes it the last: the logs of the whole run are read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from uuid import uuid4

import requests

from bench.stack import Stack
from tests.e2e.client import Service

SECRET = f"the-pin-is-{uuid4().hex}"
_ADDRESS = re.compile(r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.(?:example|com|org|net|test)\b")
_KEY = re.compile(r"mx_(?:live|test|sess|pass)_\w{8}|\bSG\.[\w-]{22}\.[\w-]+|\bwhsec_\w+|Bearer \S{8}")


def leaks(lines: Iterable[tuple[str, str]], secrets: Iterable[str]) -> Iterator[str]:
    """Where something stands that no log may hold: the file, and what it is; never the thing itself."""
    known = [secret for secret in secrets if secret]
    for place, line in lines:
        if _ADDRESS.search(line):
            yield f"{place}: an address"
        if _KEY.search(line):
            yield f"{place}: a key"
        if any(secret in line for secret in known):
            yield f"{place}: a secret or a content"


def logged(folder: Path) -> Iterator[tuple[str, str]]:
    for path in sorted((folder / "logs").iterdir()):
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), start=1):
            yield f"{path.name}:{number}", line


def credentials(folder: Path) -> list[str]:
    """Whatever the sandbox's accounts sign in with, and the sealing keys."""
    accounts = json.loads((folder / "sandbox" / "accounts.json").read_text())["accounts"]
    keys = (folder / "encryption-keys").read_text().split(":", 1)[1].strip()
    return [value for a in accounts for name, value in a["credentials"].items() if name != "username"] + [
        keys
    ]


def test_the_search_finds_what_is_planted():
    planted = [
        ("api.log:1", '{"event": "sent", "to": "ada-1@example.com"}'),
        ("api.log:2", "Authorization: Bearer mx_live_0123456789"),
        ("beat.log:3", f"the text was {SECRET}"),
        ("beat.log:4", '{"event": "task sent", "worker": "all-lanes@machine"}'),
    ]
    assert list(leaks(planted, [SECRET])) == [
        "api.log:1: an address",
        "api.log:2: a key",
        "beat.log:3: a secret or a content",
    ]


def test_after_all_that_was_sent_failed_and_refused_the_logs_hold_nothing_of_it(
    stack: Stack, service: Service
):
    address = f"{SECRET}@mailbox.example"
    content = {"to": [address], "subject": SECRET, "text": SECRET, "metadata": {"pin": SECRET}}
    for provider in ("sandbox-sendgrid", "sandbox-postmark", "sandbox-smtp"):
        for mode in ("reject", "unavailable", "auth"):
            service.fail(provider, mode)
            sent = service.send(**content, routing={"pinned": [provider]}, expires_at=None)
            assert sent
        service.heal()
    for call in (
        lambda: service.post("/v1/emails", {**content, "from": address, "to": SECRET}),
        lambda: service.post("/v1/emails", json.dumps(content)),
        lambda: service.get("/v1/emails", recipient=address),
        lambda: service.get(f"/v1/emails/{SECRET}"),
        lambda: service.post("/v1/sessions", {"email": address, "password": SECRET}),
        lambda: service.post("/v1/password", {"token": SECRET, "password": SECRET}),
        lambda: service.post("/v1/suppressions", {"entries": [{"address": address}]}),
        lambda: service.post("/v1/erasures", {"address": address}),
        lambda: service.post(f"/hooks/sendgrid/{SECRET}", [{"email": address}]),
        lambda: service.get(f"/t/{SECRET}"),
        lambda: service.get(f"/u/{SECRET}"),
        lambda: requests.get(
            service.api_url + "/v1/emails", headers={"Authorization": f"Bearer {SECRET}"}, timeout=10
        ),
    ):
        assert call().status_code < 500
    service.ended(service.send(**content | {"to": [f"another.{address}"]}))  # not whom the erasure takes away
    folder = Path(stack.ready["data_dir"])
    lines = list(logged(folder))
    programs = {place.partition(".")[0] for place, _ in lines}
    assert {"all-lanes", "transactional"} <= programs, "the logs that were read are those of the run"
    assert list(leaks(lines, [SECRET, service.key, *credentials(folder)])) == []
