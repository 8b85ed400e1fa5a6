"""The form of an API key: `mx_live_<id>_<secret><checksum>`, of a test key, `mx_test_…`, and of a session's token,
`mx_sess_…`. Pure.

The id may be shown and finds the row; of the secret only its SHA-256 is stored (it is random, so a slow
hash would add nothing). The checksum tells a mistyped key, or a look-alike found by a secret scanner,
without asking the database.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import zlib
from dataclasses import dataclass, field

KEY, SESSION, TEST = "key", "session", "test"
_PREFIXES = {KEY: "mx_live", SESSION: "mx_sess", TEST: "mx_test"}
_KINDS = {prefix: kind for kind, prefix in _PREFIXES.items()}
SCOPES = (
    "emails:send",
    "emails:read",
    "providers:read",
    "providers:write",
    "rules:read",
    "rules:write",
    "templates:read",
    "templates:write",
    "types:read",
    "types:write",
    "keys:read",
    "keys:write",
    "users:write",
    "campaigns:read",
    "campaigns:write",
    "suppressions:read",
    "suppressions:write",
    "erasures:read",
    "erasures:write",
    "webhooks:read",
    "webhooks:write",
    "domains:read",
    "domains:write",
    "sessions:read",
    "sessions:write",
    "audit:read",
    "stats:read",
    "budgets:read",
    "budgets:write",
)
# What a test key may do: not what is shared with live keys, but to read the templates and types that it sends with.
TEST_SCOPES = tuple(
    scope
    for scope in SCOPES
    if scope.partition(":")[0]
    in ("emails", "keys", "campaigns", "suppressions", "erasures", "webhooks", "audit", "stats")
    or scope in ("templates:read", "types:read", "providers:read")
)
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_ID_LENGTH = 12
_SECRET_LENGTH = 32  # 190 bits
_CHECKSUM_LENGTH = 6  # 62^6 > 2^32
_FORM = re.compile(
    rf"(?P<kind>mx_(?:live|test|sess))_(?P<id>[0-9A-Za-z]{{{_ID_LENGTH}}})_(?P<secret>[0-9A-Za-z]{{{_SECRET_LENGTH}}})"
    rf"(?P<checksum>[0-9A-Za-z]{{{_CHECKSUM_LENGTH}}})\Z"
)


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key in the clear. It exists when it is made and when it is presented, never in between."""

    public_id: str
    secret: str = field(repr=False)
    kind: str = KEY

    @property
    def hash(self) -> str:
        """What is stored: SHA-256 of the secret, in hex."""
        return hashlib.sha256(self.secret.encode("ascii")).hexdigest()

    def matches(self, stored: str) -> bool:
        """Compare with a stored hash, in constant time."""
        return hmac.compare_digest(self.hash, stored)

    def reveal(self) -> str:
        """The text that the user presents."""
        body = f"{_PREFIXES[self.kind]}_{self.public_id}_{self.secret}"
        return body + _checksum(body)


def scopes_of(role: str) -> tuple[str, ...]:
    """All that somebody of this role may do."""
    return tuple(scope for scope in SCOPES if role == "operator" or scope != "users:write")


def mint(kind: str = KEY) -> ApiKey:
    """Make a new key, or a session's token, from the system's randomness."""
    return ApiKey(_random(_ID_LENGTH), _random(_SECRET_LENGTH), kind)


def parse(text: str) -> ApiKey | None:
    """Read a presented key; None where it cannot be one of ours."""
    match = _FORM.match(text)
    if match is None:
        return None
    body = text[: -len(match["checksum"])]
    if not hmac.compare_digest(_checksum(body), match["checksum"]):
        return None
    return ApiKey(match["id"], match["secret"], _KINDS[match["kind"]])


def _random(length: int) -> str:
    return "".join(secrets.choice(_DIGITS) for _ in range(length))


def _checksum(body: str) -> str:
    number, digits = zlib.crc32(body.encode("ascii")), ""
    for _ in range(_CHECKSUM_LENGTH):
        number, digit = divmod(number, len(_DIGITS))
        digits = _DIGITS[digit] + digits
    return digits
