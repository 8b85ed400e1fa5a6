"""Calls that carry several emails, and calls that may be made again: packed, made and read once for all providers.

An adapter says how one email stands in such a call (`part`), how the parts become a request (`join`), and how the
answer falls apart (`answers`): each piece is then read as the answer to a call with one email is.
"""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from uuid import UUID

from domain.attempt import SendResult
from domain.errors import OutcomeUnknown, ProviderError
from domain.message import Submission
from domain.ports import Call, Letter
from providers import guard
from providers.base import UNREADABLE, HTTPProvider
from providers.exchange import Request, Response
from providers.words import clean


@dataclass(frozen=True, slots=True)
class Part:
    """One email within a call. `shared`: what it must have in common with the others, once in the call.

    `names`: what may stand in one call only once.
    """

    own: bytes
    shared: bytes = b""
    names: frozenset[str] = frozenset()


@dataclass(slots=True)
class _Bundle:
    shared: bytes
    letters: list[Letter] = field(default_factory=list)
    parts: list[bytes] = field(default_factory=list)
    names: set[str] = field(default_factory=set)
    size: int = 0

    def has_room(self, part: Part, most: int, most_bytes: int) -> bool:
        return (
            len(self.letters) < most
            and self.size + len(part.own) + 1 <= most_bytes
            and self.names.isdisjoint(part.names)
        )

    def add(self, letter: Letter, part: Part) -> None:
        self.letters.append(letter)
        self.parts.append(part.own)
        self.names |= part.names
        self.size += len(part.own) + 1


class RepeatableProvider(HTTPProvider):
    """domain.ports.CallProvider for a provider that knows a call again by the attempt's id."""

    def pack(self, letters: Sequence[Letter], most: int) -> Sequence[Call]:  # noqa: ARG002
        return list(self._by_itself(letters))

    def send_many(self, call: Call) -> Sequence[SendResult | ProviderError]:
        if not isinstance(call.request, Request):
            raise TypeError("not a call of this provider's")
        response = self._origin.perform(call.request)
        alone = len(call.letters) == 1
        refusal = self.judge(response, call.letters[0].submission)
        if refusal is not None and (alone or not self.tells_of_each(response)):
            for other in call.letters[1:]:
                refusal.detail = clean(refusal.detail, (), other.submission)
            raise refusal
        try:
            answers = [response] if alone else self.answers(response, len(call.letters))
        except UNREADABLE as reason:
            raise OutcomeUnknown(self.name, f"an unreadable {self._shape(response)}") from reason
        if len(answers) != len(call.letters):
            raise OutcomeUnknown(self.name, "an answer for another number of emails than were sent")
        return [self._read(answer, one.submission) for answer, one in zip(answers, call.letters, strict=True)]

    def answers(self, response: Response, count: int) -> Sequence[Response]:
        """The answer to a call with `count` emails as one for each, in their order.

        Raise one of UNREADABLE where it cannot be read.
        """
        raise NotImplementedError

    def tells_of_each(self, response: Response) -> bool:  # noqa: ARG002
        """Whether an answer that is no 2xx has a result for each email all the same."""
        return False

    def _by_itself(self, letters: Iterable[Letter]) -> Iterable[Call]:
        for letter in letters:
            try:
                request = self.compose(letter.submission, letter.attempt_id)
            except ProviderError:
                continue  # `send` says why
            yield Call((letter,), str(letter.attempt_id), _hash(request), request)

    def _read(self, answer: Response, submission: Submission) -> SendResult | ProviderError:
        try:
            return self.judge(answer, submission) or self.parse(answer)
        except ProviderError as error:
            return error
        except UNREADABLE:
            return OutcomeUnknown(self.name, f"an unreadable part of an answer ({len(answer.body)} bytes)")


class BatchProvider(RepeatableProvider):
    """domain.ports.CallProvider for a provider of which one call may carry several emails."""

    @abstractmethod
    def part(self, submission: Submission, attempt_id: UUID) -> Part | None:
        """The email within a call; None: it cannot share one. Raises as `build` does."""

    @abstractmethod
    def join(self, parts: Sequence[bytes], shared: bytes, key: str) -> Request: ...

    @abstractmethod
    def answers(self, response: Response, count: int) -> Sequence[Response]: ...

    def pack(self, letters: Sequence[Letter], most: int) -> Sequence[Call]:
        can = self._capabilities
        most = min(most, can.batch)
        bundles: list[_Bundle] = []
        alone: list[Letter] = []
        if most <= 1:
            alone = list(letters)
        else:
            self._bundle(letters, most, bundles, alone)
        calls = []
        for bundle in bundles:
            if len(bundle.letters) == 1:
                alone += bundle.letters
                continue
            key = f"{bundle.letters[0].attempt_id}-{len(bundle.letters)}"
            request = self.join(bundle.parts, bundle.shared, key)
            calls.append(Call(tuple(bundle.letters), key, _hash(request), request))
        if can.repeatable_seconds is not None:
            calls += self._by_itself(alone)
        return calls

    def _bundle(
        self, letters: Sequence[Letter], most: int, bundles: list[_Bundle], alone: list[Letter]
    ) -> None:
        room = self._capabilities.batch_bytes
        for letter in letters:
            try:
                guard.refuse(self.name, self._capabilities, letter.submission)
                part = self.part(letter.submission, letter.attempt_id)
            except (ProviderError, *UNREADABLE):
                part = None  # `send` says why
            if part is None or (room is not None and len(part.shared) + len(part.own) + 1 > room):
                alone.append(letter)
                continue
            most_bytes = 1 << 62 if room is None else room
            for bundle in bundles:
                if bundle.shared == part.shared and bundle.has_room(part, most, most_bytes):
                    break
            else:
                bundle = _Bundle(part.shared, size=len(part.shared))
                bundles.append(bundle)
            bundle.add(letter, part)


def each(response: Response, items: Sequence[object], status: int | None = None) -> list[Response]:
    """An answer's list as so many answers. Raises TypeError where it is none."""
    if not isinstance(items, list):
        raise TypeError("not a list")
    fields = {**response.headers, "content-type": "application/json"}
    return [
        Response(response.status if status is None else status, fields, json.dumps(i).encode()) for i in items
    ]


def _hash(request: Request) -> bytes:
    """Of what goes on the wire, without the credentials: they may be renewed."""
    return sha256(f"{request.method} {request.path}\n".encode() + request.body).digest()
