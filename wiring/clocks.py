"""What the workers' clocks say, left in Redis for whoever looks (`mailmux doctor`).

Nothing in the service goes by them; a clock that is wrong still spoils logs and the checking of certificates.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Mapping
from typing import Final, cast

import redis
from sqlalchemy import Connection, text

_KEY: Final = "mailmux:clocks"
_FORGOTTEN: Final = 300.0  # seconds by the database's clock, after which a host is not a worker's any more


def database_ahead(connection: Connection) -> tuple[float, float]:
    """The database's time (Unix seconds), and by how many seconds it is ahead of this machine's clock."""
    began = time.time()
    now = float(connection.execute(text("SELECT EXTRACT(epoch FROM clock_timestamp())")).scalar_one())
    return now, now - (began + time.time()) / 2


def report_clock(connection: Connection, client: redis.Redis) -> None:
    now, ahead = database_ahead(connection)
    client.hset(_KEY, socket.gethostname()[:255], json.dumps([now, round(ahead, 3)]))


def read_clocks(client: redis.Redis, now: float) -> Mapping[str, float]:
    """For each host with workers: by how many seconds the database's clock is ahead of its own."""
    found = {}
    for host, raw in cast("dict[bytes, bytes]", client.hgetall(_KEY)).items():
        seen, ahead = json.loads(raw)
        if now - seen < _FORGOTTEN:
            found[host.decode()] = float(ahead)
    return found
