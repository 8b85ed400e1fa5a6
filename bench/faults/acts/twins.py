"""One request that is made more than once: its Idempotency-Key must make one email of it."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from uuid import uuid4

from bench.faults.fault import Fault
from bench.faults.load import an_email
from bench.faults.proxy import Hold, Proxy
from bench.faults.scene import Scene

_REQUESTS = 100
_CALLERS = 8
_PATIENCE = 20.0


def one_key(scene: Scene) -> None:
    """100 requests with one key, half of them with another body: one email, and no answer but 202, 409 or 422."""
    number, key = f"k{scene.chance.getrandbits(48)}", str(uuid4())
    bodies = [json.dumps(an_email(number, subject=subject)) for subject in ("One", "Other")]
    headers = {
        "Authorization": f"Bearer {scene.key}",
        "Content-Type": "application/json",
        "Idempotency-Key": key,
    }

    def ask(place: int) -> tuple[int, str | None]:
        connection = HTTPConnection(scene.api_url.partition("//")[2], timeout=30)
        connection.request("POST", "/v1/emails", bodies[place % 2], headers)
        answer = connection.getresponse()
        found = json.loads(answer.read())
        connection.close()
        return answer.status, found.get("id")

    with ThreadPoolExecutor(20) as threads:
        answers = list(threads.map(ask, range(_REQUESTS)))
    ids = sorted({found for status, found in answers if status == 202 and found})
    strange = sorted({status for status, _ in answers} - {202, 409, 422})
    if len(ids) != 1 or strange:
        raise RuntimeError(f"one key made {len(ids)} emails; other answers: {strange}")
    scene.client.accepted[number].extend(ids)


def kill_api_after_commit(scene: Scene) -> None:
    """Hold answers of the API in a proxy, kill it, and let the callers ask again: each gets the email it had made."""
    host, _, port = scene.api_url.partition("//")[2].partition(":")
    proxy = Proxy((host, int(port)), scene.chance)
    numbers = [f"a{scene.chance.getrandbits(48)}" for _ in range(_CALLERS)]
    try:
        proxy.hold = Hold(to_provider=False, after=1)
        with ThreadPoolExecutor(_CALLERS) as threads:
            asked = [threads.submit(scene.client.send, n, f"127.0.0.1:{proxy.port}") for n in numbers]
            reached = proxy.held.wait(_PATIENCE)
            time.sleep(0.3)  # let those that are behind it commit too
            made = scene.ledger.count(_MADE, numbers)
            scene.kill("api")
            proxy.hold = None
            proxy.cut()
            for one in asked:
                one.result()
    finally:
        proxy.close()
    if not reached or not made:
        raise RuntimeError("no request came to the boundary")
    if (now := scene.ledger.count(_MADE, numbers)) != len(numbers):
        raise RuntimeError(f"{len(numbers)} requests made {now} emails: {numbers}")


_MADE = "SELECT count(*) FROM email_jobs WHERE metadata->>'number' = ANY(%s)"

FAULTS = (
    Fault(
        "kill-api-after-commit",
        "SIGKILL of the API between a commit and its answer",
        kill_api_after_commit,
        8,
    ),
    Fault("one-key", "100 requests at once with one idempotency key", one_key, 6),
)
