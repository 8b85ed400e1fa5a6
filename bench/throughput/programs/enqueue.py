"""Hands N emails to the peer's tasks: `enqueue plain|stored|post N QUEUE`, as bench.throughput.measure.Held asks."""

from __future__ import annotations

import json
import sys

from bench.throughput.programs import peer


def main() -> None:
    how, count, queue = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    email = json.loads(sys.stdin.readline())
    if how == "stored":
        peer.database()
    with peer.app.producer_pool.acquire(block=True) as producer:
        print("ready", flush=True)
        sys.stdin.readline()
        for n in range(count):
            one = email | {"to": [f"u{n}@example.com"]}
            if how == "stored":
                peer.send_stored.apply_async((peer.insert(one),), producer=producer, queue=queue)
            else:
                task = peer.send_plain if how == "plain" else peer.post
                task.apply_async((one,), producer=producer, queue=queue)
    print("{}", flush=True)


if __name__ == "__main__":
    main()
