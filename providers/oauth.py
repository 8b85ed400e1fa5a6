"""Access tokens (RFC 6749) for servers of emails that want them instead of passwords: fetched, kept while they hold.

A token is fetched with a refresh token (section 6), or where there is none with the client's own credentials (4.4), as
Microsoft's app-only access does. Google: developers.google.com/identity/protocols/oauth2/web-server#offline; Microsoft:
learn.microsoft.com/exchange/client-developer/legacy-protocols/how-to-authenticate-an-imap-pop-smtp-application-by-using-oauth.
"""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

from domain.errors import Misconfigured, OutcomeUnknown, ProviderUnavailable, RateLimited
from providers.exchange import Origin, Request, Response
from providers.words import clean
from providers.world import World

_SPARE = 60.0  # seconds before its end from which a token is no longer used
_LIFE = 300.0  # seconds for a token that does not say how long it holds
_FRESH = 60.0  # seconds after which a refused token may have been taken back, rather than be the wrong one


@dataclass(frozen=True, slots=True, repr=False)
class Client:
    """Who asks for tokens, and where. `refresh_token` empty: for itself."""

    token_url: str
    client_id: str
    client_secret: str = ""
    refresh_token: str = ""
    scope: str = ""


class Tokens:
    """The tokens of one account. Safe for several threads: one fetches, the others wait for it."""

    def __init__(self, name: str, client: Client, world: World) -> None:
        self.name = name
        self._client, self._clock = client, world.clock
        parts = urlsplit(client.token_url)
        self._path = parts.path or "/"
        self._origin = Origin(name, f"{parts.scheme}://{parts.netloc}", world)
        self._lock = threading.Lock()
        self._refresh_token = client.refresh_token
        self._token, self._since, self._until = "", 0.0, 0.0

    def current(self, instead_of: str | None = None) -> tuple[str, bool]:
        """A token that holds, and whether it was fetched of late. `instead_of`: one that the server refused.

        Raises Misconfigured, ProviderUnavailable or RateLimited: no email is on the way yet.
        """
        with self._lock:
            now = self._clock.monotonic()
            if self._token and self._token != instead_of and now < self._until:
                return self._token, now - self._since < _FRESH
            token, life = self._read(self._ask())
            self._token, self._since, self._until = token, now, now + life - _SPARE
            return token, True

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not be told."""
        return self._client.client_secret, self._client.refresh_token, self._refresh_token, self._token

    def close(self) -> None:
        self._origin.close()

    def _ask(self) -> Response:
        client = self._client
        form = {"client_id": client.client_id}
        if self._refresh_token:
            form |= {"grant_type": "refresh_token", "refresh_token": self._refresh_token}
        else:
            form |= {"grant_type": "client_credentials"}
        form |= {"client_secret": client.client_secret} if client.client_secret else {}
        form |= {"scope": client.scope} if client.scope else {}
        fields = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        try:
            return self._origin.perform(Request("POST", self._path, fields, urlencode(form).encode("ascii")))
        except OutcomeUnknown as error:  # a token may have been made, but no email went
            raise ProviderUnavailable(self.name, f"no token: {error.detail}") from error

    def _read(self, response: Response) -> tuple[str, float]:
        try:
            answer = json.loads(response.body)
            said = f"{answer.get('error', '')} {answer.get('error_description', '')}".strip()
        except (ValueError, AttributeError, RecursionError):
            answer, said = {}, ""
        detail = f"no token: {response.status} {clean(said, self.secrets)}".rstrip()
        if response.status == 429:
            raise RateLimited(self.name, detail)
        if response.status >= 500:
            raise ProviderUnavailable(self.name, detail)
        token = answer.get("access_token")
        if not 200 <= response.status < 300 or not isinstance(token, str) or not _is_sendable(token):
            raise Misconfigured(self.name, detail)
        renewed = answer.get("refresh_token")
        if self._refresh_token and isinstance(renewed, str) and renewed:
            self._refresh_token = renewed  # Microsoft's are replaced as they are used (RFC 6749, 6)
        life = answer.get("expires_in")
        return token, float(life) if isinstance(life, int | float) and life > 0 else _LIFE


def bearer(username: str, token: str) -> bytes:
    """What SASL's XOAUTH2 says (developers.google.com/workspace/gmail/imap/xoauth2-protocol)."""
    return f"user={username}\x01auth=Bearer {token}\x01\x01".encode()


def _is_sendable(token: str) -> bool:
    return 0 < len(token) <= 8192 and all("!" <= c <= "~" for c in token)
