"""Idempotency keys: what requests, and entries of batches, were answered before, and are answered again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from domain.intake import (
    Accepted,
    Draft,
    Handover,
    KeyTaken,
    Memo,
    Objection,
    Once,
    Receipt,
    Refused,
    SenderGone,
)
from domain.ports import IntakeStore

Result = Receipt | Refused | KeyTaken | SenderGone

ENTRY_KEY = "idempotency_key"  # the field of an entry


@dataclass(slots=True)
class Book:
    """The keys of one group of requests, in its transaction."""

    store: IntakeStore
    now: datetime
    _kept: list[tuple[int, Memo]] = field(default_factory=list)

    def entries(
        self, handovers: Sequence[Handover], answers: Sequence[list[Accepted]]
    ) -> Sequence[Sequence[Objection]]:
        """Put the earlier answers in the places of entries that were accepted before.

        Returns, for each request, what is wrong with the keys of its entries.
        """
        wrong: list[list[Objection]] = [[] for _ in handovers]
        asked = [
            (place, at, draft, draft.once)
            for place, handover in enumerate(handovers)
            for at, draft in enumerate(handover.drafts)
            if draft.once is not None
        ]
        memos = [
            self._memo(handovers[place], once, [draft], [answers[place][at]])
            for place, at, draft, once in asked
        ]
        found = self.store.remember(memos) if memos else ()
        for (place, at, draft, once), memo, before in zip(asked, memos, found, strict=True):
            if before is None:
                self._kept.append((place, memo))
            elif isinstance(before, KeyTaken):
                said = f"the key {once.key!r} was used for another entry"
                wrong[place].append(Objection(draft.item, (ENTRY_KEY,), "reused", said))
            else:
                answers[place][at] = replace(before[0], item=draft.item, replayed=True)
        return wrong

    def requests(
        self,
        handovers: Sequence[Handover],
        answers: Sequence[Sequence[Accepted]],
        results: list[Result | None],
    ) -> None:
        """Put the earlier answers in the places of requests that were answered before, whatever could be said
        against them now. Keys of requests that are not accepted are free again.
        """
        asked = [
            (place, self._memo(handover, handover.once, handover.drafts, answers[place]))
            for place, handover in enumerate(handovers)
            if handover.once is not None and not isinstance(results[place], SenderGone)
        ]
        found = self.store.remember([memo for _, memo in asked]) if asked else ()
        for (place, memo), before in zip(asked, found, strict=True):
            if before is None:
                self._kept.append((place, memo))
            else:
                results[place] = (
                    before if isinstance(before, KeyTaken) else Receipt(tuple(before), replayed=True)
                )
        if vain := [memo for place, memo in self._kept if results[place] is not None]:
            self.store.forget(vain)

    def _memo(
        self, handover: Handover, once: Once, drafts: Sequence[Draft], answer: Sequence[Accepted]
    ) -> Memo:
        """A scheduled email's key outlives its sending: the caller may ask again until then."""
        last = max((draft.send_at for draft in drafts if draft.send_at is not None), default=self.now)
        keep = once.keep + max(last - self.now, timedelta())
        return Memo(handover.sender.user_id, replace(once, keep=keep), answer)
