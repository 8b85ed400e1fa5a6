"""Builders of values: each gives something valid, with what the test says about it."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import uuid_utils.compat as uuid_utils

from domain.attempt import Attempt, Outcome
from domain.capabilities import Capabilities
from domain.message import (
    Address,
    Envelope,
    Lane,
    Message,
    OnUnknown,
    Recipient,
    RecipientKind,
    Submission,
)
from routing.policy import Case
from routing.snapshot import ProviderSnapshot, RuleSnapshot, Snapshot

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
USER = UUID("01900000-0000-7000-8000-00000000aaaa")


def new_id() -> UUID:
    return uuid_utils.uuid7()


def a_submission(
    *,
    to: tuple[str, ...] = ("ada@example.com",),
    sender: str = "hello@shop.example",
    text: str | None = "Hello",
    subject: str = "Hello",
    user_id: UUID = USER,
    **more: Any,
) -> Submission:
    message = more.pop("message", None) or Message(subject=subject, text=text)
    return Submission(
        id=more.pop("id", None) or new_id(),
        user_id=user_id,
        message=message,
        envelope=Envelope(Address(sender), tuple(Recipient(Address(a), RecipientKind.TO) for a in to)),
        email_type=more.pop("email_type", "transactional"),
        lane=more.pop("lane", Lane.TRANSACTIONAL),
        **more,
    )


def a_provider(name: str = "one", cost: str = "0.0004", **more: Any) -> ProviderSnapshot:
    return ProviderSnapshot(
        id=more.pop("id", None) or new_id(),
        name=name,
        capabilities=more.pop("capabilities", Capabilities()),
        base_cost=Decimal(cost),
        **more,
    )


def a_rule(*providers: ProviderSnapshot, email_type: str = "transactional", **more: Any) -> RuleSnapshot:
    return RuleSnapshot(
        id=more.pop("id", None) or new_id(),
        email_type=email_type,
        providers=tuple(p.id for p in providers),
        **more,
    )


def a_snapshot(*providers: ProviderSnapshot, rules: tuple[RuleSnapshot, ...] = ()) -> Snapshot:
    return Snapshot(providers, rules)


def an_attempt(
    provider: ProviderSnapshot,
    outcome: Outcome | None = Outcome.NOT_SENT,
    round: int = 0,
    error: str | None = None,
) -> Attempt:
    return Attempt(new_id(), new_id(), provider.id, provider.name, round, outcome, error)


def a_case(**more: Any) -> Case:
    defaults: dict[str, Any] = {
        "accepted_at": NOW,
        "round": 0,
        "on_unknown": OnUnknown.HOLD,
        "attempts": (),
    }
    return Case(**(defaults | more))


def chance(seed: int = 1) -> random.Random:
    return random.Random(seed)
