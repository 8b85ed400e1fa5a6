"""The DNS, for looking at records of sender domains."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import dns.exception
import dns.resolver

from domain.sender_domains import ResolverAway

_SECONDS = 4.0  # for one look-up, with its repeats


class DNS:
    """domain.sender_domains.Resolver by dnspython. `servers`: `address` or `address:port`; none: the system's.

    Nothing is kept: whoever has just set a record wants to see it, as far as the resolvers let him.
    """

    def __init__(self, servers: Sequence[tuple[str, int]] = (), seconds: float = _SECONDS) -> None:
        self._servers, self._seconds = servers, seconds

    def look_up(self, name: str, type: str) -> Sequence[str]:
        try:
            answer = self._resolver().resolve(name, type, search=False, raise_on_no_answer=False)
        except dns.resolver.NXDOMAIN:
            return []
        except (dns.exception.DNSException, OSError) as error:
            raise ResolverAway(f"{type} {name}: {error.__class__.__name__}") from error
        return [_text(type, record) for record in answer]

    def _resolver(self) -> dns.resolver.Resolver:
        resolver = dns.resolver.Resolver(configure=not self._servers)
        if self._servers:
            resolver.nameservers = [address for address, _ in self._servers]
            resolver.nameserver_ports = dict(self._servers)
        resolver.lifetime, resolver.cache = self._seconds, None
        return resolver


def _text(type_: str, record: Any) -> str:
    if type_ == "TXT":
        return b"".join(record.strings).decode("utf-8", "replace")
    if type_ == "MX":
        return f"{record.preference} {_host(record.exchange)}"
    return _host(record.target) if type_ == "CNAME" else str(record)


def _host(name: Any) -> str:
    return str(name).rstrip(".").lower()
