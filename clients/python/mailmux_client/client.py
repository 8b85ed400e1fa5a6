"""The client."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

import requests

from mailmux_client.emails import Emails
from mailmux_client.resources import Campaigns, Domains, Providers, Resource, Templates, Webhooks
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
        self.rules = Resource(self._transport, "/v1/routing-rules")
        self.templates = Templates(self._transport, "/v1/templates")
        self.email_types = Resource(self._transport, "/v1/email-types")
        self.suppressions = Resource(self._transport, "/v1/suppressions")
        self.keys = Resource(self._transport, "/v1/keys")
        self.users = Resource(self._transport, "/v1/users")
        self.campaigns = Campaigns(self._transport, "/v1/campaigns")
        self.domains = Domains(self._transport, "/v1/domains")
        self.webhooks = Webhooks(self._transport, "/v1/webhooks")

    def preview_routing(self, email: Mapping[str, Any]) -> dict[str, Any]:
        """What would be decided for an email now; nothing is sent."""
        found = self._transport.ask("POST", "/v1/routing/preview", dict(email))
        return cast(dict[str, Any], found)

    def ask(self, method: str, path: str, body: Any = None, query: Mapping[str, Any] | None = None) -> Any:
        """Any other request of the API."""
        return self._transport.ask(method, path, body, query)
