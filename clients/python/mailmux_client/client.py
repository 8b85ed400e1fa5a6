"""The client."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, cast

import requests

from mailmux_client import shapes
from mailmux_client.emails import Emails
from mailmux_client.errors import MailmuxError, Unreachable
from mailmux_client.resources import (
    Campaigns,
    Deletable,
    Domains,
    Files,
    Halts,
    Keys,
    Providers,
    Resource,
    Rules,
    Sessions,
    Setting,
    Templates,
    Users,
    Webhooks,
)
from mailmux_client.transport import Transport


class Mailmux:
    """A Mailmux service, as the owner of an API key sees it. For one thread at a time, as requests.Session is.

    `timeout`: seconds for a request to connect, and to answer. `retries`: how often one is made again where that
    is safe.
    """

    def __init__(
        self,
        url: str,
        key: str,
        *,
        timeout: float = 30.0,
        retries: int = 4,
        session: requests.Session | None = None,
        sleep: Callable[[float], None] | None = None,
    ) -> None:
        more: dict[str, Any] = {} if sleep is None else {"sleep": sleep}
        self._transport = Transport(url, key, timeout, retries, session, **more)
        self.emails = Emails(self._transport)
        self.providers = Providers(self._transport, "/v1/providers")
        self.rules = Rules(self._transport, "/v1/routing-rules")
        self.templates = Templates(self._transport, "/v1/templates")
        self.email_types = Setting[shapes.TypeOut, shapes.TypeOut, shapes.TypeOut](
            self._transport, "/v1/email-types"
        )
        self.suppressions = Deletable[shapes.Suppressed, shapes.SuppressionOut, shapes.SuppressionOut](
            self._transport, "/v1/suppressions"
        )
        self.attachments = Files(self._transport)
        self.halts = Halts(self._transport)
        self.erasures = Resource[shapes.ErasureOut, shapes.ErasureOut, shapes.ErasureOut](
            self._transport, "/v1/erasures"
        )
        self.keys = Keys(self._transport, "/v1/keys")
        self.users = Users(self._transport, "/v1/users")
        self.sessions = Sessions(self._transport)
        self.campaigns = Campaigns(self._transport, "/v1/campaigns")
        self.budgets = Setting[shapes.BudgetOut, shapes.BudgetOut, shapes.BudgetOut](
            self._transport, "/v1/budgets"
        )
        self.domains = Domains(self._transport, "/v1/domains")
        self.webhooks = Webhooks(self._transport, "/v1/webhooks")

    def preview_routing(self, email: Mapping[str, Any]) -> shapes.Preview:
        """What would be decided for an email now; nothing is sent."""
        return cast(shapes.Preview, self._transport.ask("POST", "/v1/routing/preview", dict(email)))

    def stats(self, *, group_by: Sequence[str] = (), **filters: Any) -> shapes.StatsOut:
        """What was sent, what became of it and what it cost. `group_by`: day, provider, and one of email_type,
        sender_domain, mailbox_group, campaign. `filters`: since, until, timezone, provider and so on, as
        GET /v1/stats takes them.
        """
        found = self._transport.ask("GET", "/v1/stats", query={**filters, "group_by": list(group_by)})
        return cast(shapes.StatsOut, found)

    def replay_routing(
        self, *, progress: Callable[[int, int], None] | None = None, **asked: Any
    ) -> shapes.ReplayOut:
        """What past traffic would have cost and come to otherwise (POST /v1/routing/replay); nothing is sent.

        `progress` is told how many emails of how many are decided, now and then.
        """
        for line in self._transport.lines("POST", "/v1/routing/replay", asked):
            if "done" in line and progress is not None:
                progress(line["done"], line["of"])
            if "result" in line:
                return cast(shapes.ReplayOut, line["result"])
            if "problem" in line:
                raise MailmuxError(line["problem"]["status"], line["problem"])
        raise Unreachable("the answer broke off before its result")

    def audit_log(self, **filters: Any) -> Iterator[shapes.AuditOut]:
        """Who changed what, newest first: target, user_id."""
        return self._transport.pages("/v1/audit-log", filters)

    def change_password(self, current: str, new: str) -> None:
        """Another password for this user; other sessions end."""
        self._transport.ask("PUT", "/v1/password", {"current_password": current, "new_password": new})

    def sign_out(self) -> None:
        """End the session that this client was made with, by `sign_in`."""
        self._transport.ask("DELETE", "/v1/sessions/current")

    def ask(self, method: str, path: str, body: Any = None, query: Mapping[str, Any] | None = None) -> Any:
        """Any other request of the API."""
        return self._transport.ask(method, path, body, query)


def sign_in(url: str, email: str, password: str, **options: Any) -> Mailmux:
    """A client that acts as a user, until its session ends after some hours. `options`: as Mailmux takes them.

    Raises MailmuxError 401 where the address or the password is wrong, 429 after too many tries.
    """
    made = Transport(url, None, **options).ask("POST", "/v1/sessions", {"email": email, "password": password})
    return Mailmux(url, made["token"], **options)


def set_password(url: str, token: str, password: str, **options: Any) -> None:
    """Set the password that the token of a link stands for; it holds once."""
    Transport(url, None, **options).ask("POST", "/v1/password", {"token": token, "password": password})
