"""The API on a real database, asked through Flask's test client; what it rings and builds is remembered."""

from __future__ import annotations

import random
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from flask import Flask, Response, request
from sqlalchemy import Connection, Engine, event, text
from werkzeug.test import TestResponse

from api import keys
from api.app import create_app
from api.deps import Check, Dependencies, Limits
from api.gathering import Gathering
from api.links import Signer
from api.posts import Posts
from db.blobs.local import LocalStore
from db.sealing import Sealer
from db.uow import SqlUnitOfWork, open_engine
from domain.capabilities import Capabilities
from domain.checkup import Checkup
from domain.errors import ProviderError
from domain.intake import HouseRules
from domain.message import Lane
from domain.ports import Provider, WebhookReceiver
from domain.suppression import Cause, Listed, ListPage
from providers import registry
from providers.fetching import Fetched, FetchFailed
from providers.world import World as ProvidersWorld
from routing.snapshot import Snapshot
from tests.zone import Zone
from wiring.bootstrap import new_id
from wiring.rendering.pool import RendererPool
from workers.fleet import known, left_of


class FixedClock:
    """Time moves only by sleeping."""

    def __init__(self) -> None:
        self.chance = random.Random(1)
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@dataclass
class Bell:
    """Remembers the rings; `broken` makes it break its word."""

    rings: list[Lane] = field(default_factory=list)
    broken: bool = False

    def ring_events(self) -> None:
        pass

    def ring(self, lane: Lane) -> None:
        if self.broken:
            raise ConnectionError("no broker")
        self.rings.append(lane)


@dataclass
class CheckedProvider:
    """A provider whose check ends as `error` says; sends nothing."""

    error: ProviderError | None = None
    tells: Checkup = Checkup()
    capabilities: Capabilities = Capabilities()

    def suppressions(self, cursor: str | None) -> ListPage:
        """Two pages."""
        if cursor not in (None, "2"):
            raise ValueError(cursor)
        person = Listed(f"left{cursor or 1}@example.net", "all", Cause.HARD_BOUNCE, "on the list of memory")
        return ListPage([person], "2" if cursor is None else None)

    def send(self, *_: object) -> Any:
        raise AssertionError("the API sends nothing by itself")

    def check(self) -> Checkup:
        if self.error is not None:
            raise self.error
        return self.tells

    def close(self) -> None:
        pass


@dataclass
class World:
    """What a test may look into and turn."""

    app: Flask
    engine: Engine
    deps: Dependencies
    bell: Bell
    built: list[tuple[str, str, Mapping[str, Any], Mapping[str, str]]]
    check_error: list[ProviderError]
    check_tells: list[Checkup]
    confirmed: list[tuple[str, str]]
    zone: Zone
    undocumented: set[str]

    def close(self) -> None:
        """Whatever a test has asked, the document named the answer."""
        self.engine.dispose()
        assert isinstance(self.deps.renderer, RendererPool)
        self.deps.renderer.close()
        assert not self.undocumented
        assert isinstance(self.deps.store, LocalStore)
        shutil.rmtree(self.deps.store.root, ignore_errors=True)

    def sql(self, statement: str, **values: Any) -> Sequence[Any]:
        with self.engine.begin() as connection:
            result = connection.execute(text(statement), values)
            return result.all() if result.returns_rows else []

    def forget(self) -> None:
        """As if nothing had been rung or built, and nothing were broken."""
        self.bell.rings.clear()
        self.bell.broken = False
        self.built.clear()
        self.check_error.clear()
        self.check_tells.clear()

    def count(self, table: str, owner: Caller) -> int:
        """The rows of one user."""
        found = self.sql(f"SELECT count(*) FROM {table} WHERE user_id = :id", id=owner.user_id)
        return int(found[0][0])

    @contextmanager
    def later(self, interval: str) -> Iterator[None]:
        """The database's clock is ahead."""
        now = "CREATE OR REPLACE FUNCTION mm_now() RETURNS timestamptz LANGUAGE sql STABLE AS $$ SELECT {} $$"
        self.sql(now.format(f"statement_timestamp() + interval '{interval}'"))
        yield
        self.sql(now.format("statement_timestamp()"))

    @contextmanager
    def locked(self, table: str) -> Iterator[None]:
        """Another transaction holds the table, and nobody waits long for it."""
        with self.engine.connect() as connection:
            connection.execute(text(f"LOCK TABLE {table}"))
            event.listen(self.engine, "begin", _hurry)
            yield
            event.remove(self.engine, "begin", _hurry)
            connection.rollback()

    def user(self, role: str = "member", scopes: Sequence[str] = keys.SCOPES) -> Caller:
        """A new user with a key."""
        user_id = new_id()
        with self.deps.units() as unit:
            unit.accounts.add_user(user_id, f"{user_id}@example.com", "x", role)
            unit.commit()
        return self.key(user_id, scopes)

    def key(
        self, user_id: UUID, scopes: Sequence[str] = keys.SCOPES, lifetime: float | None = None
    ) -> Caller:
        key, key_id = keys.mint(), new_id()
        with self.deps.units() as unit:
            unit.accounts.add_key(key_id, user_id, key.public_id, key.hash, scopes, lifetime=lifetime)
            unit.commit()
        return Caller(self.app, user_id, key.public_id, key.reveal())

    def with_limits(self, **limits: Any) -> Flask:
        """Another application on the same database, with other limits."""
        return create_app(replace(self.deps, limits=Limits(**limits)))


@dataclass
class Caller:
    """Somebody with a key."""

    app: Flask
    user_id: UUID
    public_id: str
    key: str

    def provider(self, name: str, **changes: Any) -> UUID:
        """A provider of this caller; operators make it for all."""
        body = {"name": name, "kind": "memory", "base_cost": "0.0004", **changes}
        answer = self.post("/v1/providers", body)
        assert answer.status_code == 201, answer.text
        return UUID(answer.get_json()["id"])

    def signed_in(self, scopes: Sequence[str] = keys.SCOPES) -> Caller:
        """The same user with a session."""
        deps, token, session_id = self.app.extensions["mailmux"], keys.mint(keys.SESSION), new_id()
        with deps.units() as unit:
            unit.sessions.open(
                session_id, self.user_id, token.public_id, token.hash, scopes,
                lifetime=3600, name="tests", came_from=None,
            )  # fmt: skip
            unit.commit()
        return Caller(self.app, self.user_id, token.public_id, token.reveal())

    def has_password(self, password: str) -> str:
        """Give the user a password; returns the address to sign in with."""
        deps = self.app.extensions["mailmux"]
        with deps.units() as unit:
            person = unit.sessions.person_of(self.user_id)
            assert unit.sessions.set_password(person, deps.passwords.hash(password))
            unit.commit()
        return str(person.email)

    def ask(self, method: str, path: str, **options: Any) -> TestResponse:
        headers = {"Authorization": f"Bearer {self.key}", **options.pop("headers", {})}
        return self.app.test_client().open(path, method=method, headers=headers, **options)

    def get(self, path: str, **options: Any) -> TestResponse:
        return self.ask("GET", path, **options)

    def post(self, path: str, json: Any = None, **options: Any) -> TestResponse:
        return self.ask("POST", path, json=json, **options)

    def patch(self, path: str, json: Any = None, **options: Any) -> TestResponse:
        return self.ask("PATCH", path, json=json, **options)

    def put(self, path: str, json: Any = None, **options: Any) -> TestResponse:
        return self.ask("PUT", path, json=json, **options)

    def delete(self, path: str, **options: Any) -> TestResponse:
        return self.ask("DELETE", path, **options)


def make_world(database_url: str, ready: Callable[[], list[Check]] | None = None) -> World:
    engine = open_engine(database_url, pool_size=20)
    bell = Bell()
    built: list[tuple[str, str, Mapping[str, Any], Mapping[str, str]]] = []
    check_error: list[ProviderError] = []
    check_tells: list[Checkup] = []
    confirmed: list[tuple[str, str]] = []

    def build(
        kind: str, name: str, config: Mapping[str, Any], credentials: Mapping[str, str], *, trusted: bool
    ) -> Provider:
        assert isinstance(trusted, bool)
        built.append((kind, name, config, credentials))
        return CheckedProvider(
            check_error[-1] if check_error else None, check_tells[-1] if check_tells else Checkup()
        )

    def receive(
        kind: str,
        name: str,
        config: Mapping[str, Any],
        secrets: Sequence[Mapping[str, Any]],
        *,
        trusted: bool,
    ) -> WebhookReceiver | None:
        checked = registry.kind(kind).Config.model_validate(dict(config))
        timeless = ProvidersWorld(clock=FixedClock(), wall_time=lambda: datetime.now(UTC))
        return registry.receiver(kind, name, checked, secrets, timeless)

    store = LocalStore(Path(tempfile.mkdtemp(prefix="mailmux-files-")))

    def fetched(url: str, most: int) -> Fetched | FetchFailed:
        return FetchFailed("not_public", "the host is not at a public address")

    resolver = Zone()

    def units() -> SqlUnitOfWork:
        return SqlUnitOfWork(engine)

    def board() -> Snapshot:
        """The providers as they are configured: no worker runs, and nobody learns."""
        with units() as unit:
            rows, spending = unit.routes.providers(), unit.budgets.spending()
        return Snapshot(
            tuple(known(row, {}) for row in rows),
            budgets=tuple(left_of(budget, {}) for budget in spending.budgets),
            at_budget=spending.at_budget,
        )

    deps = Dependencies(
        units=units,
        gathering=Gathering(units, bell, new_id, HouseRules("https://mail.example.com")),
        ids=new_id,
        sealer=Sealer({"k1": b"1" * 32}, "k1"),
        clock=FixedClock(),
        build_provider=build,
        posts=Posts(units, bell),
        build_receiver=receive,
        confirm=lambda provider, url: confirmed.append((provider, url)),
        renderer=RendererPool(1),
        store=store,
        fetch=lambda urls, most: [fetched(url, most) for url in urls],
        resolver=resolver,
        links=Signer({"k1": b"1" * 32}, "k1"),
        ready=ready or (lambda: [Check("postgres", ok=True)]),
        board=board,
    )
    app = create_app(deps)
    return World(
        app, engine, deps, bell, built, check_error, check_tells, confirmed, resolver, _held_to_document(app)
    )


def _held_to_document(app: Flask) -> set[str]:
    """Filled with answers that the OpenAPI document of the application does not name."""
    found: set[str] = set()
    paths = app.extensions["mailmux.document"]["paths"]

    @app.after_request
    def look(response: Response) -> Response:
        path = re.sub(r"<(?:[^<>:]+:)?([^<>]+)>", r"{\1}", request.url_rule.rule if request.url_rule else "")
        operation = paths.get(path, {}).get(request.method.lower())
        if operation is not None:
            named = operation["responses"].get(str(response.status_code), {"content": {}})
            if (
                not {response.mimetype, "*/*"}
                & named.get("content", {"": None, response.mimetype: None}).keys()
            ):
                found.add(f"{request.method} {path}: {response.status_code} {response.mimetype}")
        return response

    return found


EMAIL: dict[str, Any] = {
    "from": "Shop <shop@example.com>",
    "to": ["Ada Lovelace <ada@example.org>"],
    "subject": "Your order",
    "text": "It is on its way.",
}


def _hurry(connection: Connection) -> None:
    connection.exec_driver_sql("SET LOCAL statement_timeout = '300ms'")


def fields(answer: TestResponse) -> set[str]:
    """What a problem says is wrong: pointers, parameters and headers."""
    errors = answer.get_json().get("errors", ())
    return {e.get("pointer", e.get("parameter", e.get("header"))) for e in errors}
