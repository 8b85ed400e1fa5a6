"""A user of the running service: over HTTP and the command line, as anyone would."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import redis
import requests

ENDED = {"sent", "failed", "unknown", "cancelled", "expired"}


class Service:
    """What `mailmux up` said when it was ready, and what a user does with it."""

    def __init__(self, api_url: str, key: str, sandbox_url: str, data_dir: str, redis_url: str) -> None:
        self.api_url, self.key, self.sandbox_url, self.data_dir, self.redis_url = (
            api_url, key, sandbox_url, data_dir, redis_url,
        )  # fmt: skip
        self.http = requests.Session()
        self.http.headers["Authorization"] = f"Bearer {key}"
        self.http.trust_env = False

    def post(self, path: str, body: Any = None, **more: Any) -> requests.Response:
        return self.http.post(self.api_url + path, json=body, timeout=20, **more)

    def get(self, path: str, **query: Any) -> requests.Response:
        return self.http.get(self.api_url + path, params=query, timeout=20)

    def send(self, **fields: Any) -> str:
        """Hand over an email to an address of its own, from a domain of its own; returns its id."""
        answer = self.post("/v1/emails", an_email(**fields))
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    def email(self, email_id: str) -> dict[str, Any]:
        answer = self.get(f"/v1/emails/{email_id}")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def ended(self, email_id: str, seconds: float = 15) -> dict[str, Any]:
        """The email, once it has come to rest."""
        until(lambda: self.email(email_id)["status"] in ENDED, seconds, lambda: self.email(email_id))
        return self.email(email_id)

    def inbox(self, email_id: str) -> list[dict[str, Any]]:
        """What the sandbox received of an email."""
        answer = self.http.get(f"{self.sandbox_url}/messages.json", params={"email_id": email_id}, timeout=10)
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()["messages"]
        return found

    def cli(self, *words: str) -> str:
        run = subprocess.run(
            [sys.executable, "-c", "from cli.main import main; main()", *words],
            capture_output=True,
            text=True,
            timeout=30,
            env={"PATH": "/usr/bin:/bin", "MAILMUX_DATA_DIR": self.data_dir, "LANG": "C.UTF-8"},
            check=False,
        )
        assert run.returncode == 0, run.stdout + run.stderr
        return run.stdout

    def fail(self, provider: str, mode: str) -> None:
        self.cli("sandbox", "fail", provider, "--mode", mode)

    def heal(self) -> None:
        """All providers answer, and nobody remembers that they did not."""
        self.cli("sandbox", "heal", "--all")
        with redis.Redis.from_url(self.redis_url) as live:
            for key in live.scan_iter("mailmux:breaker:*"):
                live.delete(key)


def an_email(**fields: Any) -> dict[str, Any]:
    mark = uuid4().hex[:10]
    return {
        "from": f"Shop <hello@{mark}.example>",
        "to": [f"ada-{mark}@example.com"],
        "subject": f"Hello {mark}",
        "text": "Hello, Ada",
    } | fields


def until(condition: Callable[[], bool], seconds: float = 10, tell: Callable[[], Any] = lambda: "") -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"it did not happen within {seconds} s: {tell()}"
        time.sleep(0.05)
