"""docs/reference/statuses.md draws the statuses as the code has them: every way from one to the next, and no other."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import combinations_with_replacement
from pathlib import Path
from uuid import UUID

from domain.attempt import Outcome
from domain.events import BounceClass, DeliveryEvent, EventType, RejectReason
from domain.lifecycle import TERMINAL, TRANSITIONS, Status, fold

PAGE = (Path(__file__).parents[3] / "docs/reference/statuses.md").read_text()
ATTEMPT = UUID(int=1)


def drawn() -> set[tuple[str, str]]:
    picture = PAGE.partition("```mermaid")[2].partition("```")[0]
    return set(re.findall(r"^ +(\w+) --> (\w+)", picture, re.MULTILINE))


def by_delivery() -> set[tuple[str, str]]:
    """`scheduled` is a queued email whose time has not come: the picture leads from the one to the other."""
    ways = {(s.value, t.value) for (s, _), t in TRANSITIONS.items() if s is not t}
    return {(s, t) for s, t in ways if s != Status.SCHEDULED} | {
        (Status.SCHEDULED.value, Status.QUEUED.value)
    }


def kinds() -> Iterator[DeliveryEvent]:
    for kind in EventType:
        if kind is EventType.BOUNCED:
            yield from (DeliveryEvent(type=kind, bounce=b) for b in BounceClass)
        elif kind is EventType.REJECTED:
            yield from (DeliveryEvent(type=kind, reject_reason=r) for r in RejectReason)
        else:
            yield DeliveryEvent(type=kind)


def by_events() -> set[tuple[str, str]]:
    """What one more event makes of an email to one recipient, sent once, of whom up to two were told before."""

    def status(recorded: Outcome, told: tuple[DeliveryEvent, ...]) -> Status | None:
        standing = fold(["ada@x.example"], {ATTEMPT: recorded}, [(ATTEMPT, event) for event in told])
        in_doubt = standing.outcomes[ATTEMPT] is Outcome.UNKNOWN
        return standing.status or (Status.UNKNOWN if in_doubt else None)

    ways = set()
    for recorded in (Outcome.ACCEPTED, Outcome.UNKNOWN):
        for count in range(3):
            for told in combinations_with_replacement(list(kinds()), count):
                before = status(recorded, told)
                for event in kinds():
                    after = status(recorded, (*told, event))
                    if before is not None and after is not None and before is not after:
                        ways.add((before.value, after.value))
    return ways


def test_the_picture_has_every_way_and_no_other():
    assert drawn() == by_delivery() | by_events()


def test_the_table_names_every_status_and_says_which_are_final():
    table = PAGE.partition("## Status of an email")[2].partition("```mermaid")[0]
    rows = [row.split("|") for row in table.splitlines() if row.startswith("| `")]
    final = {name: row[3].strip() for row in rows for name in re.findall(r"`(\w+)`", row[1])}
    assert set(final) == {status.value for status in Status}
    for status in Status:
        said = final[status.value]
        if status in TERMINAL:
            assert said, status
        elif status not in (Status.SENT, Status.UNKNOWN):  # of which a provider or the time may say more
            assert not said, status
