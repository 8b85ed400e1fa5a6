"""The form of an API key: `mx_live_<id>_<secret><checksum>`. Pure; knows no database.

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

PREFIX = "mx_live"
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
    "webhooks:read",
    "webhooks:write",
    "domains:read",
    "domains:write",
)
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_ID_LENGTH = 12
_SECRET_LENGTH = 32  # 190 bits
_CHECKSUM_LENGTH = 6  # 62^6 > 2^32
_FORM = re.compile(
    rf"mx_live_(?P<id>[0-9A-Za-z]{{{_ID_LENGTH}}})_(?P<secret>[0-9A-Za-z]{{{_SECRET_LENGTH}}})"
    rf"(?P<checksum>[0-9A-Za-z]{{{_CHECKSUM_LENGTH}}})\Z"
)


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key in the clear. It exists when it is made and when it is presented, never in between."""

    public_id: str
    secret: str = field(repr=False)

    @property
    def hash(self) -> str:
        """What is stored: SHA-256 of the secret, in hex."""
        return hashlib.sha256(self.secret.encode("ascii")).hexdigest()

    def matches(self, stored: str) -> bool:
        """Compare with a stored hash, in constant time."""
        return hmac.compare_digest(self.hash, stored)

    def reveal(self) -> str:
        """The text that the user presents."""
        body = f"{PREFIX}_{self.public_id}_{self.secret}"
        return body + _checksum(body)


def mint() -> ApiKey:
    """Make a new key from the system's randomness."""
    return ApiKey(_random(_ID_LENGTH), _random(_SECRET_LENGTH))


def parse(text: str) -> ApiKey | None:
    """Read a presented key; None where it cannot be one of ours."""
    match = _FORM.match(text)
    if match is None:
        return None
    body = text[: -len(match["checksum"])]
    if not hmac.compare_digest(_checksum(body), match["checksum"]):
        return None
    return ApiKey(match["id"], match["secret"])


def _random(length: int) -> str:
    return "".join(secrets.choice(_DIGITS) for _ in range(length))


def _checksum(body: str) -> str:
    number, digits = zlib.crc32(body.encode("ascii")), ""
    for _ in range(_CHECKSUM_LENGTH):
        number, digit = divmod(number, len(_DIGITS))
        digits = _DIGITS[digit] + digits
    return digits
