"""Links that hold for a while, for whoever has them: signed, so that nobody can make or prolong one."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from typing import Final
from uuid import UUID

DOWNLOAD: Final = "download"
UPLOAD: Final = "upload"
_PURPOSE: Final = b"mailmux: links to attachments"


class Signer:
    """Signs with the `current` key; verifies what any of `keys` (id → bytes) signed. Keys are derived from these."""

    def __init__(self, keys: Mapping[str, bytes], current: str) -> None:
        self._keys = {name: hmac.digest(key, _PURPOSE, "sha256") for name, key in keys.items()}
        self._current = current

    def sign(self, purpose: str, id: UUID, expires: int) -> str:
        """The query of a link that holds until `expires` (Unix seconds)."""
        signature = self._signature(self._keys[self._current], purpose, id, expires)
        return f"expires={expires}&key={self._current}&signature={signature}"

    def holds(self, purpose: str, id: UUID, expires: int, key: str, signature: str) -> bool:
        """Whether we signed this. That `expires` has not come is for the database to say."""
        secret = self._keys.get(key)
        wanted = self._signature(secret or b"", purpose, id, expires)
        return hmac.compare_digest(wanted.encode(), signature.encode()) and secret is not None

    @staticmethod
    def _signature(key: bytes, purpose: str, id: UUID, expires: int) -> str:
        return hmac.new(key, f"{purpose}\n{id}\n{expires}".encode(), hashlib.sha256).hexdigest()
