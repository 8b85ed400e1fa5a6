"""Finding out who runs the mailboxes of the domains that are written to, aside from the way of the emails.

A decision never waits for the DNS: a domain that is not known yet counts as of no known host, and is looked up by a
thread of its own. What one process has found the others read from the database.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Protocol

from domain.errors import StorageUnavailable
from domain.ports import Log
from domain.sender_domains import Resolver, ResolverAway
from routing.mailbox_groups import HOSTS, MailboxHosts, group_of

EVERY = 1.0  # seconds between looks at what is wanted
AT_ONCE = 50  # domains that are looked up in one step
_THREADS = 5


class Directory(Protocol):
    """db.repositories.mailbox_hosts.MailboxHosts."""

    def known(self, domains: Sequence[str]) -> Mapping[str, str]: ...

    def keep(self, groups: Mapping[str, str]) -> None: ...


class Unit(Protocol):
    @property
    def mailbox_hosts(self) -> Directory: ...

    def commit(self) -> None: ...


class HostFinder:
    """Call `start()` after the fork, and `stop()` at the end."""

    def __init__(
        self,
        units: Callable[[], AbstractContextManager[Unit]],
        resolver: Resolver,
        log: Log,
        hosts: MailboxHosts = HOSTS,
    ) -> None:
        self._units, self._resolver, self._log, self._hosts = units, resolver, log, hosts
        self._stopping = threading.Event()
        self._waiting: dict[str, None] = {}

    def start(self) -> None:
        threading.Thread(target=self._serve, name="mailmux-mailbox-hosts", daemon=True).start()

    def stop(self) -> None:
        self._stopping.set()

    def step(self) -> int:
        """Find out about some of the domains that are wanted; returns how many are left for later."""
        self._waiting.update(dict.fromkeys(sorted(self._hosts.wanted())))
        turn = list(self._waiting)[:AT_ONCE]
        if not turn:
            return 0
        with self._units() as unit:
            known = unit.mailbox_hosts.known(turn)
        self._hosts.learn(known)
        found = self._look_up([domain for domain in turn if domain not in known])
        if found:
            with self._units() as unit:
                unit.mailbox_hosts.keep(found)
                unit.commit()
            self._hosts.learn(found)
        for domain in turn:  # one that the DNS does not tell of now is wanted again by its next email
            del self._waiting[domain]
        return len(self._waiting)

    def _look_up(self, domains: Sequence[str]) -> Mapping[str, str]:
        if not domains:
            return {}
        with ThreadPoolExecutor(min(_THREADS, len(domains))) as pool:
            answers = list(pool.map(self._exchangers, domains))
        return {d: group_of(d, mx) for d, mx in zip(domains, answers, strict=True) if mx is not None}

    def _exchangers(self, domain: str) -> Sequence[str] | None:
        """The most preferred first (RFC 5321, 5.1). None: the DNS does not answer."""
        try:
            records = [record.split(" ", 1) for record in self._resolver.look_up(domain, "MX")]
        except ResolverAway:
            return None
        return [host for _, host in sorted((int(preference), host) for preference, host in records)]

    def _serve(self) -> None:
        while not self._stopping.wait(EVERY):
            try:
                while self.step() and not self._stopping.is_set():
                    pass
            except StorageUnavailable as error:
                self._log.warning("mailbox_hosts_not_read", error=type(error).__name__)
