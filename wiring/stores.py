"""The store of attachments: which one, and whether all processes use the same.

Every worker leaves in Redis which store it sees. The API is not ready while a worker sees another one: what the one
writes the other could not read.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Final, cast

import redis

from api.deps import Check, Fetch
from db.blobs.local import LocalStore
from db.blobs.s3 import Bucket, S3Store
from domain.files import BlobStore, FilesUnavailable
from domain.ports import Clock
from providers.fetching import Fetched, FetchFailed, fetch
from providers.reach import public_only
from providers.world import Timeouts, World
from wiring.settings import Settings
from wiring.settings.values import Network

_KEY: Final = "mailmux:store:"
_FORGOTTEN: Final = 30  # seconds after which a process is not a worker any more
_UNREADABLE: Final = "unreadable"
_FETCHERS: Final = 8  # files that one process fetches at once


def build_store(settings: Settings) -> BlobStore:
    """Opens no connection yet."""
    wanted = settings.attachments
    if wanted.bucket is None:
        return LocalStore((wanted.directory or settings.data_dir / "attachments").absolute())
    access = None
    if wanted.access_key_id is not None and wanted.secret_access_key is not None:
        access = wanted.access_key_id, wanted.secret_access_key.reveal()
    return S3Store(Bucket(wanted.bucket, wanted.endpoint, wanted.region, access, wanted.prefix))


def may_fetch_from(networks: tuple[Network, ...]) -> Callable[[str], bool]:
    """Whether files may be fetched from an IP address: the public internet, and what the operator names."""

    def admitted(address: str) -> bool:
        ip = ip_address(address.partition("%")[0])
        return any(ip in network for network in networks) or public_only(address)

    return admitted


def build_fetch(settings: Settings, clock: Clock) -> Fetch:
    """Fetches a request's files side by side, and gives up those that take longer than a request may wait."""
    wanted = settings.attachments
    world = World(
        clock=clock,
        wall_time=lambda: datetime.now(UTC),
        timeouts=Timeouts(wanted.fetch_seconds, wanted.fetch_seconds, wanted.fetch_seconds),
        may_reach=may_fetch_from(wanted.fetch_networks),
    )
    pool = ThreadPoolExecutor(_FETCHERS, thread_name_prefix="mailmux-fetch")

    def one(url: str, most_bytes: int) -> Fetched | FetchFailed:
        try:
            return fetch(url, world, most_bytes)
        except FetchFailed as failed:
            return failed

    def fetch_all(urls: Sequence[str], most_bytes: int) -> list[Fetched | FetchFailed]:
        begun = [pool.submit(one, url, most_bytes) for url in urls]
        # Looking a name up is in the system's hands, and may take longer than everything else.
        wait(begun, timeout=wanted.fetch_seconds)
        late = FetchFailed("timeout", "the server took too long: upload the file instead")
        answers = [future.result() if future.done() else late for future in begun]
        for future in begun:
            future.cancel()
        return answers

    return fetch_all


class StoreWatch:
    """Which store this process sees, asked for once as long as it answers."""

    def __init__(self, store: BlobStore, client: redis.Redis) -> None:
        self._store, self._client = store, client

    def report(self) -> None:
        """Leave for others what this worker sees. Raises redis.RedisError."""
        try:
            seen = self._store.identity()
        except FilesUnavailable:
            seen = _UNREADABLE
        self._client.set(f"{_KEY}{socket.gethostname()[:255]}:{os.getpid()}", seen, ex=_FORGOTTEN)

    def check(self) -> Check:
        """Whether this process can use the store, and every living worker the same one."""
        try:
            own = self._store.identity()
        except FilesUnavailable as error:
            return Check("attachments", ok=False, detail=str(error))
        others = self.seen_by_workers()
        wrong = sorted(name for name, seen in others.items() if seen != own)
        if wrong:
            return Check(
                "attachments",
                ok=False,
                detail=f"these workers see another store, or none: {', '.join(wrong)}",
            )
        return Check("attachments", ok=True)

    def seen_by_workers(self) -> dict[str, str]:
        """By process; nothing where Redis does not answer, which is told of elsewhere."""
        try:
            keys = [bytes(key) for key in self._client.scan_iter(f"{_KEY}*", count=1000)]
            values = cast("list[bytes | None]", self._client.mget(keys)) if keys else []
        except redis.RedisError:
            return {}
        found = zip(keys, values, strict=True)
        return {k.decode().removeprefix(_KEY): v.decode() for k, v in found if v is not None}
