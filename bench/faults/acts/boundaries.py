"""SIGKILL of the workers at each named boundary of an email's path, held open by a lock or by the provider's side."""

from __future__ import annotations

import time
from collections.abc import Callable

from bench.faults.fault import Fault
from bench.faults.load import until
from bench.faults.proxied import DEAREST, proxied
from bench.faults.proxy import Hold
from bench.faults.scene import WORKERS, Scene

_CLAIMED = "SELECT count(*) FROM email_queue WHERE run IS NOT NULL"
_OPEN = "SELECT count(*) FROM delivery_attempts WHERE outcome IS NULL"
_PATIENCE = 20.0
_TEXT = "A line of an email that is long enough to be cut in its middle.\n" * 4000  # 256 kB
_DOUBTFUL_AFTER = 30.0  # seconds from a death until what it left on the wire is shown as unknown


def _reach(scene: Scene, sql: str, boundary: str) -> None:
    if not until(lambda: scene.ledger.count(sql) > 0, _PATIENCE, 0.005):
        raise RuntimeError(f"no email came to the boundary: {boundary}")


def after_claim(scene: Scene) -> None:
    """The claim is committed; the ledger's first line waits for a lock."""
    with scene.ledger.locked("delivery_attempts"):
        _reach(scene, _CLAIMED, "after the claim")
        time.sleep(0.2)  # let it come to the lock
        scene.kill(*WORKERS)


def on_the_wire(scene: Scene) -> None:
    """The ledger's lines are committed, the provider has the emails and has not answered: whole windows at once."""
    with scene.slow(2.0):
        _reach(scene, _OPEN, "on the wire")
        time.sleep(scene.chance.uniform(0, 0.3))  # another moment each time
        scene.kill(*WORKERS)


def before_record(scene: Scene) -> None:
    """The provider has answered; the commit that records it waits for a lock."""
    with scene.slow(0.4):
        _reach(scene, _OPEN, "before the record")
        with scene.ledger.locked("delivery_attempts"):
            time.sleep(1.0)  # the answers come, and their record waits
            scene.kill(*WORKERS)


def held(hold: Hold, copies: int) -> Callable[[Scene], None]:
    """An email by each protocol, held at a byte; then the workers die. Each is unknown, received `copies` times."""

    def inject(scene: Scene) -> None:
        with proxied(scene, DEAREST) as accounts:  # so that only these emails go there
            for account in accounts:
                account.proxy.hold = hold
            emails = scene.client.send_together(
                {
                    f"b{scene.chance.getrandbits(48)}": {
                        "text": _TEXT,
                        "email_type": "transactional",
                        "routing": {"pinned": [account.name]},
                    }
                    for account in accounts
                }
            )
            missing = [account.kind for account in accounts if not account.proxy.held.wait(_PATIENCE)]
            scene.kill(*WORKERS)
            if missing:
                raise RuntimeError(f"no email came to the boundary by {', '.join(missing)}")
            _expect(scene, emails, copies)

    return inject


def _expect(scene: Scene, emails: list[str], copies: int) -> None:
    sql = "SELECT count(*) FROM email_jobs WHERE status = 'unknown' AND id = ANY(%s::uuid[])"
    if not until(lambda: scene.ledger.count(sql, emails) == len(emails), _DOUBTFUL_AFTER, 0.2):
        raise RuntimeError(f"not unknown {_DOUBTFUL_AFTER:g} s after the death: one of {emails}")
    arrived = [line.email_id for line in scene.received()]
    found = [arrived.count(email) for email in emails]
    if found != [copies] * len(emails):
        raise RuntimeError(f"received {found} times instead of {copies}: {emails}")


FAULTS = (
    Fault("kill-after-claim", "SIGKILL between the claim and the ledger", after_claim, 10),
    Fault("kill-after-ledger", "SIGKILL between the ledger and the wire", held(Hold(True, 0), 0), 26),
    Fault("kill-mid-email", "SIGKILL with half of an email on the wire", held(Hold(True, 128_000), 0), 26),
    Fault("kill-after-answer", "SIGKILL on the provider's last word", held(Hold(False, 256_000), 1), 26),
    Fault("kill-on-the-wire", "SIGKILL between the ledger and the provider's answer", on_the_wire, 10),
    Fault("kill-before-record", "SIGKILL between the answer and its record", before_record, 10),
)
