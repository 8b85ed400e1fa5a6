"""Postmark for the contract suite, written from its pages (api/overview, api/email-api)."""

from __future__ import annotations

import json
import ssl
from base64 import b64decode
from typing import Any, ClassVar

from tests.contract.certificates import Authority
from tests.contract.driver import SECRET, HTTPDriver, Received
from tests.contract.http_drivers import people
from tests.contract.http_servers import PAGE, Answer, as_json
from tests.contract.servers import Does, Headers, HTTPServer


class PostmarkServer(HTTPServer):
    """POST /email and GET /server, for one server token."""

    def __init__(self, token: str, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(tls)
        self.token = token
        self.payloads: list[dict[str, Any]] = []
        self.answers: list[Answer] = []  # for the next calls, instead of a success

    def answer(self, method: str, path: str, headers: Headers, body: bytes) -> Answer:
        if headers.get("x-postmark-server-token") != self.token or self.does is Does.REFUSE_CREDENTIALS:
            return self._error(401, 10, f"The Server Token you provided was invalid: {self.token}")
        if (method, path) == ("GET", "/server"):
            return as_json(200, {"ID": 1, "Name": "Production", "DeliveryType": "Live"})
        if (method, path) != ("POST", "/email"):
            return self._error(404, 404, "Not found")
        payload = json.loads(body)
        with self.lock:
            self.emails += 1
            self.payloads.append(payload)
        match self.does:
            case Does.RATE_LIMIT:
                return self._error(429, 429, "Rate limit exceeded")
            case Does.UNAVAILABLE:
                return 503, {}, b""
            case Does.BARE_500:
                return 500, PAGE, b"<h1>Oops</h1>"
            case Does.REJECT:
                return self._error(422, 300, f"Invalid 'To' address: '{payload['To']}'.")
            case Does.REFUSE_SENDER:
                return self._error(422, 400, f"Sender signature for '{payload['From']}' was not found.")
            case Does.GARBAGE:
                return 200, PAGE, b"<html>Please sign in to the Wi-Fi</html>"
        if self.answers:
            return self.answers.pop(0)
        return as_json(200, {"MessageID": f"pm-{len(self.payloads)}", "ErrorCode": 0, "Message": "OK"})

    @staticmethod
    def _error(status: int, code: int, message: str) -> Answer:
        return as_json(status, {"ErrorCode": code, "Message": message})


class PostmarkDriver(HTTPDriver):
    name = "postmark"
    sends = ("/email",)
    credentials: ClassVar[dict[str, str]] = {"server_token": SECRET}

    def serve(self, authority: Authority) -> HTTPServer:
        return PostmarkServer(SECRET, authority.server_context())

    @classmethod
    def read(cls, path: str, headers: dict[str, str], body: bytes) -> Received:  # noqa: ARG003
        payload = json.loads(body)
        groups = [people([payload[kind]]) if kind in payload else [] for kind in ("To", "Cc", "Bcc")]
        return Received(
            attempt=payload["Metadata"]["mailmux_attempt"],
            email=payload["Metadata"]["mailmux_email"],
            sender=people([payload["From"]])[0],
            to=groups[0],
            cc=groups[1],
            reply_to=people([payload["ReplyTo"]]) if "ReplyTo" in payload else [],
            envelope={email for group in groups for email, _ in group},
            subject=payload["Subject"],
            text=payload.get("TextBody"),
            html=payload.get("HtmlBody"),
            headers={h["Name"]: h["Value"] for h in payload.get("Headers", [])},
            files=[
                (
                    f["Name"],
                    f["ContentType"],
                    b64decode(f["Content"], validate=True),
                    f["ContentID"].removeprefix("cid:") if "ContentID" in f else None,
                )
                for f in payload.get("Attachments", [])
            ],
        )
