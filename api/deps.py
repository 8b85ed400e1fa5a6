"""What the API is given: nothing here is made by the API itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from ipaddress import IPv4Network, IPv6Network
from threading import BoundedSemaphore
from typing import Any, Protocol
from uuid import UUID

from api.gathering import Gathering
from api.links import Signer
from api.metrics import Watch
from api.passwords import Passwords
from api.posts import Posts
from db.sealing import Sealer
from db.throttle import Turn
from db.uow import SqlUnitOfWork
from domain.files import BlobStore
from domain.ports import Clock, Provider, WebhookReceiver
from domain.sender_domains import Resolver
from domain.templates import Renderer
from providers.fetching import Fetched, FetchFailed
from routing.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request may ask for."""

    max_body_bytes: int = 10 * 1024 * 1024
    max_recipients: int = 1000
    max_attachments_bytes: int = 25_000_000
    plain_http: Sequence[str] = ()  # hosts beside this machine that accounts may be at without TLS
    idempotency_ttl: timedelta = timedelta(hours=72)
    render_seconds: float = 60.0  # for all templates of one request
    session_seconds: float = 8 * 3600.0
    trusted_proxies: Sequence[IPv4Network | IPv6Network] = ()  # whose X-Forwarded-For is believed


@dataclass(frozen=True, slots=True)
class Check:
    """One part's readiness. A part that is not `required` is reported, and does not make the service unready."""

    name: str
    ok: bool
    required: bool = True
    detail: str = ""


class BuildProvider(Protocol):
    def __call__(
        self,
        kind: str,
        name: str,
        config: Mapping[str, Any],
        credentials: Mapping[str, str],
        *,
        trusted: bool,
    ) -> Provider:
        """The adapter of an account; opens no connection. One that is not `trusted` reaches public hosts only."""
        ...


class BuildReceiver(Protocol):
    def __call__(
        self,
        kind: str,
        name: str,
        config: Mapping[str, Any],
        secrets: Sequence[Mapping[str, Any]],
        *,
        trusted: bool,
    ) -> WebhookReceiver | None:
        """The webhook of an account; None: its kind has none. Raises where settings or secrets cannot be used."""
        ...


class Confirm(Protocol):
    def __call__(self, provider: str, url: str) -> None:
        """GET an address by which a provider learns that its webhook may call. Raises ProviderError."""
        ...


class Fetch(Protocol):
    def __call__(self, urls: Sequence[str], most_bytes: int) -> Sequence[Fetched | FetchFailed]:
        """Files from https addresses, together within the time that a request has for them. Raises nothing."""
        ...


@dataclass(frozen=True, slots=True)
class Dependencies:
    """`ready` looks at every part each time it is called, and never raises.

    `board()`: the providers as the workers see them now, with what was learned of them. `heal()`: what was held against
    a provider goes.
    `exchange`: what one unit of a currency is worth in the one that prices are compared in.
    `replaying`: held while this process replays traffic, which is one at a time.
    `public_url`: the address under which providers reach the service; None: the one that a request names.
    """

    units: Callable[[], SqlUnitOfWork]
    gathering: Gathering
    ids: Callable[[], UUID]
    sealer: Sealer
    clock: Clock
    build_provider: BuildProvider
    posts: Posts
    build_receiver: BuildReceiver
    confirm: Confirm
    renderer: Renderer
    store: BlobStore
    fetch: Fetch
    resolver: Resolver
    links: Signer
    ready: Callable[[], list[Check]]
    limits: Limits = field(default_factory=Limits)
    public_url: str | None = None
    exchange: Mapping[str, Decimal] = field(default_factory=dict)
    board: Callable[[], Snapshot] = lambda: Snapshot(())
    heal: Callable[[UUID], None] = lambda _: None
    throttle: Callable[[UUID, int], Turn | None] = lambda *_: None
    watch: Watch = field(default_factory=Watch)
    replaying: BoundedSemaphore = field(default_factory=BoundedSemaphore)
    passwords: Passwords = field(default_factory=Passwords)
