"""What the contract suite needs to know of Pigeon Post: a server that speaks its form, and how to read what arrived."""

from __future__ import annotations

from base64 import b64decode
from typing import Any

from tests.contract.driver import Received
from tests.contract.http_servers import Answer, as_json
from tests.contract.json_drivers import JSONDriver
from tests.contract.json_servers import JSONServer
from tests.contract.servers import Does


class PigeonServer(JSONServer):
    sends = "/v1/mail"
    credentials = ("authorization", "Bearer {}")

    def told(self) -> dict[str, Any]:
        return {"/v1/loft": {"pigeons": 7}}

    def unknown(self, given: str) -> Answer:
        return as_json(401, {"complaint": f"nobody knows {given}"})

    def refuse(self, does: Does, payload: dict[str, Any]) -> Answer:
        match does:
            case Does.RATE_LIMIT:
                return as_json(429, {"complaint": "all pigeons are out"}, {"Retry-After": "7"})
            case Does.REJECT:
                return as_json(422, {"complaint": f"no pigeon flies to {payload['people'][1]['email']}"})
        return as_json(403, {"complaint": "an unknown loft"})

    def take(self, payload: dict[str, Any], number: int) -> Answer:  # noqa: ARG002
        return as_json(200, {"pigeon": number})


class PigeonDriver(JSONDriver):
    name = "pigeon"
    sends = ("/v1/mail",)
    kind_of_server = PigeonServer

    @classmethod
    def understand(cls, payload: dict[str, Any]) -> Received:
        people = [(p["role"], (p["email"], p["name"])) for p in payload["people"]]

        def of(*roles: str) -> list[tuple[str, str]]:
            return [person for role, person in people if role in roles]

        return Received(
            attempt=payload["notes"]["mailmux_attempt"],
            email=payload["notes"]["mailmux_email"],
            sender=of("from")[0],
            to=of("to"),
            cc=of("cc"),
            reply_to=of("reply-to"),
            envelope={email for email, _ in of("to", "cc", "bcc")},
            subject=payload["subject"],
            text=payload["text"],
            html=payload["html"],
            headers=payload["headers"],
            files=[(f["name"], f["type"], b64decode(f["data"]), f["cid"]) for f in payload["files"]],
        )
