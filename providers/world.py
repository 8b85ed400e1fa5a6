"""What an adapter is given of the world: time, patience and trust. Nothing of it is a setting of an account."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path

from domain.ports import Clock
from providers.reach import anywhere


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds. `connect` bounds reaching the provider (TCP, and TLS again), `read` each single wait for it,
    `total` the whole of one send, so that a provider that drips bytes cannot hold a thread.
    """

    connect: float = 5.0
    read: float = 10.0
    total: float = 30.0


@dataclass(frozen=True, slots=True)
class World:
    """`clock` serves durations; `wall_time` (aware) stamps what leaves the house, such as the Date header,
    and is never used to decide. `ca_file`: PEM certificates to trust beside the system's.
    `may_reach`: whether an account may be at an IP address.
    """

    clock: Clock
    wall_time: Callable[[], datetime]
    timeouts: Timeouts = Timeouts()
    ca_file: Path | None = None
    may_reach: Callable[[str], bool] = anywhere

    def trust(self, ca_pem: str | None = None) -> ssl.SSLContext:
        """A TLS context that verifies certificate and host name, with the system's trust and the extra ones.

        OpenSSL's SSL_CERT_FILE and SSL_CERT_DIR move the system's. Raises ssl.SSLError or OSError where an
        extra certificate cannot be read.
        """
        return _trusting(self.ca_file, ca_pem)


@lru_cache(maxsize=64)
def _trusting(ca_file: Path | None, ca_pem: str | None) -> ssl.SSLContext:
    """Shared, since reading the system's certificates takes 20 ms and a context may serve many threads."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca_file is not None:
        context.load_verify_locations(cafile=ca_file)
    if ca_pem:
        context.load_verify_locations(cadata=ca_pem)
    return context
