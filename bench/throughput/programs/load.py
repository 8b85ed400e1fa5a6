"""Posts prebuilt requests over kept connections. Speaks as bench.throughput.measure.Held asks.

In: {host, path, headers, email, count, size, connections}. Each request carries `size` emails.
Out: {seconds, p50_ms, p99_ms, refused}.
"""

from __future__ import annotations

import http.client
import json
import sys
import threading
import time
from itertools import count as numbers
from typing import Any


def body(spec: dict[str, Any], first: int) -> bytes:
    """One email as it is, or a batch of `size` with the email's other fields as its defaults."""
    email = dict(spec["email"])
    if spec["size"] == 1:
        return json.dumps(email | {"to": [f"u{first}@example.com"]}).encode()
    entries = [{"to": [f"u{first + n}@example.com"]} for n in range(spec["size"])]
    return json.dumps({"defaults": email, "emails": entries}).encode()


def main() -> None:
    spec = json.loads(sys.stdin.readline())
    requests = [body(spec, first) for first in range(0, spec["count"], spec["size"])]
    turn, took, refused = numbers(), [], []

    def work() -> None:
        connection = http.client.HTTPConnection(spec["host"], timeout=60)
        while (place := next(turn)) < len(requests):
            began = time.perf_counter()
            connection.request("POST", spec["path"], requests[place], spec["headers"])
            answer = connection.getresponse()
            content = answer.read()
            took.append(time.perf_counter() - began)
            if answer.status != http.HTTPStatus.ACCEPTED:
                refused.append(f"{answer.status} {content[:200]!r}")
                return

    print("ready", flush=True)
    sys.stdin.readline()
    threads = [threading.Thread(target=work) for _ in range(spec["connections"])]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - began
    took.sort()
    print(
        json.dumps(
            {
                "seconds": seconds,
                "p50_ms": took[len(took) // 2] * 1000,
                "p99_ms": took[min(len(took) - 1, int(len(took) * 0.99))] * 1000,
                "refused": refused[:3],
            }
        ),
        flush=True,
    )


if __name__ == "__main__":
    main()
