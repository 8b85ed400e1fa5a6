"""The kinds of emails that are learned and planned together: whose, of which type, to which mailbox group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from routing.mailbox_groups import GROUPS
from routing.planner import Demand
from routing.snapshot import ProviderSnapshot, RuleSnapshot, Worths

MOST_OWNERS = 20  # whose private providers are planned with; of more, the shared ones alone


@dataclass(frozen=True, slots=True)
class Roster:
    """Providers and kinds, numbered."""

    providers: tuple[ProviderSnapshot, ...]
    worths: Worths
    rules: tuple[RuleSnapshot, ...] = ()
    demands: Sequence[Demand] = field(init=False)
    number: Mapping[UUID, int] = field(init=False)
    _first: Mapping[tuple[UUID | None, str], int] = field(init=False)

    def __post_init__(self) -> None:
        own = {p.owner for p in self.providers} | {owner for owner, _ in self.worths}
        owners = sorted(o for o in own if o is not None)
        demands: list[Demand] = []
        first: dict[tuple[UUID | None, str], int] = {}
        for owner in (None, *(owners if len(owners) <= MOST_OWNERS else ())):
            for name in sorted({name for o, name in self.worths if o in (None, owner)}):
                worth = self.worths.get((owner, name)) or self.worths[None, name]
                first[owner, name] = len(demands)
                allowed = self._allowed(owner, name)
                demands += [Demand(worth, group, allowed) for group in range(len(GROUPS))]
        for name, value in (
            ("demands", tuple(demands)),
            ("number", {p.id: k for k, p in enumerate(self.providers)}),
            ("_first", first),
        ):
            object.__setattr__(self, name, value)

    def kind(self, user: UUID, email_type: str, group: int) -> int | None:
        """The number of an email's kind; None: a type that is not known yet."""
        for place in ((user, email_type), (None, email_type), (None, "transactional")):
            if place in self._first:
                return self._first[place] + group
        return None

    def type_of(self, kind: int) -> tuple[UUID | None, str]:
        """Whose type, and which, a kind is of; None: everybody's."""
        first = kind - kind % len(GROUPS)
        return next(place for place, number in self._first.items() if number == first)

    def as_in(self, other: Roster) -> list[int | None]:
        """For each kind its number in another roster; None: it is not there."""
        return [
            None if (first := other._first.get(place)) is None else first + group
            for place in self._first
            for group in range(len(GROUPS))
        ]

    def _allowed(self, owner: UUID | None, email_type: str) -> tuple[bool, ...]:
        # A rule for some emails of a type leaves the others where they are: those are what is planned.
        fitting = [r for r in self.rules if r.whole and r.is_for(owner, email_type)]
        rule = min(fitting, key=lambda r: r.rank, default=None)
        return tuple(
            p.active
            and p.fault is None
            and p.owner in (None, owner)
            and (rule is None or p.id in rule.providers)
            and p.carries(owner, email_type)
            for p in self.providers
        )
