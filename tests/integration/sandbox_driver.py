"""Drives a sandbox in this process the way its callers do: over its sockets, with the standard library."""

import base64
import http.client
import json
import smtplib
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from sandbox.server import Options, Sandbox

PATIENCE = 0.4
"""Seconds after which a caller here stops waiting for an answer."""


class Answer:
    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Driver:
    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.known = json.loads((sandbox.directory / "accounts.json").read_text())

    def account(self, name: str) -> dict[str, Any]:
        return next(account for account in self.known["accounts"] if account["name"] == name)

    def call(
        self, port: int, method: str, path: str, body: Any = None, *, timeout: float = 5, **headers: Any
    ) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
        try:
            sent = {name.replace("_", "-"): value for name, value in headers.items()}
            if body is not None and not isinstance(body, bytes):
                body = json.dumps(body).encode()
                sent.setdefault("Content-Type", "application/json")
            connection.request(method, path, body, sent)
            return Answer(connection.getresponse())
        finally:
            connection.close()

    # The control pages

    @property
    def control_port(self) -> int:
        return int(self.sandbox.url.rsplit(":", 1)[1])

    def get(self, path: str, **headers: Any) -> Answer:
        return self.call(self.control_port, "GET", path, **headers)

    def control(self, method: str, path: str, body: Any = None) -> Answer:
        return self.call(self.control_port, method, path, body, Authorization=f"Bearer {self.sandbox.token}")

    def fail(self, account: str, mode: str, **options: Any) -> None:
        answer = self.control("POST", f"/control/accounts/{account}/fault", {"mode": mode, **options})
        assert answer.status == 200, answer.body

    def heal(self, account: str) -> None:
        assert self.control("DELETE", f"/control/accounts/{account}/fault").status == 200

    def clear(self) -> None:
        """Forget what came."""
        self.control("DELETE", "/messages")

    def heal_all(self) -> None:
        for account in self.known["accounts"]:
            self.heal(account["name"])

    def received(self, **query: str) -> list[dict[str, Any]]:
        text = "&".join(f"{key}={value}" for key, value in query.items())
        messages: list[dict[str, Any]] = self.get(f"/messages.json?{text}").json["messages"]
        return messages

    # SendGrid

    def send(
        self,
        body: Any = None,
        *,
        account: str = "sandbox-sendgrid",
        key: str | None = None,
        timeout: float = PATIENCE,
        **headers: Any,
    ) -> Answer:
        known = self.account(account)
        key = known["credentials"]["api_key"] if key is None else key
        return self.call(
            known["port"],
            "POST",
            "/v3/mail/send",
            mail() if body is None else body,
            timeout=timeout,
            Authorization=f"Bearer {key}",
            **headers,
        )

    # SMTP

    @contextmanager
    def smtp(self, *, login: bool = True, timeout: float = PATIENCE) -> Iterator[smtplib.SMTP]:
        known = self.account("sandbox-smtp")
        connection = smtplib.SMTP("127.0.0.1", known["port"], timeout=timeout)
        try:
            connection.starttls(context=ssl.create_default_context(cadata=known["ca_pem"]))
            if login:
                connection.login(known["credentials"]["username"], known["credentials"]["password"])
            yield connection
        finally:
            connection.close()

    def send_smtp(self, message: EmailMessage | None = None, timeout: float = PATIENCE) -> None:
        with self.smtp(timeout=timeout) as connection:
            connection.send_message(message or mime())
            connection.quit()


@contextmanager
def running(directory: Path, **options: Any) -> Iterator[Driver]:
    sandbox = Sandbox(Options(directory, port=0, **options))
    sandbox.start()
    try:
        yield Driver(sandbox)
    finally:
        sandbox.stop()


@contextmanager
def running_accounts(folder: Path, *dialects: str) -> Iterator[Driver]:
    """A sandbox with an account of each dialect, named as that."""
    wanted = folder / "wanted.json"
    wanted.write_text(json.dumps([{"name": dialect, "dialect": dialect} for dialect in dialects]))
    with running(folder / "data", accounts_file=wanted) as driver:
        yield driver


def mail(to: str = "ada@example.com", **fields: Any) -> dict[str, Any]:
    """A body that SendGrid accepts."""
    return {
        "personalizations": [{"to": [{"email": to}]}],
        "from": {"email": "shop@example.org", "name": "The shop"},
        "subject": "Your order",
        "content": [{"type": "text/plain", "value": "It is on its way."}],
        **fields,
    }


def mime(to: str = "ada@example.com", **headers: Any) -> EmailMessage:
    message = EmailMessage()
    message["From"] = "The shop <shop@example.org>"
    message["To"] = to
    message["Subject"] = "Your order"
    message["Message-ID"] = "<attempt-1@example.org>"
    for name, value in headers.items():
        message[name.replace("_", "-")] = value
    message.set_content("It is on its way.")
    return message


def base64_text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def eventually(holds: Callable[[], bool], seconds: float = 3) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if holds():
            return True
        time.sleep(0.01)
    return holds()
