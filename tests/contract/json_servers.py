"""Servers of further providers that take an email as JSON, written from the providers' documents."""

from __future__ import annotations

import json
import ssl
from abc import abstractmethod
from base64 import b64encode
from typing import Any
from uuid import UUID

from tests.contract.http_servers import PAGE, Answer, as_json
from tests.contract.servers import Does, Headers, HTTPServer


class JSONServer(HTTPServer):
    """One call that sends, and some that tell, for one secret. `payloads` are the emails that were handed over."""

    sends: str
    credentials: tuple[str, str]
    """The header that bears them, and what stands in it."""

    def __init__(self, secret: str, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(tls)
        self.secret = secret
        self.payloads: list[dict[str, Any]] = []

    def answer(self, method: str, path: str, headers: Headers, body: bytes) -> Answer:
        name, value = self.credentials
        if headers.get(name) != value.format(self.secret) or self.does is Does.REFUSE_CREDENTIALS:
            return self.unknown(headers.get(name, ""))
        if method == "GET" and (told := self.told().get(path.partition("?")[0])) is not None:
            return as_json(200, told)
        if (method, path) != ("POST", self.sends):
            return as_json(404, {"message": "not found"})
        payload = json.loads(body)
        if not payload:
            return self.empty()
        with self.lock:
            self.emails += 1
            self.payloads.append(payload)
        match self.does:
            case Does.UNAVAILABLE:
                return 503, {}, b""
            case Does.BARE_500:
                return 500, PAGE, b"<h1>Oops</h1>"
            case Does.GARBAGE:
                return self.accepted, PAGE, b"<html>Please sign in to the Wi-Fi</html>"
            case Does.RATE_LIMIT | Does.REJECT | Does.REFUSE_SENDER:
                return self.refuse(self.does, payload)
        return self.take(payload, len(self.payloads))

    accepted = 200

    def told(self) -> dict[str, Any]:
        return {}

    def empty(self) -> Answer:
        raise AssertionError("an email without anything in it")

    @abstractmethod
    def unknown(self, given: str) -> Answer: ...

    @abstractmethod
    def refuse(self, does: Does, payload: dict[str, Any]) -> Answer: ...

    @abstractmethod
    def take(self, payload: dict[str, Any], number: int) -> Answer: ...


class BrevoServer(JSONServer):
    sends = "/v3/smtp/email"
    credentials = ("api-key", "{}")
    accepted = 201

    def __init__(self, secret: str, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(secret, tls)
        self.keys: set[str] = set()

    def told(self) -> dict[str, Any]:
        return {
            "/v3/account": {
                "email": "owner@sender.example",
                "plan": [{"type": "free", "creditsType": "sendLimit", "credits": 281}],
            },
            "/v3/senders/domains": {
                "domains": [
                    {"id": "1", "domain_name": "sender.example", "authenticated": True, "verified": True}
                ]
            },
        }

    def unknown(self, given: str) -> Answer:
        return self._error(401, "unauthorized", f"Key not found {given}")

    def refuse(self, does: Does, payload: dict[str, Any]) -> Answer:
        match does:
            case Does.RATE_LIMIT:
                reset = {"x-sib-ratelimit-limit": "100", "x-sib-ratelimit-reset": "7"}
                return self._error(429, "too_many_requests", "Too many requests", reset)
            case Does.REJECT:
                return self._error(
                    400, "invalid_parameter", f"email is not valid in to: {payload['to'][0]['email']}"
                )
        words = f"Sending has been rejected because the sender you used {payload['sender']['email']} is not valid."
        return self._error(
            400, "invalid_parameter", f"{words} Validate your sender or authenticate your domain"
        )

    def take(self, payload: dict[str, Any], number: int) -> Answer:
        key = payload["headers"]["idempotencyKey"]
        assert str(UUID(key)) == key
        with self.lock:
            if key in self.keys:
                return self._error(400, "duplicate_parameter", "Idempotency key was used before")
            self.keys.add(key)
        return as_json(201, {"messageId": f"<2026.{number}@smtp-relay.mailin.fr>"})

    @staticmethod
    def _error(status: int, code: str, message: str, more: Headers | None = None) -> Answer:
        return as_json(status, {"code": code, "message": message}, more)


class SparkPostServer(JSONServer):
    sends = "/api/v1/transmissions"
    credentials = ("authorization", "{}")

    def told(self) -> dict[str, Any]:
        status = {"ownership_verified": True, "dkim_status": "valid", "spf_status": "unverified"}
        return {"/api/v1/sending-domains": {"results": [{"domain": "sender.example", "status": status}]}}

    def unknown(self, given: str) -> Answer:
        return as_json(401, {"errors": [{"message": f"Unauthorized. {given}"}]})

    def refuse(self, does: Does, payload: dict[str, Any]) -> Answer:
        match does:
            case Does.RATE_LIMIT:
                return as_json(429, {"errors": [{"message": "Too many requests"}]}, {"Retry-After": "7"})
            case Does.REJECT:
                address = payload["recipients"][0]["address"]["email"]
                return self._error(400, "5002", "no valid recipients", f"recipient {address}")
        return self._error(400, "7001", "Invalid domain", "Unconfigured Sending Domain <sender.example>")

    def take(self, payload: dict[str, Any], number: int) -> Answer:
        count = len(payload["recipients"])
        results = {"total_rejected_recipients": 0, "total_accepted_recipients": count}
        return as_json(200, {"results": {**results, "id": f"11668787484950{number}"}})

    @staticmethod
    def _error(status: int, code: str, message: str, description: str) -> Answer:
        return as_json(status, {"errors": [{"message": message, "description": description, "code": code}]})


class MailjetServer(JSONServer):
    """For the key "shop" and the secret."""

    sends = "/v3.1/send"

    def __init__(self, secret: str, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(secret, tls)
        self.credentials = ("authorization", f"Basic {b64encode(f'shop:{secret}'.encode()).decode()}")

    def told(self) -> dict[str, Any]:
        sender = {"Email": "*@sender.example", "Status": "Active", "ID": 1}
        return {"/v3/REST/sender": {"Count": 1, "Data": [sender], "Total": 1}}

    def unknown(self, given: str) -> Answer:
        words = f"API key authentication/authorization failure. You may be unauthorized to access the API. {given}"
        return as_json(401, {"ErrorIdentifier": "1", "StatusCode": 401, "ErrorMessage": words})

    def refuse(self, does: Does, payload: dict[str, Any]) -> Answer:
        (message,) = payload["Messages"]
        match does:
            case Does.RATE_LIMIT:
                return 429, {**PAGE, "Retry-After": "7"}, b"Rate limit exceeded"
            case Does.REJECT:
                words = f'"{message["To"][0]["Email"]}" is an invalid email address.'
                return self._error(400, "mj-0013", words, "To[0].Email")
        words = f'"{message["From"]["Email"]}" is not an authorized sender email address for your account.'
        return self._error(403, "send-0008", words, "From")

    def take(self, payload: dict[str, Any], number: int) -> Answer:
        (message,) = payload["Messages"]

        def told(people: list[dict[str, str]]) -> list[dict[str, Any]]:
            return [
                {"Email": p["Email"], "MessageUUID": f"u-{number}", "MessageID": 70650219165027410 + number}
                for p in people
            ]

        groups = {kind: told(message.get(kind, [])) for kind in ("To", "Cc", "Bcc")}
        return as_json(200, {"Messages": [{"Status": "success", "CustomID": message["CustomID"], **groups}]})

    @staticmethod
    def _error(status: int, code: str, words: str, about: str) -> Answer:
        error = {
            "ErrorIdentifier": "f480a5a2-0334-4e08-b2b7-f372ce5669e0",
            "ErrorCode": code,
            "StatusCode": status,
            "ErrorMessage": words,
            "ErrorRelatedTo": [about],
        }
        return as_json(status, {"Messages": [{"Errors": [error], "Status": "error"}]})


class MailerSendServer(JSONServer):
    sends = "/v1/email"
    credentials = ("authorization", "Bearer {}")
    accepted = 202

    def told(self) -> dict[str, Any]:
        return {"/v1/domains": {"data": [{"id": "d1", "name": "sender.example", "is_verified": True}]}}

    def unknown(self, given: str) -> Answer:
        return as_json(401, {"message": f"Unauthenticated. {given}"})

    def refuse(self, does: Does, payload: dict[str, Any]) -> Answer:
        match does:
            case Does.RATE_LIMIT:
                words = "Your account reached its rate limit of 10 requests/min. #MS42903"
                return as_json(429, {"message": words}, {"retry-after": "7"})
            case Does.REJECT:
                address = payload["to"][0]["email"]
                return self._invalid("to.0.email", f"The to.0.email must be a valid email address: {address}")
        words = "The from.email domain must be verified in your account to send emails. #MS42207"
        return self._invalid("from.email", words)

    def take(self, payload: dict[str, Any], number: int) -> Answer:
        return 202, {"Content-Type": "text/html", "x-message-id": f"6a{number:022x}"}, b""

    @staticmethod
    def _invalid(field: str, words: str) -> Answer:
        return as_json(422, {"message": words, "errors": {field: [words]}})


class MailtrapServer(JSONServer):
    sends = "/api/send"
    credentials = ("authorization", "Bearer {}")

    def unknown(self, given: str) -> Answer:
        return as_json(401, {"success": False, "errors": [f"Unauthorized {given}"]})

    def empty(self) -> Answer:
        return as_json(400, {"success": False, "errors": ["'from' is required", "'to' is required"]})

    def refuse(self, does: Does, payload: dict[str, Any]) -> Answer:
        match does:
            case Does.RATE_LIMIT:
                return as_json(
                    429, {"success": False, "errors": ["Rate limit exceeded"]}, {"Retry-After": "7"}
                )
            case Does.REJECT:
                words = f"'to' address {payload['to'][0]['email']} is invalid"
                return as_json(400, {"success": False, "errors": [words]})
        words = "Sending from domain sender.example is not allowed"
        return as_json(403, {"success": False, "errors": [words]})

    def take(self, payload: dict[str, Any], number: int) -> Answer:
        people = [p for kind in ("to", "cc", "bcc") for p in payload.get(kind, [])]
        ids = [f"{number:08x}-0000-7000-8000-{n:012x}" for n in range(len(people))]
        return as_json(200, {"success": True, "message_ids": ids})
