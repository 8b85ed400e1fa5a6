"""Providers' webhooks that come before the send is recorded, again and again, in any order, and from nobody."""

from __future__ import annotations

from collections import Counter
from typing import Any

from bench.faults.fault import Fault
from bench.faults.load import until
from bench.faults.scene import CHEAP, Scene

_STORIES = {"late-bounce": "bounced", "delivered": "delivered", "complaint": "complained", "deferred": "sent"}
_OF_EACH = 6
_PATIENCE = 60.0
_LONG_AGO = 30 * 3600  # seconds; SendGrid's signatures hold for 25 hours


def tell_of_emails(scene: Scene) -> None:
    """Emails whose provider tells of them before it answers, then all of it three times in any order, and forged."""
    number = f"w{scene.chance.getrandbits(48)}"
    stories = [(f"{number}-{story}-{i}", story) for story in _STORIES for i in range(_OF_EACH)]
    emails = {n: magic(story, n) for n, story in stories}
    with scene.slow(1.0):
        ids = scene.client.send_together(emails)
        wanted = {email_id: _STORIES[story] for email_id, (_, story) in zip(ids, stories, strict=True)}
        if not until(lambda: _fates(scene, ids)[0] == wanted, _PATIENCE, 0.2):
            raise RuntimeError(f"what was told is not what is shown: {_differ(scene, wanted)}")
    before = _fates(scene, ids)
    answers: Counter[tuple[str, int]] = Counter()
    for email_id in ids:
        for how in ({"times": 3, "shuffle": True}, {"forged": True}, {"age": _LONG_AGO}):
            statuses = scene.tell_again(email_id, **how)
            answers.update((next(iter(how)), status) for status in statuses)
    if set(answers) != {("times", 200), ("forged", 401), ("age", 401)}:
        raise RuntimeError(f"the webhook answered {dict(answers)}")
    scene.relieve()
    if (
        not until(lambda: not scene.ledger.count(_WAITING, ids), _PATIENCE, 0.2)
        or _fates(scene, ids) != before
    ):
        raise RuntimeError(f"repeats changed something: {_differ(scene, wanted)}")


def magic(story: str, number: str) -> dict[str, Any]:
    """An email of which the sandbox's SendGrid tells that story."""
    return {"to": [f"{story}+{number}@example.com"], "routing": {"pinned": [CHEAP]}}


def _fates(scene: Scene, ids: list[str]) -> tuple[dict[str, str], int, int]:
    """The emails' statuses, and how many lines their timelines have, and events."""
    statuses = scene.ledger.query("SELECT id, status FROM email_jobs WHERE id = ANY(%s::uuid[])", ids)
    lines = scene.ledger.count("SELECT count(*) FROM email_status WHERE email_job_id = ANY(%s::uuid[])", ids)
    events = scene.ledger.count("SELECT count(*) FROM inbound_events WHERE job_id = ANY(%s::uuid[])", ids)
    return {str(i): status for i, status in statuses}, lines, events


def _differ(scene: Scene, wanted: dict[str, str]) -> dict[str, tuple[str, str]]:
    found = _fates(scene, list(wanted))[0]
    return {i: (found[i], status) for i, status in wanted.items() if found[i] != status}


_WAITING = """
    SELECT count(*) FROM inbound_events e JOIN delivery_attempts a ON a.id = e.attempt_id
    WHERE e.state = 'waiting' AND a.job_id = ANY(%s::uuid[])
"""

FAULTS = (Fault("webhooks", "webhooks early, repeated, shuffled, forged and replayed", tell_of_emails, 12),)
