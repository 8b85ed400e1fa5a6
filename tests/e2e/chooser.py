"""What tests of the chooser on the running service share."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

from bench.stack import Stack, data_folder, remove
from tests.e2e.client import Service, an_email, until
from tests.e2e.conftest import QUICK

CHEAP, NEXT, DEAREST = "sandbox-sendgrid", "sandbox-sendgrid-eu", "sandbox-postmark"


@contextmanager
def learning_service() -> Iterator[Service]:
    """A service that learns, and knows nothing yet."""
    folder = data_folder()
    stack = Stack(folder, environ=QUICK)
    try:
        stack.start()
        ready = stack.ready
        user = Service(
            ready["api_url"], ready["api_key"], ready["sandbox_url"], ready["data_dir"], ready["redis_url"]
        )
        yield user
        user.http.close()
        stack.stop()
    finally:
        stack.end()
        remove(folder)


def send(service: Service, seconds: float, *stories: str, per_second: int = 10) -> list[list[str]]:
    """Emails at an even pace, to each story's recipients in turn; their ids, by story."""
    sent: list[list[str]] = [[] for _ in stories]
    begin = time.monotonic()
    for n in range(int(seconds * per_second)):
        time.sleep(max(0.0, begin + n / per_second - time.monotonic()))
        local, _, domain = stories[n % len(stories)].partition("@")
        sent[n % len(stories)].append(service.send(to=[f"{local}+{uuid4().hex[:8]}@{domain}"]))
    return sent


def first_tries(service: Service, ids: list[str]) -> Counter[str]:
    """Where emails were tried first, but for probes."""
    found: Counter[str] = Counter()
    for email_id in ids:
        until(lambda email_id=email_id: service.email(email_id)["attempts"], 15)  # type: ignore[misc]
        attempt: dict[str, Any] = service.email(email_id)["attempts"][0]
        if attempt["decision"]["reason"] not in ("PROBE", "EXPLORE"):
            found[attempt["provider"]] += 1
    return found


def state(service: Service, name: str) -> dict[str, Any]:
    (provider,) = [p for p in service.get("/v1/providers").json()["data"] if p["name"] == name]
    found: dict[str, Any] = service.get(f"/v1/providers/{provider['id']}/health").json()
    return found


def declared(service: Service, path: str, **fields: Any) -> Any:
    answer = service.post(path, fields)
    assert answer.status_code in (200, 201), answer.text
    return answer.json()


def together(service: Service, emails: list[dict[str, Any]]) -> list[str]:
    """Hand over emails in one request; their ids."""
    answer = service.post("/v1/emails/batch", {"emails": emails})
    assert answer.status_code == 202, answer.text
    return [result["id"] for result in answer.json()["results"]]


def change(service: Service, name: str, path: str, **fields: Any) -> None:
    """Change an account (PATCH, or PUT below it)."""
    method = "PUT" if path else "PATCH"
    url = f"{service.api_url}/v1/providers/{state(service, name)['provider_id']}{path}"
    answer = service.http.request(method, url, json=fields, timeout=20)
    assert answer.status_code == 200, answer.text


def previewed(service: Service, **fields: Any) -> dict[str, Any]:
    found: dict[str, Any] = service.post("/v1/routing/preview", an_email(**fields)).json()["decision"]
    return found
