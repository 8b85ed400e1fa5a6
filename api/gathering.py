"""Group commit: requests that arrive while a transaction is under way share the next one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from uuid import UUID

from api import intake
from api.keeping import Result
from domain.errors import StorageUnavailable
from domain.intake import NO_RULES, Draft, Handover, HouseRules, Once, Receipt, Sender
from domain.ports import DeliveryQueue, IntakeWork

_MOST_EMAILS = 500  # of one transaction, unless a single request has more


class _Waiting:
    """A request on its way into a transaction. `turn` is released when it has a result, or is to lead."""

    __slots__ = ("handover", "result", "turn")

    def __init__(self, handover: Handover) -> None:
        self.handover = handover
        self.result: Result | Exception | None = None
        self.turn = threading.Lock()
        self.turn.acquire()


class Gathering:
    """Accepts emails for many threads at once. A request that finds nobody at work goes at once, and alone."""

    def __init__(
        self,
        units: Callable[[], IntakeWork],
        queue: DeliveryQueue,
        ids: Callable[[], UUID],
        rules: HouseRules = NO_RULES,
    ) -> None:
        self._units, self._queue, self._ids, self.rules = units, queue, ids, rules
        self._lock = threading.Lock()
        self._waiting: list[_Waiting] = []
        self._busy = False

    def accept(self, sender: Sender, drafts: Sequence[Draft], once: Once | None = None) -> Receipt:
        """Take emails over, all or none: when this returns they are committed.

        Raises domain.intake.Refused, KeyTaken, KeyInFlight or SenderGone, and domain.errors.StorageUnavailable:
        after that the caller cannot know, and asks again with the same key.
        """
        own = _Waiting(Handover(sender, drafts, once))
        with self._lock:
            self._waiting.append(own)
            leads, self._busy = not self._busy, True
        if not leads:
            own.turn.acquire()
        if own.result is None:
            self._lead(own)
        match own.result:
            case Receipt() as receipt:
                return receipt
            case Exception() as error:
                raise error
        raise AssertionError("a request that was led has a result")

    def _lead(self, own: _Waiting) -> None:
        """Carry groups through until the own request has its result, then pass the lead on."""
        try:
            while own.result is None:
                group = self._take()
                try:
                    self._settle(group)
                finally:
                    for member in group:
                        member.result = member.result or StorageUnavailable("the request was broken off")
                        if member is not own:
                            member.turn.release()
        finally:
            with self._lock:
                self._busy = bool(self._waiting)
                heir = self._waiting[0] if self._waiting else None
            if heir is not None:
                heir.turn.release()

    def _take(self) -> list[_Waiting]:
        with self._lock:
            size = count = 0
            for member in self._waiting:
                size += len(member.handover.drafts)
                if count and size > _MOST_EMAILS:
                    break
                count += 1
            group, self._waiting = self._waiting[:count], self._waiting[count:]
        return group

    def _settle(self, group: Sequence[_Waiting]) -> None:
        """Give every member its result. What spoils a group is looked for in each of its requests alone."""
        try:
            results = intake.accept(
                self._units, self._queue, self._ids, [m.handover for m in group], self.rules
            )
        except StorageUnavailable as error:
            for member in group:
                member.result = StorageUnavailable(str(error))
        except Exception as error:  # noqa: BLE001  # it becomes the answer of the request that caused it
            if len(group) == 1:
                group[0].result = error
            else:
                for member in group:
                    self._settle([member])
        else:
            for member, result in zip(group, results, strict=True):
                member.result = result
