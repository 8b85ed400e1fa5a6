"""Values that must not be printed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

MASK: Final = "***"


class Secret:
    """A text that prints as `***` in logs, reprs and tracebacks. `reveal()` gives it."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __str__(self) -> str:
        return MASK

    def __repr__(self) -> str:
        return f"Secret({MASK})"


class KeyRing(Mapping[str, bytes]):
    """Encryption keys by their id; the first is the current one. Prints the ids only."""

    __slots__ = ("_keys",)

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        self._keys = dict(keys)

    @property
    def current(self) -> str:
        """The id of the key that new values are encrypted with."""
        return next(iter(self._keys))

    def __getitem__(self, key_id: str) -> bytes:
        return self._keys[key_id]

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)

    def __str__(self) -> str:
        return repr(self)

    def __repr__(self) -> str:
        return f"KeyRing({', '.join(f'{key_id}={MASK}' for key_id in self._keys)})"
