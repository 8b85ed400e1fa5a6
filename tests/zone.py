"""A zone of the DNS: in memory, or served on the loopback address."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import dns.flags
import dns.message
import dns.rcode
import dns.rrset

from domain.sender_domains import ResolverAway


class Zone:
    """domain.sender_domains.Resolver on what a test wrote down. `away`: nobody answers."""

    def __init__(self) -> None:
        self.records: dict[tuple[str, str], list[str]] = {}
        self.away, self.asked = False, 0

    def add(self, name: str, type: str, *values: str) -> None:
        self.records.setdefault((name, type), []).extend(values)

    def remove(self, name: str, type: str) -> None:
        del self.records[name, type]

    def look_up(self, name: str, type: str) -> Sequence[str]:
        self.asked += 1
        if self.away:
            raise ResolverAway(name)
        return self.records.get((name, type), [])


@contextmanager
def served(zone: Zone) -> Iterator[tuple[str, int]]:
    """The zone on UDP; gives address and port. Silent while the zone is `away`; `broken.` names fail."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(0.1)
        ended = threading.Event()

        def serve() -> None:
            while not ended.is_set():
                try:
                    asked, sender = sock.recvfrom(4096)
                except TimeoutError:
                    continue
                if not zone.away:
                    sock.sendto(_answer(zone, dns.message.from_wire(asked)), sender)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield "127.0.0.1", sock.getsockname()[1]
        finally:
            ended.set()
            thread.join()


def _answer(zone: Zone, query: dns.message.Message) -> bytes:
    (question,) = query.question
    name = question.name.to_text(omit_final_dot=True).lower()
    type_ = question.rdtype.name
    response = dns.message.make_response(query)
    response.flags |= dns.flags.RA
    if name.startswith("broken."):
        response.set_rcode(dns.rcode.SERVFAIL)
        return response.to_wire()
    if found := zone.records.get((name, type_)):
        values = [f'"{value}"' if type_ == "TXT" and not value.startswith('"') else value for value in found]
        response.answer.append(dns.rrset.from_text(question.name, 60, "IN", type_, *values))
    elif not any(known == name for known, _ in zone.records):
        response.set_rcode(dns.rcode.NXDOMAIN)
    return response.to_wire()
