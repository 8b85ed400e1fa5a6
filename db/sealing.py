"""Secrets at rest: AES-256-GCM, with the place where a secret lies bound into it.

A sealed text moved to another row, another kind of provider or another owner does not open. Keys have ids,
so that a new one can be used while the old one still opens what it sealed.
"""

from __future__ import annotations

import base64
import binascii
import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32
ENDPOINT = "webhook endpoint"  # the kind that the secrets of webhooks are sealed for, which we call
_NONCE_BYTES = 12  # NIST SP 800-38D, 8.2: 96 bits, here random


class SealBroken(Exception):
    """The sealed text was changed, or lies where it does not belong, or is not a sealed text."""


class UnknownKey(Exception):
    """The sealed text names a key that this process was not given."""


class Sealer:
    """Seals credentials with the `current` key; opens what any of `keys` (id → 32 bytes) sealed."""

    def __init__(self, keys: Mapping[str, bytes], current: str) -> None:
        for key_id, key in keys.items():
            if len(key) != KEY_BYTES:
                raise ValueError(f"the encryption key {key_id!r} has {len(key)} bytes, not {KEY_BYTES}")
        if current not in keys:
            raise ValueError(f"the current encryption key {current!r} is not among the keys")
        self._keys = {key_id: AESGCM(key) for key_id, key in keys.items()}
        self._current = current

    def seal(self, credentials: Mapping[str, str], *, owner: UUID | None, kind: str, row: UUID) -> str:
        """Return the sealed text of a provider's credentials. `owner` None: shared by all."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        plain = json.dumps(dict(credentials), ensure_ascii=False, separators=(",", ":")).encode()
        sealed = self._keys[self._current].encrypt(nonce, plain, _place(self._current, owner, kind, row))
        return json.dumps(
            {
                "key_id": self._current,
                "nonce": base64.b64encode(nonce).decode(),
                "ciphertext": base64.b64encode(sealed).decode(),
            },
            separators=(",", ":"),
        )

    def open(self, sealed: str, *, owner: UUID | None, kind: str, row: UUID) -> dict[str, str]:
        """Return what was sealed for this place. Raises SealBroken or UnknownKey."""
        try:
            envelope = json.loads(sealed)
            key_id = envelope["key_id"]
            nonce = base64.b64decode(envelope["nonce"], validate=True)
            ciphertext = base64.b64decode(envelope["ciphertext"], validate=True)
        except (ValueError, KeyError, TypeError, binascii.Error) as error:
            raise SealBroken("not a sealed text") from error
        if not isinstance(key_id, str) or len(nonce) != _NONCE_BYTES:
            raise SealBroken("not a sealed text")
        if key_id not in self._keys:
            known = ", ".join(sorted(self._keys))
            raise UnknownKey(f"sealed with the encryption key {key_id!r}; this process has: {known}")
        try:
            plain = self._keys[key_id].decrypt(nonce, ciphertext, _place(key_id, owner, kind, row))
        except InvalidTag as error:
            raise SealBroken("the sealed text was changed or belongs to another place") from error
        credentials: dict[str, str] = json.loads(plain)
        return credentials

    def is_current(self, sealed: str) -> bool:
        """Tell whether the current key sealed this, so that rotation can skip it."""
        return bool(json.loads(sealed).get("key_id") == self._current)


def _place(key_id: str, owner: UUID | None, kind: str, row: UUID) -> bytes:
    """The additional data: no two places give the same bytes, as every part's length is fixed or said."""
    parts = (key_id, "shared" if owner is None else str(owner), kind, str(row))
    return b"".join(len(part.encode()).to_bytes(2, "big") + part.encode() for part in parts)


@dataclass(frozen=True, slots=True)
class Hook:
    """What an account's webhook is proved by: the token in its address, and secrets of which any may prove a call."""

    token: str = field(repr=False)
    secrets: Sequence[Mapping[str, str]] = field(repr=False)


def seal_hook(sealer: Sealer, hook: Hook, *, owner: UUID | None, kind: str, row: UUID) -> str:
    """As credentials are sealed, in a place of its own."""
    content = {"token": hook.token, "secrets": json.dumps([dict(s) for s in hook.secrets])}
    return sealer.seal(content, owner=owner, kind=f"{kind} webhook", row=row)


def open_hook(sealer: Sealer, sealed: str, *, owner: UUID | None, kind: str, row: UUID) -> Hook:
    """Raises SealBroken or UnknownKey."""
    content = sealer.open(sealed, owner=owner, kind=f"{kind} webhook", row=row)
    return Hook(content["token"], json.loads(content["secrets"]))
