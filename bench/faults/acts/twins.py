"""Many requests at once with one idempotency key."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from uuid import uuid4

from bench.faults.fault import Fault
from bench.faults.load import an_email
from bench.faults.scene import Scene

_REQUESTS = 100


def one_key(scene: Scene) -> None:
    """100 requests with one key, half of them with another body: one email, and no answer but 202, 409 or 422."""
    number, key = f"k{scene.chance.getrandbits(48)}", str(uuid4())
    bodies = [json.dumps(an_email(number) | {"subject": subject}) for subject in ("One", "Other")]
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


FAULTS = (Fault("one-key", "100 requests at once with one idempotency key", one_key, 6),)
