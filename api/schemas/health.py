"""The shape of what is known of a provider's health."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

from pydantic import Field

from api.fields import Out


class AtMailboxHost(Out):
    """Of the emails to one mailbox host, as far as its events tell."""

    mailbox_group: str
    delivered: float = Field(description="The share that is expected to be delivered now, 0 to 1.")
    sample: float = Field(description="How many events that rests on; old ones count less.")
    alarm: bool = Field(description="Emails to it get lost: they go elsewhere, but for probes.")


class HealthOut(Out):
    """What was learned of a provider, as the workers see it now."""

    provider_id: UUID
    state: Literal["well", "coming_back", "down", "paused", "faulty", "unknown"] = Field(
        description="`coming_back`: it gets a growing part of its emails. `down`: it gets probes only. `unknown`: "
        "nothing was learned yet, or nobody learns."
    )
    detail: str
    accepted: float | None = Field(description="The share of emails that it is expected to take.")
    rate_per_second: float | None = Field(description="What its refusals taught, or its quota says.")
    feed_down: bool = Field(description="Its events have stopped; nothing is judged by them.")
    mailbox_hosts: list[AtMailboxHost]
