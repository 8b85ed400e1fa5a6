"""Servers of further providers with HTTP APIs, written from the providers' documents."""

from __future__ import annotations

import json
import re
import ssl
from typing import Any
from urllib.parse import parse_qsl

from tests.contract.servers import Does, Headers, HTTPServer

Answer = tuple[int, Headers, bytes]
JSON = {"Content-Type": "application/json"}
PAGE = {"Content-Type": "text/html"}


def as_json(status: int, content: Any, more: Headers | None = None) -> Answer:
    return status, {**JSON, **(more or {})}, json.dumps(content).encode()


class ResendServer(HTTPServer):
    """POST /emails and GET /domains, for one API key."""

    def __init__(self, api_key: str, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(tls)
        self.api_key = api_key
        self.payloads: list[dict[str, Any]] = []

    def answer(self, method: str, path: str, headers: Headers, body: bytes) -> Answer:
        key = headers.get("authorization", "")
        if key != f"Bearer {self.api_key}" or self.does is Does.REFUSE_CREDENTIALS:
            return self._error(403, "invalid_api_key", f"API key is invalid: {key}")
        if (method, path) == ("GET", "/domains?limit=100"):
            domains = [{"id": "d1", "name": "sender.example", "status": "verified", "region": "eu-west-1"}]
            return as_json(200, {"object": "list", "data": domains})
        if (method, path) != ("POST", "/emails"):
            return self._error(404, "not_found", "The requested endpoint does not exist.")
        assert 1 <= len(headers["idempotency-key"]) <= 256
        payload = json.loads(body)
        with self.lock:
            self.emails += 1
            self.payloads.append(payload)
        match self.does:
            case Does.RATE_LIMIT:
                words = "Too many requests. You can only make 2 requests per second."
                return self._error(429, "rate_limit_exceeded", words, {"ratelimit-reset": "7"})
            case Does.UNAVAILABLE:
                return 503, {}, b""
            case Does.BARE_500:
                return 500, PAGE, b"<h1>Oops</h1>"
            case Does.REJECT:
                return self._error(422, "validation_error", f"Invalid `to` field: {payload['to'][0]}")
            case Does.REFUSE_SENDER:
                return self._error(403, "validation_error", "The sender.example domain is not verified.")
            case Does.GARBAGE:
                return 200, PAGE, b"<html>Please sign in to the Wi-Fi</html>"
        return as_json(200, {"id": f"re-{len(self.payloads)}"})

    @staticmethod
    def _error(status: int, name: str, message: str, more: Headers | None = None) -> Answer:
        return as_json(status, {"statusCode": status, "name": name, "message": message}, more)


Part = tuple[str, str | None, str | None, bytes]  # name, file name, content type, content


def read_form(content_type: str, body: bytes) -> list[Part]:
    """The parts of a form (RFC 7578), in order."""
    found = re.fullmatch(r'multipart/form-data; boundary="([^"]+)"', content_type)
    assert found, content_type
    first, *pieces, last = (b"\r\n" + body).split(b"\r\n--" + found[1].encode())
    assert (first, last) == (b"", b"--\r\n")
    parts: list[Part] = []
    for piece in pieces:
        head, _, content = piece.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode("utf-8").split("\r\n"))
        name = re.fullmatch(
            r'form-data; name="([^"]*)"(?:; filename="([^"]*)")?', fields["Content-Disposition"]
        )
        assert name, fields
        parts.append((name[1], name[2], fields.get("Content-Type"), content))
    return parts


class MailgunServer(HTTPServer):
    """/v3/sender.example/messages, its MIME form, and /v4/domains, for one API key."""

    def __init__(self, basic: str, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(tls)
        self.basic = basic

    def answer(self, method: str, path: str, headers: Headers, body: bytes) -> Answer:
        if headers.get("authorization") != f"Basic {self.basic}" or self.does is Does.REFUSE_CREDENTIALS:
            return 401, {"Content-Type": "text/plain"}, b"Forbidden"
        state = {"name": "sender.example", "state": "active", "type": "custom"}
        if method == "GET" and path.startswith("/v4/domains?"):
            return as_json(200, {"total_count": 1, "items": [state]})
        if (method, path) == ("GET", "/v4/domains/sender.example"):
            return as_json(200, {"domain": state, "sending_dns_records": []})
        domain, _, kind = path.removeprefix("/v3/").partition("/")
        if method != "POST" or kind not in ("messages", "messages.mime"):
            return 200, {"Content-Type": "text/html"}, b"Mailgun Magnificent API"
        with self.lock:
            self.emails += 1
        if domain != "sender.example":
            return as_json(404, {"message": f"Domain not found: {domain}"})
        parts = read_form(headers["content-type"], body)
        recipient = next(value for name, _, _, value in parts if name == "to").decode()
        match self.does:
            case Does.RATE_LIMIT:
                words = "account-requests-per-sec limit exceeded, try again after 7 seconds"
                return self._not_allowed(429, words)
            case Does.UNAVAILABLE:
                return 503, {}, b""
            case Does.BARE_500:
                return 500, PAGE, b"<h1>Oops</h1>"
            case Does.REJECT:
                words = f"to parameter is not a valid address. please check documentation. {recipient}"
                return as_json(400, {"message": words})
            case Does.REFUSE_SENDER:
                return self._not_allowed(403, "The domain is unverified and requires DNS configuration.")
            case Does.GARBAGE:
                return 200, PAGE, b"<html>Please sign in to the Wi-Fi</html>"
        return as_json(
            200, {"id": f"<{self.emails}.{id(parts)}@sender.example>", "message": "Queued. Thank you."}
        )

    @staticmethod
    def _not_allowed(status: int, words: str) -> Answer:
        return as_json(status, {"message": f"Domain sender.example is not allowed to send: {words}"})


class SESServer(HTTPServer):
    """SendEmail, GetAccount and ListEmailIdentities of API v2, for one access key. Signatures are not verified."""

    def __init__(self, access_key_id: str, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(tls)
        self.access_key_id = access_key_id
        self.payloads: list[dict[str, Any]] = []
        self.account: dict[str, Any] = {
            "SendQuota": {"Max24HourSend": 50000.0, "MaxSendRate": 14.0, "SentLast24Hours": 120.0},
            "SendingEnabled": True,
            "ProductionAccessEnabled": True,
            "EnforcementStatus": "HEALTHY",
        }

    def answer(self, method: str, path: str, headers: Headers, body: bytes) -> Answer:
        signature = headers.get("authorization", "")
        known = f"AWS4-HMAC-SHA256 Credential={self.access_key_id}/"
        if not signature.startswith(known) or self.does is Does.REFUSE_CREDENTIALS:
            words = f"The security token included in the request is invalid. {signature}"
            return self._error(403, "UnrecognizedClientException", words)
        if (method, path) == ("GET", "/v2/email/account"):
            return as_json(200, self.account)
        if (method, path) == ("POST", "/v2/email/list-identities"):
            identity = {"IdentityType": "DOMAIN", "IdentityName": "sender.example", "SendingEnabled": True}
            return as_json(200, {"EmailIdentities": [identity]})
        if (method, path) != ("POST", "/v2/email/outbound-emails"):
            return 404, PAGE, b"not found"
        payload = json.loads(body)
        with self.lock:
            self.emails += 1
            self.payloads.append(payload)
        match self.does:
            case Does.RATE_LIMIT:
                words = "Maximum sending rate exceeded."
                return self._error(429, "TooManyRequestsException", words, {"Retry-After": "7"})
            case Does.UNAVAILABLE:
                return 503, {}, b""
            case Does.BARE_500:
                return 500, PAGE, b"<h1>Oops</h1>"
            case Does.REJECT:
                recipient = payload["Destination"]["ToAddresses"][0]
                return self._error(400, "BadRequestException", f"Illegal address: {recipient}")
            case Does.REFUSE_SENDER:
                words = "Email address is not verified. The following identities failed the check in region EU-WEST-1: "
                return self._error(400, "MessageRejected", f"{words}shop@sender.example")
            case Does.GARBAGE:
                return 200, PAGE, b"<html>Please sign in to the Wi-Fi</html>"
        return as_json(200, {"MessageId": f"0100-{len(self.payloads)}-000000"})

    @staticmethod
    def _error(status: int, code: str, message: str, more: Headers | None = None) -> Answer:
        return as_json(status, {"message": message}, {"x-amzn-ErrorType": code, **(more or {})})


class TokenServer(HTTPServer):
    """An OAuth server (RFC 6749, 4.4 and 6). `issued`: its tokens; `replies`: its next answers."""

    def __init__(self, refresh_token: str | None, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(tls)
        self.refresh_token = refresh_token
        self.issued: set[str] = set()
        self.life = 3600
        self.replies: list[Answer] = []
        self.forms: list[dict[str, str]] = []

    def answer(self, method: str, path: str, headers: Headers, body: bytes) -> Answer:
        assert (method, path) == ("POST", "/token")
        assert headers["content-type"] == "application/x-www-form-urlencoded"
        form = dict(parse_qsl(body.decode(), keep_blank_values=True, strict_parsing=True))
        with self.lock:
            self.forms.append(form)
            if self.replies:
                return self.replies.pop(0)
        wanted = (
            {"grant_type": "client_credentials"}
            if self.refresh_token is None
            else {"grant_type": "refresh_token", "refresh_token": self.refresh_token}
        )
        if not wanted.items() <= form.items() or form.get("client_secret") != "client-secret":
            return as_json(400, {"error": "invalid_grant", "error_description": f"Bad Request: {form}"})
        token = f"ya29.token-{len(self.forms)}"
        with self.lock:
            self.issued.add(token)
        return as_json(200, {"access_token": token, "expires_in": self.life, "token_type": "Bearer"})
