"""Calls the webhook at a fixed rate from prepared bodies, in a process of its own: `python -m bench.webhooks.calls`.

In, as one line of JSON: {host, path, calls: [{headers, body}], rate, connections}. Out: {seconds, latencies_ms,
statuses}. A latency counts from when the call was due, so that a slow answer is not hidden by calls not made meanwhile.
"""

from __future__ import annotations

import http.client
import json
import sys
import threading
import time
from collections import Counter
from itertools import count


def main() -> None:
    spec = json.loads(sys.stdin.readline())
    calls = [(call["body"].encode(), call["headers"]) for call in spec["calls"]]
    turn, latencies, statuses = count(), [], Counter[int]()
    lock = threading.Lock()
    began = time.perf_counter() + 0.5

    def work() -> None:
        connection = http.client.HTTPConnection(spec["host"], timeout=30)
        connection.connect()
        while (place := next(turn)) < len(calls):
            due = began + place / spec["rate"]
            time.sleep(max(0.0, due - time.perf_counter()))
            body, headers = calls[place]
            connection.request("POST", spec["path"], body, headers)
            answer = connection.getresponse()
            answer.read()
            took = time.perf_counter() - due
            with lock:
                latencies.append(took * 1000)
                statuses[answer.status] += 1
        connection.close()

    threads = [threading.Thread(target=work) for _ in range(spec["connections"])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = {"seconds": time.perf_counter() - began, "latencies_ms": sorted(latencies), "statuses": statuses}
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
