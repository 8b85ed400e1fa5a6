"""What is set up: providers, rules, templates, email types, webhooks. All are made, listed, changed, deleted alike."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, BinaryIO, Generic, TypeVar, cast

from mailmux_client import shapes
from mailmux_client.transport import Transport, segment

Made = TypeVar("Made")  # what making one answers: some show then what they never show again
Shown = TypeVar("Shown")
Listed = TypeVar("Listed")


class Resource(Generic[Made, Shown, Listed]):
    """Things of one kind. Fields are those that the API's own document names."""

    def __init__(self, transport: Transport, path: str) -> None:
        self._ask, self._path = transport, path

    def create(self, **fields: Any) -> Made:
        return cast(Made, self._ask.ask("POST", self._path, fields))

    def list(self, **filters: Any) -> Iterator[Listed]:
        """All of them, newest first."""
        return self._ask.pages(self._path, filters)

    def get(self, id: str) -> Shown:
        return cast(Shown, self._ask.ask("GET", f"{self._path}/{segment(id)}"))

    def _do(self, id: str, verb: str, body: Mapping[str, Any] | None = None) -> Any:
        return self._ask.ask("POST", f"{self._path}/{segment(id)}/{verb}", body)


class Deletable(Resource[Made, Shown, Listed]):
    def delete(self, id: str) -> None:
        self._ask.ask("DELETE", f"{self._path}/{segment(id)}")


class Changeable(Resource[Made, Shown, Listed]):
    def change(self, id: str, **fields: Any) -> Shown:
        """What is left out stays."""
        return cast(Shown, self._ask.ask("PATCH", f"{self._path}/{segment(id)}", fields))


class Setting(Changeable[Made, Shown, Listed], Deletable[Made, Shown, Listed]):
    """What can be changed, and deleted."""


class Rules(Setting[shapes.RuleOut, shapes.RuleOut, shapes.RuleOut]):
    def replace(self, id: str, **fields: Any) -> shapes.RuleOut:
        """What is left out is as if it had never been said."""
        return cast(shapes.RuleOut, self._ask.ask("PUT", f"{self._path}/{segment(id)}", fields))


class Providers(Setting[shapes.ProviderOut, shapes.ProviderOut, shapes.ProviderOut]):
    def kinds(self) -> Sequence[shapes.KindOut]:
        """The kinds of account that there are: what each is configured with, and what it can express."""
        return cast(Sequence[shapes.KindOut], self._ask.ask("GET", "/v1/provider-kinds")["data"])

    def webhook(self, id: str) -> shapes.WebhookOut:
        """Where it is to tell its events."""
        return cast(shapes.WebhookOut, self._ask.ask("GET", f"{self._path}/{segment(id)}/webhook"))

    def set_webhook(
        self, id: str, secrets: Sequence[Mapping[str, Any]], new_address: bool = False
    ) -> shapes.WebhookOut:
        """The secrets that prove its calls; any one of them does."""
        body = {"secrets": [*secrets], "new_address": new_address}
        return cast(shapes.WebhookOut, self._ask.ask("PUT", f"{self._path}/{segment(id)}/webhook", body))

    def delete_webhook(self, id: str) -> None:
        self._ask.ask("DELETE", f"{self._path}/{segment(id)}/webhook")

    def test(self, id: str) -> shapes.ProviderTest:
        """Connect and sign in, sending nothing."""
        return cast(shapes.ProviderTest, self._do(id, "test"))

    def pause(self, id: str) -> shapes.ProviderOut:
        return cast(shapes.ProviderOut, self._do(id, "pause"))

    def resume(self, id: str) -> shapes.ProviderOut:
        return cast(shapes.ProviderOut, self._do(id, "resume"))

    def import_suppressions(self, id: str, cursor: str | None = None) -> Iterator[shapes.Imported]:
        """Put those whom the account lists on your own list, page by page: what came of each page."""
        while True:
            done: shapes.Imported = self._do(
                id, "suppressions/import", {} if cursor is None else {"cursor": cursor}
            )
            yield done
            cursor = done["next_cursor"]
            if cursor is None:
                return

    def health(self, id: str) -> shapes.HealthOut:
        """What was learned of it: whether it takes emails, and what it delivers."""
        return cast(shapes.HealthOut, self._ask.ask("GET", f"{self._path}/{segment(id)}/health"))

    def healed(self, id: str) -> None:
        """It is well: what was held against it goes."""
        self._ask.ask("POST", f"{self._path}/{segment(id)}/healed")

    def warm_ups(self, id: str) -> shapes.WarmUpList:
        """The sender domains that warm up there."""
        return cast(shapes.WarmUpList, self._ask.ask("GET", f"{self._path}/{segment(id)}/warm-ups"))

    def warm_up(self, id: str, domain: str, daily: list[int] | None = None) -> shapes.WarmUpOut:
        """Begin; without `daily` it takes two weeks."""
        body: dict[str, Any] = {"domain": domain} if daily is None else {"domain": domain, "daily": daily}
        return cast(shapes.WarmUpOut, self._ask.ask("PUT", f"{self._path}/{segment(id)}/warm-ups", body))

    def end_warm_up(self, id: str, domain: str) -> None:
        self._ask.ask("POST", f"{self._path}/{segment(id)}/warm-ups/end", {"domain": domain})

    def prices(self, id: str) -> shapes.PricesOut:
        """What it charges, and what the next recipient costs."""
        return cast(shapes.PricesOut, self._ask.ask("GET", f"{self._path}/{segment(id)}/prices"))

    def set_prices(self, id: str, prices: Sequence[Mapping[str, Any]]) -> shapes.PricesOut:
        """All its price lists; none: its `base_cost` holds."""
        return cast(
            shapes.PricesOut,
            self._ask.ask("PUT", f"{self._path}/{segment(id)}/prices", {"prices": [*prices]}),
        )


class Keys(Deletable[shapes.KeyMade, shapes.KeyOut, shapes.KeyOut]):
    """API keys. There is no changing them: rotate, or make another."""

    def rotate(self, id: str, overlap_hours: float = 24, **fields: Any) -> shapes.KeyMade:
        """A new key of the same name, scopes and limits; the former one stands for so long beside it. `expires_at`:
        when the new one ends (None: never); has to be said where the former one has an end.
        """
        return cast(shapes.KeyMade, self._do(id, "rotate", {"overlap_hours": overlap_hours, **fields}))


class Users(Changeable[shapes.UserMade, shapes.UserOut, shapes.UserOut]):
    def password_link(self, id: str) -> shapes.PasswordLink:
        """A `token` with which a user sets a password, once."""
        return cast(shapes.PasswordLink, self._do(id, "password-link"))

    def lock_out(self, id: str) -> None:
        """All their keys and sessions end at once, and their password opens nothing."""
        self._do(id, "lock-out")


class Sessions:
    """Where the user is signed in."""

    def __init__(self, transport: Transport) -> None:
        self._ask = transport

    def list(self) -> Iterator[shapes.SessionOut]:
        return self._ask.pages("/v1/sessions", {})

    def end(self, id: str) -> None:
        self._ask.ask("DELETE", f"/v1/sessions/{segment(id)}")


class Files:
    """Attachments that are kept, for emails to name by their ids."""

    def __init__(self, transport: Transport) -> None:
        self._ask, self._path = transport, "/v1/attachments"

    def upload(
        self, file: BinaryIO, filename: str, content_type: str = "application/octet-stream"
    ) -> shapes.AttachmentOut:
        """Keep a file; the same one again is the same attachment."""
        files = {"file": (filename, file, content_type)}
        return cast(shapes.AttachmentOut, self._ask.ask("POST", self._path, files=files))

    def announce(self, filename: str, size: int, **fields: Any) -> shapes.UploadOut:
        """A link, `upload_url`, to which anybody who has it may PUT the file; then `complete` it."""
        return cast(
            shapes.UploadOut,
            self._ask.ask("POST", f"{self._path}/uploads", {"filename": filename, "size": size, **fields}),
        )

    def complete(self, upload_id: str) -> shapes.AttachmentOut:
        """Keep what was uploaded by a link."""
        return cast(
            shapes.AttachmentOut, self._ask.ask("POST", f"{self._path}/uploads/{segment(upload_id)}/complete")
        )

    def list(self, **filters: Any) -> Iterator[shapes.AttachmentOut]:
        return self._ask.pages(self._path, filters)

    def get(self, id: str) -> shapes.AttachmentOut:
        """With a link by which it can be read, for a quarter of an hour."""
        return cast(shapes.AttachmentOut, self._ask.ask("GET", f"{self._path}/{segment(id)}"))

    def delete(self, id: str) -> None:
        self._ask.ask("DELETE", f"{self._path}/{segment(id)}")


class Halts:
    """What is not sent for now: a user's emails, those of a type, or of a lane."""

    def __init__(self, transport: Transport) -> None:
        self._ask = transport

    def create(self, kind: str, value: str = "", **fields: Any) -> shapes.HaltOut:
        return cast(
            shapes.HaltOut, self._ask.ask("POST", "/v1/halts", {"kind": kind, "value": value, **fields})
        )

    def list(self) -> Sequence[shapes.HaltOut]:
        return cast(Sequence[shapes.HaltOut], self._ask.ask("GET", "/v1/halts")["data"])

    def lift(self, id: str) -> None:
        self._ask.ask("DELETE", f"/v1/halts/{segment(id)}")


class Campaigns(Setting[shapes.CampaignShown, shapes.CampaignShown, shapes.CampaignOut]):
    def pause(self, id: str) -> shapes.CampaignShown:
        """Nothing more of it is sent."""
        return cast(shapes.CampaignShown, self._do(id, "pause"))

    def resume(self, id: str) -> shapes.CampaignMoved:
        return cast(shapes.CampaignMoved, self._do(id, "resume"))

    def cancel(self, id: str) -> shapes.CampaignMoved:
        """Take back what is unsent, for good."""
        return cast(shapes.CampaignMoved, self._do(id, "cancel"))


class Templates(Setting[shapes.TemplateOut, shapes.TemplateOut, shapes.TemplateOut]):
    def versions(self, id: str) -> shapes.VersionList:
        return cast(shapes.VersionList, self._ask.ask("GET", f"{self._path}/{segment(id)}/versions"))

    def version(self, id: str, version: int) -> shapes.VersionOut:
        """What it said in a version."""
        return cast(
            shapes.VersionOut, self._ask.ask("GET", f"{self._path}/{segment(id)}/versions/{segment(version)}")
        )

    def add_version(self, id: str, **fields: Any) -> shapes.VersionAdded:
        return cast(shapes.VersionAdded, self._do(id, "versions", fields))

    def publish(self, id: str, version: int) -> shapes.TemplateOut:
        return cast(shapes.TemplateOut, self._do(id, "publish", {"version": version}))

    def preview(
        self, id: str, variables: Mapping[str, Any] | None = None, **fields: Any
    ) -> shapes.RenderedOut:
        """What it would say."""
        return cast(
            shapes.RenderedOut, self._do(id, "preview", {"variables": dict(variables or {}), **fields})
        )


class Domains(Deletable[shapes.DomainOut, shapes.DomainOut, shapes.DomainOut]):
    def check(self, id: str) -> shapes.DomainOut:
        """Ask the accounts and the DNS now."""
        return cast(shapes.DomainOut, self._do(id, "check"))


class Webhooks(Setting[shapes.EndpointMade, shapes.EndpointOut, shapes.EndpointOut]):
    def rotate(self, id: str, overlap_hours: float = 24) -> shapes.EndpointMade:
        """A new secret; the former one signs too for so long."""
        return cast(shapes.EndpointMade, self._do(id, "rotate", {"overlap_hours": overlap_hours}))

    def test(self, id: str) -> shapes.MessageQueued:
        return cast(shapes.MessageQueued, self._do(id, "test"))

    def replay(self, id: str, since: str, until: str, **fields: Any) -> shapes.Replayed:
        """Have what happened in a range told again."""
        return cast(shapes.Replayed, self._do(id, "replay", {"since": since, "until": until, **fields}))

    def messages(self, id: str, **filters: Any) -> Iterator[shapes.MessageOut]:
        return self._ask.pages(f"{self._path}/{segment(id)}/messages", filters)
