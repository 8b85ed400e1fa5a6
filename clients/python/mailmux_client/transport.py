"""One request, made again where that is safe."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, urlsplit

import requests

from mailmux_client.errors import MailmuxError, Unreachable

_AGAIN = (429, 502, 503, 504)
_LONGEST_WAIT = 60.0  # seconds between two tries, whatever the service asks for


def segment(id: object) -> str:
    """An id as one segment of a path: whatever is in it, it reaches no other route."""
    return quote(str(id), safe="")


class Transport:
    """JSON over HTTP with a key, or without one where none is needed. A request is repeated after 429, 502, 503, 504 or
    no answer, up to `retries` times, only where it changes nothing, or bears an Idempotency-Key; one with such a key
    also after 409 while the service is still at work on the same request.
    """

    def __init__(
        self,
        url: str,
        key: str | None,
        timeout: float = 30.0,
        retries: int = 4,
        session: requests.Session | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"not an http or https address: {url!r}")
        if key is not None and (not key or not key.isascii() or not key.isprintable() or " " in key):
            raise ValueError("this is no API key: it looks like mx_live_…")
        self._url, self._timeout, self._retries, self._sleep = url.rstrip("/"), timeout, retries, sleep
        self._session = session or requests.Session()
        self._headers = {"Accept": "application/json"}
        if key is not None:
            self._headers["Authorization"] = f"Bearer {key}"

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        query: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
        files: Mapping[str, Any] | None = None,
    ) -> Any:
        """The answer's JSON; None where it is empty. `files`: as requests takes them.

        Raises MailmuxError or Unreachable.
        """
        headers = dict(self._headers)
        if idempotency_key is not None:
            headers["Idempotency-Key"] = idempotency_key
        repeatable = method in ("GET", "PUT", "DELETE") or idempotency_key is not None
        left = self._retries if repeatable else 0
        given = {name: value for name, value in (query or {}).items() if value is not None}
        tries = 0
        while True:
            tries += 1
            try:
                answer = self._session.request(
                    method,
                    self._url + path,
                    json=body,
                    params=given,
                    files=files,
                    headers=headers,
                    timeout=self._timeout,
                    allow_redirects=False,
                )
            except (requests.ConnectionError, requests.Timeout) as error:
                if tries > left:
                    why = f"{self._url} gave no answer: {type(error).__name__}"
                    raise Unreachable(why, idempotency_key) from error
                self._sleep(_backoff(tries))
                continue
            busy = (
                answer.status_code == 409 and idempotency_key is not None and "Retry-After" in answer.headers
            )
            if (busy or answer.status_code in _AGAIN) and tries <= left:
                self._sleep(_asked_for(answer) or _backoff(tries))
                continue
            if 200 <= answer.status_code < 300:
                return answer.json() if answer.content else None
            raise MailmuxError(answer.status_code, _problem(answer), answer.headers.get("X-Request-Id"))

    def lines(self, method: str, path: str, body: Any) -> Iterator[Any]:
        """The JSON of each line of an answer (application/x-ndjson), as they come. Asked once, never repeated.

        Raises MailmuxError or Unreachable.
        """
        headers = {**self._headers, "Accept": "application/x-ndjson"}
        try:
            with self._session.request(
                method, self._url + path, json=body, headers=headers, timeout=self._timeout, stream=True,
                allow_redirects=False,
            ) as answer:  # fmt: skip
                if not 200 <= answer.status_code < 300:
                    raise MailmuxError(
                        answer.status_code, _problem(answer), answer.headers.get("X-Request-Id")
                    )
                for line in answer.iter_lines():
                    yield json.loads(line)
        except requests.RequestException as error:
            raise Unreachable(f"{self._url} gave no whole answer: {type(error).__name__}", None) from error

    def pages(self, path: str, query: Mapping[str, Any]) -> Iterator[Any]:
        """All entries of a list, page by page, as they are needed."""
        cursor: str | None = None
        while True:
            found = self.ask("GET", path, query={"limit": 100, **query, "cursor": cursor})
            yield from found["data"]
            if not found["has_more"]:
                return
            cursor = found["next_cursor"]


def _backoff(tries: int) -> float:
    return min(0.25 * 2.0 ** (tries - 1), 8.0) * (0.5 + random.random() / 2)  # spreads the load


def _asked_for(answer: requests.Response) -> float | None:
    asked = answer.headers.get("Retry-After", "")
    return min(float(asked), _LONGEST_WAIT) if asked.isascii() and asked.isdigit() else None


def _problem(answer: requests.Response) -> dict[str, Any]:
    try:
        found = answer.json()
    except ValueError:
        return {"detail": answer.reason or "no JSON"}
    return found if isinstance(found, dict) else {"detail": "no problem document"}
