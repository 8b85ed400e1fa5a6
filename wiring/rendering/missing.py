"""What stands for a variable that was not given."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

from jinja2 import ChainableUndefined
from jinja2.exceptions import SecurityError


class Missing(ChainableUndefined):
    """It prints as nothing and equals nothing, and each use of it is remembered, so that all are named at once.

    `is defined` and `default(…)` ask nothing of it, and so do not count.
    """

    found: OrderedDict[str, None] = OrderedDict()  # noqa: RUF012  # one rendering at a time

    def note(self) -> None:
        if self._undefined_exception is SecurityError:
            self._fail_with_undefined_error()
        if self._undefined_name is not None:
            self.found[str(self._undefined_name)] = None
        elif not self.found:  # the first of an empty list, say: no variable is to blame
            self._fail_with_undefined_error()

    def __str__(self) -> str:
        self.note()
        return ""

    __repr__ = __html__ = __str__

    def __iter__(self) -> Iterator[Any]:
        self.note()
        return iter(())

    def __len__(self) -> int:
        self.note()
        return 0

    __int__ = __index__ = __len__  # type: ignore[assignment]

    def __float__(self) -> float:  # type: ignore[override]
        return float(len(self))

    def __complex__(self) -> complex:  # type: ignore[override]
        return complex(len(self))

    def __bool__(self) -> bool:
        self.note()
        return False

    def __contains__(self, _: object) -> bool:
        return bool(self)

    def _compared(self, _: object) -> bool:
        return bool(self)

    __eq__ = __lt__ = __le__ = __gt__ = __ge__ = _compared  # type: ignore[assignment]

    def __ne__(self, _: object) -> bool:
        return not bool(self)

    def __hash__(self) -> int:
        self.note()
        return 0

    def _reckoned(self, *_: object, **__: object) -> Missing:
        self.note()
        return self

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __pow__ = __rpow__ = _reckoned  # type: ignore[assignment]
    __truediv__ = __rtruediv__ = __floordiv__ = __rfloordiv__ = __mod__ = __rmod__ = _reckoned  # type: ignore[assignment]
    __neg__ = __pos__ = __call__ = _reckoned  # type: ignore[assignment]


def is_none(value: object) -> bool:
    """Jinja's test `none`."""
    return bool(value) if isinstance(value, Missing) else value is None


def dumps(value: object, **options: Any) -> str:
    """JSON, for Jinja's filter `tojson`."""
    return json.dumps(value, default=_nothing, **options)


def _nothing(value: object) -> None:
    if not isinstance(value, Missing):
        raise TypeError(f"a value of the type {type(value).__name__} is no JSON")
    value.note()
