"""What one HTTP dialect is: how it reads a message, how it answers, and the words of its refusals.

The exchange itself, with its faults, is the same for all of them (`sandbox.http_account`).
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.message import Message
from enum import Enum
from typing import Any, ClassVar

from sandbox.accounts import Account
from sandbox.lists import Lists
from sandbox.messages import MessageBox, Received, to_message
from sandbox.stories import Happening, Signed


@dataclass
class Answer:
    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


def json_answer(status: int, content: Any, **headers: str) -> Answer:
    """Underscores in the names of headers become dashes."""
    more = {name.replace("_", "-"): value for name, value in headers.items()}
    body = json.dumps(content, ensure_ascii=False).encode("utf-8", "replace")
    return Answer(status, {"Content-Type": "application/json", **more}, body)


@dataclass(frozen=True)
class Call:
    """One request. `path` is without the query; `body` whole and unpacked; `host` as the caller named us."""

    method: str
    path: str
    query: str
    headers: Message
    body: bytes

    @property
    def media_type(self) -> str:
        return self.headers.get_content_type()


class Purpose(Enum):
    SENDING = "hands over messages"
    ASKING = "asks something, such as whether the credentials are right"
    UNKNOWN = "no address of this dialect"
    WRONG_METHOD = "an address of this dialect, but not with this method"


@dataclass(frozen=True)
class Taken:
    """A call that was understood: what is to be recorded, the usual answer, and what to do once it is recorded."""

    messages: list[Received]
    answer: Answer
    once_recorded: Callable[[], None] = lambda: None


class Refused(Exception):
    """The call is not taken; `answer` says why, in the provider's words."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


class Dialect(ABC):
    """One account that speaks one provider's HTTP API. Called from several threads at once."""

    name: ClassVar[str]
    max_body: ClassVar[int]
    """Bytes of a request's body; a larger one is answered with `error(413, …)`."""
    accepted: ClassVar[int] = 200
    """The status of the answer to a message that was taken."""
    server: ClassVar[str] = "nginx"
    methods: ClassVar[Mapping[str, str]] = {}
    """The method of each address: POST hands over messages, GET asks something."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.lists = Lists()
        self.box: MessageBox | None = None

    def taken(self) -> list[tuple[Received, float]]:
        """What this account took, the newest first, with the time (Unix seconds)."""
        return (
            [to_message(record) for record in self.box.find(account=self.account.name, limit=2000)]
            if self.box
            else []
        )

    def purpose(self, call: Call) -> Purpose:
        method = self.methods.get(call.path)
        if method is None:
            return Purpose.UNKNOWN
        if call.method != method:
            return Purpose.WRONG_METHOD
        return Purpose.SENDING if method == "POST" else Purpose.ASKING

    @abstractmethod
    def check(self, call: Call) -> Answer | None:
        """The refusal of wrong or missing credentials; None where they are right."""

    @abstractmethod
    def take(self, call: Call) -> Taken:
        """Reads a call whose purpose is SENDING. Raises Refused."""

    @abstractmethod
    def tell(self, call: Call) -> Answer:
        """Answers a call whose purpose is ASKING."""

    @abstractmethod
    def error(self, status: int, message: str) -> Answer:
        """A refusal that the protocol brings with it, in this provider's form."""

    def tell_of(self, message: Received, recipient: str, happening: Happening, at: float) -> bytes | None:  # noqa: ARG002
        """The body of the webhook's call about this; None where the provider does not tell of such a thing, or where
        this dialect has no webhook."""
        return None

    def sign(self, body: bytes, at: float) -> Signed:  # noqa: ARG002
        """The call with what proves it, made at this time (Unix seconds)."""
        return Signed({}, body)

    @abstractmethod
    def refusal(self, mode: str, seconds: float) -> Answer:
        """The answer under a fault that ends in a refusal (see `sandbox.faults.MODES`): unavailable, ratelimit,
        auth, reject, sender. `seconds` until the rate limit resets."""
