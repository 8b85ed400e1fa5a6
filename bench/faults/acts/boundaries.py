"""SIGKILL of the workers at each named boundary of an email's path, held open by a lock or a slow provider."""

from __future__ import annotations

import time

from bench.faults.fault import Fault
from bench.faults.load import until
from bench.faults.scene import CHEAP, SMTP, WORKERS, Scene

_CLAIMED = "SELECT count(*) FROM email_queue WHERE run IS NOT NULL"
_OPEN = "SELECT count(*) FROM delivery_attempts WHERE outcome IS NULL"
_PATIENCE = 8.0


def _reach(scene: Scene, sql: str, boundary: str) -> None:
    if not until(lambda: int(scene.query(sql)[0][0]) > 0, _PATIENCE, 0.005):
        raise RuntimeError(f"no email came to the boundary: {boundary}")


def after_claim(scene: Scene) -> None:
    """The claim is committed; the ledger's first line waits for a lock."""
    with scene.locked("delivery_attempts"):
        _reach(scene, _CLAIMED, "after the claim")
        time.sleep(0.2)
        scene.kill(*WORKERS)


def on_the_wire(scene: Scene) -> None:
    """The ledger's lines are committed, the provider has the email or part of it, and has not answered."""
    for provider in (CHEAP, SMTP):
        scene.fail(provider, "slow", delay=2.0)
    try:
        _reach(scene, _OPEN, "on the wire")
        time.sleep(scene.chance.uniform(0, 0.3))
        scene.kill(*WORKERS)
    finally:
        for provider in (CHEAP, SMTP):
            scene.heal(provider)


def before_record(scene: Scene) -> None:
    """The provider has answered; the commit that records it waits for a lock."""
    for provider in (CHEAP, SMTP):
        scene.fail(provider, "slow", delay=0.4)
    try:
        _reach(scene, _OPEN, "before the record")
        with scene.locked("delivery_attempts"):
            time.sleep(1.0)  # the answers come, and their record waits
            scene.kill(*WORKERS)
    finally:
        for provider in (CHEAP, SMTP):
            scene.heal(provider)


FAULTS = (
    Fault("kill-after-claim", "SIGKILL between the claim and the ledger", after_claim, 22),
    Fault("kill-on-the-wire", "SIGKILL between the ledger and the provider's answer", on_the_wire, 24),
    Fault("kill-before-record", "SIGKILL between the answer and its record", before_record, 24),
)
