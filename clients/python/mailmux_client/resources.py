"""What is set up: providers, rules, templates, email types, webhooks. All are made, listed, changed, deleted alike."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

from mailmux_client.transport import Transport

Thing = dict[str, Any]


class Resource:
    """Things of one kind. Fields are those that the API's own document names."""

    def __init__(self, transport: Transport, path: str) -> None:
        self._ask, self._path = transport, path

    def create(self, **fields: Any) -> Thing:
        return cast(Thing, self._ask.ask("POST", self._path, fields))

    def list(self, **filters: Any) -> Iterator[Thing]:
        """All of them, newest first."""
        return self._ask.pages(self._path, filters)

    def get(self, id: str) -> Thing:
        return cast(Thing, self._ask.ask("GET", f"{self._path}/{id}"))

    def change(self, id: str, **fields: Any) -> Thing:
        """What is left out stays."""
        return cast(Thing, self._ask.ask("PATCH", f"{self._path}/{id}", fields))

    def delete(self, id: str) -> None:
        self._ask.ask("DELETE", f"{self._path}/{id}")

    def _do(self, id: str, verb: str, body: Mapping[str, Any] | None = None) -> Thing:
        return cast(Thing, self._ask.ask("POST", f"{self._path}/{id}/{verb}", body))


class Providers(Resource):
    def test(self, id: str) -> Thing:
        """Connect and sign in, sending nothing."""
        return self._do(id, "test")

    def pause(self, id: str) -> Thing:
        return self._do(id, "pause")

    def resume(self, id: str) -> Thing:
        return self._do(id, "resume")


class Campaigns(Resource):
    def pause(self, id: str) -> Thing:
        """Nothing more of it is sent."""
        return self._do(id, "pause")

    def resume(self, id: str) -> Thing:
        return self._do(id, "resume")

    def cancel(self, id: str) -> Thing:
        """Take back what is unsent, for good."""
        return self._do(id, "cancel")


class Templates(Resource):
    def versions(self, id: str) -> Thing:
        return cast(Thing, self._ask.ask("GET", f"{self._path}/{id}/versions"))

    def add_version(self, id: str, **fields: Any) -> Thing:
        return self._do(id, "versions", fields)

    def publish(self, id: str, version: int) -> Thing:
        return self._do(id, "publish", {"version": version})

    def preview(self, id: str, variables: Mapping[str, Any] | None = None, **fields: Any) -> Thing:
        """What it would say."""
        return self._do(id, "preview", {"variables": dict(variables or {}), **fields})


class Domains(Resource):
    def check(self, id: str) -> Thing:
        """Ask the accounts and the DNS now."""
        return self._do(id, "check")


class Webhooks(Resource):
    def rotate(self, id: str, overlap_hours: float = 24) -> Thing:
        """A new secret; the former one signs too for so long."""
        return self._do(id, "rotate", {"overlap_hours": overlap_hours})

    def test(self, id: str) -> Thing:
        return self._do(id, "test")

    def replay(self, id: str, since: str, until: str, **fields: Any) -> Thing:
        """Have what happened in a range told again."""
        return self._do(id, "replay", {"since": since, "until": until, **fields})

    def messages(self, id: str, **filters: Any) -> Iterator[Thing]:
        return self._ask.pages(f"{self._path}/{id}/messages", filters)
