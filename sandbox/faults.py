"""The ways in which an account can fail, and which account fails in which way now.

`MODES` says what each mode promises in every dialect: whether the message is recorded, how the exchange
ends, and what its options mean. The words of a refusal (a status, an SMTP reply) belong to the dialect.
"""

import threading
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum


class Ending(Enum):
    """How the exchange ends for the caller."""

    NO_LISTENER = "no listener"  # nobody listens on the port: ECONNREFUSED
    REFUSAL = "refusal"  # a clear answer that the message was not taken
    NORMAL = "normal"  # the usual answer
    SILENCE = "silence"  # no answer, the connection stays open
    CLOSED = "closed"  # the connection is closed without an answer
    BARE_ERROR = "bare error"  # HTTP 500 without a body; in SMTP, which has no such thing, as CLOSED
    GARBAGE = "garbage"  # an answer that means nothing


class Delay(Enum):
    """What a fault's `delay` means for a mode."""

    MEANINGLESS = "meaningless"
    ANSWER = "answer"  # seconds before the answer
    RESET = "reset"  # seconds until the announced rate limit resets


@dataclass(frozen=True)
class Mode:
    name: str
    summary: str
    ending: Ending
    recorded: bool = False
    after_checks: bool = True
    """Whether a request must first be a valid message with valid credentials for the fault to strike."""
    messages_only: bool = False
    """Whether calls that carry no message, such as a connection check, are spared."""
    countable: bool = True
    delay: Delay = Delay.ANSWER
    default_delay: float = 0.0


_TABLE = (
    Mode(
        "refuse",
        "nobody listens on the port, so that connecting is refused",
        Ending.NO_LISTENER,
        after_checks=False,
        countable=False,
        delay=Delay.MEANINGLESS,
    ),
    Mode(
        "unavailable",
        "HTTP 503, or SMTP 421 at connect; not recorded",
        Ending.REFUSAL,
        after_checks=False,
    ),
    Mode(
        "ratelimit",
        "HTTP 429 with its rate headers, or SMTP 450 4.7.0 at MAIL; delay = seconds until the reset; "
        "not recorded",
        Ending.REFUSAL,
        after_checks=False,
        delay=Delay.RESET,
        default_delay=5.0,
    ),
    Mode("auth", "HTTP 401, or SMTP 535 at AUTH; not recorded", Ending.REFUSAL, after_checks=False),
    Mode(
        "reject",
        "HTTP 400 that blames the recipient, or SMTP 550 5.1.1 at RCPT; not recorded",
        Ending.REFUSAL,
        messages_only=True,
    ),
    Mode(
        "sender",
        "HTTP 403 that blames an unverified sender, or SMTP 550 5.7.1 at MAIL; not recorded",
        Ending.REFUSAL,
        messages_only=True,
    ),
    Mode(
        "timeout",
        "the message is taken and recorded, but never answered",
        Ending.SILENCE,
        recorded=True,
        delay=Delay.MEANINGLESS,
    ),
    Mode(
        "hang",
        "the message is read, but neither recorded nor answered",
        Ending.SILENCE,
        after_checks=False,
        delay=Delay.MEANINGLESS,
    ),
    Mode(
        "bare500",
        "HTTP 500 without a body, or the SMTP connection closed after the final dot; not recorded",
        Ending.BARE_ERROR,
        after_checks=False,
    ),
    Mode("drop", "recorded, then the connection is closed without an answer", Ending.CLOSED, recorded=True),
    Mode(
        "garbage",
        "recorded, then HTTP 202 with an HTML page and no id, or an SMTP reply that is none",
        Ending.GARBAGE,
        recorded=True,
    ),
    Mode(
        "slow",
        "recorded, then the usual answer after a delay",
        Ending.NORMAL,
        recorded=True,
        default_delay=5.0,
    ),
)
MODES: dict[str, Mode] = {mode.name: mode for mode in _TABLE}

MAX_DELAY = 3600.0
"""The longest delay that can be asked for, in seconds."""


class InvalidFault(ValueError):
    """The fault that was asked for makes no sense; the message says why."""


@dataclass(frozen=True)
class Fault:
    mode: Mode
    remaining: int | None
    """How often it still strikes; None is until healed."""
    delay: float
    """Seconds, with the meaning that the mode gives it."""

    @property
    def answer_delay(self) -> float:
        """Seconds to wait before the answer."""
        return self.delay if self.mode.delay is Delay.ANSWER else 0.0


def parse_fault(mode: object, count: object = None, delay: object = None) -> Fault:
    """A fault from what a caller sent. Raises InvalidFault with a sentence for people."""
    known = MODES.get(mode) if isinstance(mode, str) else None
    if known is None:
        raise InvalidFault(f"mode must be one of {', '.join(MODES)}")
    if count is not None:
        if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= 1_000_000_000:
            raise InvalidFault("count must be a whole number from 1, or null for 'until healed'")
        if not known.countable:
            raise InvalidFault(f"{known.name} cannot be counted: it lasts until it is healed")
    seconds = known.default_delay
    if delay is not None:
        if isinstance(delay, bool) or not isinstance(delay, int | float) or not 0 <= delay <= MAX_DELAY:
            raise InvalidFault(f"delay must be a number of seconds from 0 to {MAX_DELAY:.0f}")
        if known.delay is Delay.MEANINGLESS and delay:
            raise InvalidFault(f"{known.name} takes no delay")
        seconds = float(delay)
    return Fault(known, count, seconds)


class FaultBoard:
    """Which account has which fault. Safe to use from several threads."""

    def __init__(self, accounts: Iterable[str]) -> None:
        self._lock = threading.Lock()
        self._faults: dict[str, Fault | None] = dict.fromkeys(accounts)
        self._struck: dict[str, int] = dict.fromkeys(self._faults, 0)

    def put(self, account: str, fault: Fault | None) -> None:
        """Replaces the account's fault; None heals it."""
        with self._lock:
            self._faults[account] = fault

    def look(self, account: str) -> Fault | None:
        """The account's fault, without using up its count."""
        with self._lock:
            return self._faults[account]

    def strike(self, account: str, fault: Fault) -> bool:
        """Uses up one stroke of `fault`. False when another caller used up the last one, or it was healed."""
        with self._lock:
            current = self._faults[account]
            if current is None or current.mode is not fault.mode:
                return False
            self._struck[account] += 1
            if current.remaining is not None:
                left = current.remaining - 1
                self._faults[account] = replace(current, remaining=left) if left else None
            return True

    def struck(self, account: str) -> int:
        """How often a fault has struck this account since the start."""
        with self._lock:
            return self._struck[account]
