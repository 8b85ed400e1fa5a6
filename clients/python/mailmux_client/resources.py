"""What is set up: providers, rules, templates, email types, webhooks. All are made, listed, changed, deleted alike."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, BinaryIO, cast

from mailmux_client.transport import Transport, segment

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
        return cast(Thing, self._ask.ask("GET", f"{self._path}/{segment(id)}"))

    def change(self, id: str, **fields: Any) -> Thing:
        """What is left out stays."""
        return cast(Thing, self._ask.ask("PATCH", f"{self._path}/{segment(id)}", fields))

    def delete(self, id: str) -> None:
        self._ask.ask("DELETE", f"{self._path}/{segment(id)}")

    def _do(self, id: str, verb: str, body: Mapping[str, Any] | None = None) -> Thing:
        return cast(Thing, self._ask.ask("POST", f"{self._path}/{segment(id)}/{verb}", body))


class Rules(Resource):
    def replace(self, id: str, **fields: Any) -> Thing:
        """What is left out is as if it had never been said."""
        return cast(Thing, self._ask.ask("PUT", f"{self._path}/{segment(id)}", fields))


class Providers(Resource):
    def kinds(self) -> Sequence[Thing]:
        """The kinds of account that there are: what each is configured with, and what it can express."""
        return cast(Sequence[Thing], self._ask.ask("GET", "/v1/provider-kinds")["data"])

    def webhook(self, id: str) -> Thing:
        """Where it is to tell its events."""
        return cast(Thing, self._ask.ask("GET", f"{self._path}/{segment(id)}/webhook"))

    def set_webhook(self, id: str, secrets: Sequence[Thing], new_address: bool = False) -> Thing:
        """The secrets that prove its calls; any one of them does."""
        body = {"secrets": [*secrets], "new_address": new_address}
        return cast(Thing, self._ask.ask("PUT", f"{self._path}/{segment(id)}/webhook", body))

    def delete_webhook(self, id: str) -> None:
        self._ask.ask("DELETE", f"{self._path}/{segment(id)}/webhook")

    def test(self, id: str) -> Thing:
        """Connect and sign in, sending nothing."""
        return self._do(id, "test")

    def pause(self, id: str) -> Thing:
        return self._do(id, "pause")

    def resume(self, id: str) -> Thing:
        return self._do(id, "resume")

    def import_suppressions(self, id: str, cursor: str | None = None) -> Iterator[Thing]:
        """Put those whom the account lists on your own list, page by page: what came of each page."""
        while True:
            done = self._do(id, "suppressions/import", {} if cursor is None else {"cursor": cursor})
            yield done
            cursor = done["next_cursor"]
            if cursor is None:
                return

    def health(self, id: str) -> Thing:
        """What was learned of it: whether it takes emails, and what it delivers."""
        return cast(Thing, self._ask.ask("GET", f"{self._path}/{segment(id)}/health"))

    def healed(self, id: str) -> None:
        """It is well: what was held against it goes."""
        self._ask.ask("POST", f"{self._path}/{segment(id)}/healed")

    def warm_ups(self, id: str) -> Thing:
        """The sender domains that warm up there."""
        return cast(Thing, self._ask.ask("GET", f"{self._path}/{segment(id)}/warm-ups"))

    def warm_up(self, id: str, domain: str, daily: list[int] | None = None) -> Thing:
        """Begin; without `daily` it takes two weeks."""
        body: Thing = {"domain": domain} if daily is None else {"domain": domain, "daily": daily}
        return cast(Thing, self._ask.ask("PUT", f"{self._path}/{segment(id)}/warm-ups", body))

    def end_warm_up(self, id: str, domain: str) -> None:
        self._ask.ask("POST", f"{self._path}/{segment(id)}/warm-ups/end", {"domain": domain})

    def prices(self, id: str) -> Thing:
        """What it charges, and what the next recipient costs."""
        return cast(Thing, self._ask.ask("GET", f"{self._path}/{segment(id)}/prices"))

    def set_prices(self, id: str, prices: list[Thing]) -> Thing:
        """All its price lists; none: its `base_cost` holds."""
        return cast(Thing, self._ask.ask("PUT", f"{self._path}/{segment(id)}/prices", {"prices": prices}))


class Keys(Resource):
    """API keys. There is no changing them: rotate, or make another."""

    def rotate(self, id: str, overlap_hours: float = 24) -> Thing:
        """A new key of the same name, scopes and limits; the former one stands for so long beside it."""
        return self._do(id, "rotate", {"overlap_hours": overlap_hours})


class Users(Resource):
    def password_link(self, id: str) -> Thing:
        """A `token` with which a user sets a password, once."""
        return self._do(id, "password-link")


class Sessions:
    """Where the user is signed in."""

    def __init__(self, transport: Transport) -> None:
        self._ask = transport

    def list(self) -> Iterator[Thing]:
        return self._ask.pages("/v1/sessions", {})

    def end(self, id: str) -> None:
        self._ask.ask("DELETE", f"/v1/sessions/{segment(id)}")


class Files:
    """Attachments that are kept, for emails to name by their ids."""

    def __init__(self, transport: Transport) -> None:
        self._ask, self._path = transport, "/v1/attachments"

    def upload(self, file: BinaryIO, filename: str, content_type: str = "application/octet-stream") -> Thing:
        """Keep a file; the same one again is the same attachment."""
        files = {"file": (filename, file, content_type)}
        return cast(Thing, self._ask.ask("POST", self._path, files=files))

    def announce(self, filename: str, size: int, **fields: Any) -> Thing:
        """A link, `upload_url`, to which anybody who has it may PUT the file; then `complete` it."""
        return cast(
            Thing,
            self._ask.ask("POST", f"{self._path}/uploads", {"filename": filename, "size": size, **fields}),
        )

    def complete(self, upload_id: str) -> Thing:
        """Keep what was uploaded by a link."""
        return cast(Thing, self._ask.ask("POST", f"{self._path}/uploads/{segment(upload_id)}/complete"))

    def list(self, **filters: Any) -> Iterator[Thing]:
        return self._ask.pages(self._path, filters)

    def get(self, id: str) -> Thing:
        """With a link by which it can be read, for a quarter of an hour."""
        return cast(Thing, self._ask.ask("GET", f"{self._path}/{segment(id)}"))

    def delete(self, id: str) -> None:
        self._ask.ask("DELETE", f"{self._path}/{segment(id)}")


class Halts:
    """What is not sent for now: a user's emails, those of a type, or of a lane."""

    def __init__(self, transport: Transport) -> None:
        self._ask = transport

    def create(self, kind: str, value: str = "", **fields: Any) -> Thing:
        return cast(Thing, self._ask.ask("POST", "/v1/halts", {"kind": kind, "value": value, **fields}))

    def list(self) -> Sequence[Thing]:
        return cast(Sequence[Thing], self._ask.ask("GET", "/v1/halts")["data"])

    def lift(self, id: str) -> None:
        self._ask.ask("DELETE", f"/v1/halts/{segment(id)}")


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
        return cast(Thing, self._ask.ask("GET", f"{self._path}/{segment(id)}/versions"))

    def version(self, id: str, version: int) -> Thing:
        """What it said in a version."""
        return cast(Thing, self._ask.ask("GET", f"{self._path}/{segment(id)}/versions/{segment(version)}"))

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
        return self._ask.pages(f"{self._path}/{segment(id)}/messages", filters)
