"""Whether an installation is well: each check says what it found, and what to do where that is not well."""

from __future__ import annotations

import platform
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, version
from typing import Final, cast
from uuid import UUID

import redis
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import SQLAlchemyError

from db.repositories.census import take_census
from db.repositories.routes import ProviderRow, Routes
from db.repositories.sealed import SealedTexts
from db.repositories.webhooks import Webhooks
from db.sealing import SealBroken, UnknownKey
from db.uow import open_engine
from domain.errors import ProviderError
from domain.message import Lane
from wiring.bootstrap import Foundry, SystemClock, build_rota, build_sealer
from wiring.clocks import database_ahead, read_clocks
from wiring.migrate import migrations_folder
from wiring.settings import Settings
from workers.queue import duty_queue
from workers.upkeep import LATE_FACTOR, LATE_SECONDS

_PINNED: Final = {"celery": "5.6.3", "kombu": "5.6.2"}  # others lose workers when Redis restarts (ADR 4)
_OLDEST_PYTHON: Final = (3, 11)
_OLDEST_POSTGRES: Final = 140_000
_OLDEST_REDIS: Final = (6, 2)
_CLOCKS_APART: Final = 2.0  # seconds
_WAITED_LONG: Final = 60.0  # seconds that a due email may wait
_NAMED: Final = 10  # disabled webhooks that are told by name
_SHOWN: Final = 5  # secrets that cannot be opened, by name
_DISK_LOW: Final = (0.10, 2 << 30)  # the share and the bytes that should be free
_DISK_OUT: Final = (0.02, 256 << 20)


class State(StrEnum):
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """`advice` is empty where all is well."""

    check: str
    state: State
    detail: str
    advice: str = ""


def ok(check: str, detail: str) -> Finding:
    return Finding(check, State.OK, detail)


def warn(check: str, detail: str, advice: str) -> Finding:
    return Finding(check, State.WARN, detail, advice)


def fail(check: str, detail: str, advice: str) -> Finding:
    return Finding(check, State.FAIL, detail, advice)


def examine(settings: Settings, *, providers: bool = True) -> Iterator[Finding]:
    """All checks, in order. One that cannot be made says so; none raises. `providers`: sign in at each of them."""
    yield from _versions()
    yield _disk(settings)
    client = redis.Redis.from_url(settings.redis_url.reveal(), socket_timeout=3, socket_connect_timeout=3)
    engine = open_engine(
        settings.database_url.reveal(), pool_size=1, application="mailmux-doctor", deadline=15.0
    )
    try:
        yield from _guarded("redis", "REDIS_URL", lambda: _redis(client))
        yield from _guarded(
            "postgres", "DATABASE_URL", lambda: _database(settings, engine, client, providers)
        )
    finally:
        engine.dispose()
        client.close()


def _guarded(check: str, variable: str, look: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    try:
        yield from look()
    except (SQLAlchemyError, redis.RedisError) as error:
        reason = str(getattr(error, "orig", None) or type(error).__name__).strip().partition("\n")[0]
        yield fail(check, f"it does not answer: {reason}", f"Start it, or correct {variable}.")


def _versions() -> Iterator[Finding]:
    found = f"Python {platform.python_version()}"
    if sys.version_info < _OLDEST_PYTHON:
        yield fail("python", found, "Use Python 3.11 or later.")
    else:
        yield ok("python", found)
    installed = {}
    for name in ("mailmux", *_PINNED):
        try:
            installed[name] = version(name)
        except PackageNotFoundError:
            installed[name] = "not installed"
    shown = ", ".join(f"{name} {number}" for name, number in installed.items())
    wrong = [f"{name}=={number}" for name, number in _PINNED.items() if installed[name] != number]
    if wrong:
        yield warn(
            "packages", shown, f"Install {' '.join(wrong)}: other versions were not tried under faults."
        )
    else:
        yield ok("packages", shown)


def _disk(settings: Settings) -> Finding:
    place = settings.data_dir.absolute()
    while not place.exists():
        place = place.parent
    usage = shutil.disk_usage(place)
    share, shown = usage.free / usage.total, f"{usage.free / (1 << 30):.1f} GiB are free at {place}"
    if share < _DISK_OUT[0] or usage.free < _DISK_OUT[1]:
        return fail("disk", shown, "Make room now: a full disk stops PostgreSQL, and with it everything.")
    if (share < _DISK_LOW[0] and usage.free < 10 * _DISK_LOW[1]) or usage.free < _DISK_LOW[1]:
        return warn("disk", shown, "Make room, or shorten what is kept (MAILMUX_KEEP_…_DAYS).")
    return ok("disk", shown)


# ── Redis ──


def _redis(client: redis.Redis) -> Iterator[Finding]:
    info = cast("dict[str, object]", client.info())
    number = str(info["redis_version"])
    name = "Valkey" if "valkey_version" in info else "Redis"
    shown = f"{name} {info.get('valkey_version', number)}"
    if tuple(int(part) for part in number.split(".")[:2]) < _OLDEST_REDIS:
        yield fail("redis", shown, "Use 6.2 or later.")
    else:
        yield ok("redis", shown)
    policy = str(info.get("maxmemory_policy", "noeviction"))
    if policy != "noeviction":
        advice = "CONFIG SET maxmemory-policy noeviction, or give Mailmux a Redis of its own."
        yield fail("redis memory", f"it evicts what it was given when it is full ({policy})", advice)
    else:
        limit, used = int(str(info.get("maxmemory", 0))), int(str(info["used_memory"]))
        of = f" of {limit / (1 << 20):.0f}" if limit else ""
        shown = f"{used / (1 << 20):.0f}{of} MiB are used, nothing is evicted"
        if limit and used > 0.9 * limit:
            yield warn("redis memory", shown, "Raise maxmemory: rings that it refuses wait for the sweeper.")
        else:
            yield ok("redis memory", shown)
    yield _persistence(info)


def _persistence(info: dict[str, object]) -> Finding:
    aof = str(info.get("aof_enabled", 0)) == "1"
    if (
        str(info.get("rdb_last_bgsave_status", "ok")) != "ok"
        and str(info.get("rdb_changes_since_last_save", 0)) != "0"
    ):
        advice = "Look into its log: while saving fails it may refuse writes (stop-writes-on-bgsave-error)."
        return warn("redis persistence", "its last save failed", advice)
    words = (
        "append-only file"
        if aof
        else "no append-only file; nothing is lost with it but counters and breakers"
    )
    return ok("redis persistence", words)


# ── PostgreSQL ──


def _database(settings: Settings, engine: Engine, client: redis.Redis, providers: bool) -> Iterator[Finding]:
    with engine.connect() as connection:
        yield from _server(connection)
        yield from _clocks(connection, client)
        migrated = _migrations(connection)
        yield migrated
        if migrated.state is State.FAIL:
            return
        yield from _work(settings, connection)
        rows = Routes(connection).providers()
        yield from _keys(settings, connection, {row.id: row.name for row in rows})
    yield from _currencies(settings, rows)
    if providers:
        yield from _providers(settings, rows)


def _server(connection: Connection) -> Iterator[Finding]:
    def show(name: str) -> str:
        return str(connection.exec_driver_sql(f"SHOW {name}").scalar_one())

    number, shown = int(show("server_version_num")), f"PostgreSQL {show('server_version')}"
    if number < _OLDEST_POSTGRES:
        yield fail("postgres", shown, "Use PostgreSQL 14 or later.")
    elif connection.exec_driver_sql("SELECT pg_is_in_recovery()").scalar_one():
        yield fail(
            "postgres", f"{shown}, a standby", "Let DATABASE_URL name the primary: a standby takes no emails."
        )
    else:
        yield ok("postgres", shown)
    unsafe = [name for name in ("fsync", "full_page_writes", "synchronous_commit") if show(name) == "off"]
    if unsafe:
        advice = (
            f"Set {', '.join(f'{name} = on' for name in unsafe)}: the promise rests on commits that are kept."
        )
        yield fail("postgres durability", f"{', '.join(unsafe)} is off", advice)
    else:
        yield ok("postgres durability", "commits are kept")
    told = {name: show(name) for name in ("log_min_error_statement", "log_statement", "log_error_verbosity")}
    if told != {
        "log_min_error_statement": "panic",
        "log_statement": "none",
        "log_error_verbosity": "terse",
    }:
        advice = (
            "Set log_min_error_statement = panic, log_statement = none, log_error_verbosity = terse: what it logs "
            "of statements holds addresses and bodies."
        )
        said = ", ".join(f"{name} is {value}" for name, value in told.items())
        yield warn("postgres log", said, advice)
    else:
        yield ok("postgres log", "it holds no statements")
    used = connection.execute(text("SELECT count(*) FROM pg_stat_activity")).scalar_one()
    limit = int(show("max_connections"))
    detail = f"{used} of {limit} connections are in use"
    if used > 0.8 * limit:
        yield warn("postgres connections", detail, "Raise max_connections, or run fewer processes.")
    else:
        yield ok("postgres connections", detail)


def _migrations(connection: Connection) -> Finding:
    newest = ScriptDirectory(str(migrations_folder())).get_current_head()
    found = MigrationContext.configure(connection).get_current_revision()
    if found == newest:
        return ok("migrations", f"the schema is at {found}")
    detail = f"the schema is at {found or 'nothing'}, this version needs {newest}"
    return fail("migrations", detail, "Run mailmux migrate (or start this version's mailmux up).")


def _clocks(connection: Connection, client: redis.Redis) -> Iterator[Finding]:
    now, ahead = database_ahead(connection)
    shifted = float(
        connection.execute(text("SELECT EXTRACT(epoch FROM mm_now() - statement_timestamp())")).scalar_one()
        if connection.execute(text("SELECT to_regproc('mm_now') IS NOT NULL")).scalar_one()
        else 0
    )
    if abs(shifted) > 1:
        advice = "mm_now() was replaced, as tests do. Restore it: emails are sent, held and purged by it."
        yield fail("clock of the pipeline", f"mm_now() is {shifted:+.0f} s from the database's clock", advice)
    found = {"this machine": ahead}
    try:
        found |= {f"workers on {host}": skew for host, skew in read_clocks(client, now).items()}
        seconds, micros = cast("tuple[int, int]", client.time())
        found["Redis"] = now - (seconds + micros / 1e6)
    except redis.RedisError:
        pass  # told of already
    wrong = {where: skew for where, skew in found.items() if abs(skew) > _CLOCKS_APART}
    if wrong:
        detail = ", ".join(f"{where} is {-skew:+.1f} s from PostgreSQL" for where, skew in wrong.items())
        advice = (
            "Run NTP on all of them. Emails go by PostgreSQL's clock only, but logs and certificates do not."
        )
        yield warn("clocks", detail, advice)
    else:
        yield ok("clocks", f"{', '.join(found)} and PostgreSQL agree")


def _work(settings: Settings, connection: Connection) -> Iterator[Finding]:
    census = take_census(connection)
    connection.rollback()
    alive = census.runs["alive"]
    if not alive:
        yield fail("workers", "no worker process is alive", "Start workers: nothing is sent without them.")
    else:
        yield ok("workers", f"{alive} worker processes are alive")
    for lane in Lane:
        age, due = census.ages[lane.value], census.queue[lane.value, "due"]
        detail = f"{due} due emails in the lane {lane.value}, the oldest for {age:.0f} s"
        if age > _WAITED_LONG:
            yield warn(
                "queue", detail, "Look at the workers' logs, or run more of them (mailmux up --workers N)."
            )
        else:
            yield ok("queue", detail)
    detail = f"{census.events} events of providers wait, the oldest is due for {census.events_late:.0f} s"
    if census.events_late > _WAITED_LONG:
        advice = "Start a worker that takes the queue upkeep, and look for event_broken in the workers' logs."
        yield warn("events", detail, advice)
    else:
        yield ok("events", detail)
    if census.webhooks_disabled:
        detail = f"{census.webhooks_disabled} webhooks of users were disabled, because they failed"
        latest = Webhooks(connection).failed(_NAMED)
        connection.rollback()
        which = ", ".join(f"{id_} of {owner}" for id_, owner in latest)
        more = ", and others" if census.webhooks_disabled > len(latest) else ""
        advice = (
            f"Let their owners mend and enable them; GET /v1/webhooks tells them why. They are {which}{more}."
        )
        yield warn("webhooks", detail, advice)
    else:
        yield ok("webhooks", "none was disabled for failing")
    held = sum(census.queue[lane.value, "unknown"] for lane in Lane)
    if held:
        advice = "Compare with the providers' own records: GET /v1/emails?status=unknown lists them."
        yield warn("unknown", f"{held} emails may have been sent, and are held", advice)
    rota = build_rota(settings)
    late = [
        duty
        for duty, every in rota.every.items()
        if census.duties.get(duty.value, float("inf")) > LATE_FACTOR * every + LATE_SECONDS + 60
    ]
    if late:
        queues = " and ".join(sorted({duty_queue(duty) for duty in late}))
        advice = f"Start beat (celery -A wiring.worker beat) and a worker that takes the queue {queues}."
        yield warn("duties", f"not done in time: {', '.join(late)}", advice)
    else:
        yield ok("duties", "all were done in time")


# ── keys and providers ──


def _keys(settings: Settings, connection: Connection, names: Mapping[UUID, str]) -> Iterator[Finding]:
    """All secrets at rest, so that no key is taken away that one of them needs."""
    sealer = build_sealer(settings)
    shut, old, opened = [], 0, 0
    for one in SealedTexts(connection).all():
        try:
            sealer.open(one.sealed, owner=one.owner, kind=one.kind, row=one.id)
        except (SealBroken, UnknownKey) as error:
            shut.append(f"{one.what}: {names.get(one.id, one.id)} ({error})")
        else:
            opened += 1
            old += not sealer.is_current(one.sealed)
    connection.rollback()
    if shut:
        advice = (
            "Add the missing key to MAILMUX_ENCRYPTION_KEYS (from your backup), or set what it sealed anew."
        )
        some = "; ".join(shut[:_SHOWN]) + ("; …" if len(shut) > _SHOWN else "")
        yield fail("encryption keys", f"{len(shut)} secrets cannot be opened: {some}", advice)
    elif old:
        advice = "Seal them anew with `mailmux encryption reseal`; keep the older key until then."
        yield warn("encryption keys", f"{old} of {opened} secrets are sealed with an older key", advice)
    else:
        yield ok("encryption keys", f"{opened} secrets open with the current key")


def _currencies(settings: Settings, rows: object) -> Iterator[Finding]:
    """Prices are compared as numbers: those of different moneys need a rate."""
    used = sorted({row.currency for row in cast("list[ProviderRow]", rows) if row.active})
    unknown = [currency for currency in used if currency not in settings.exchange_rates]
    if len(used) > 1 and len(unknown) > 1:
        advice = "Set MAILMUX_EXCHANGE_RATES, as EUR=1.08,GBP=1.27."
        yield warn(
            "currencies", f"prices in {', '.join(unknown)} are compared as if they were one money", advice
        )
    elif used:
        yield ok("currencies", f"prices are in {', '.join(used)}")


def _providers(settings: Settings, rows: object) -> Iterator[Finding]:
    sealer, foundry = build_sealer(settings), Foundry(settings, SystemClock())
    some = False
    for row in cast("list[ProviderRow]", rows):
        if not row.active:
            continue
        some = True
        check = f"provider {row.name}"
        try:
            credentials = sealer.open(row.sealed, owner=row.owner, kind=row.kind, row=row.id)
            adapter = foundry.build(row.kind, row.name, row.config, credentials, trusted=row.trusted)
        # Whatever is wrong with one provider must not hide the others; the keys were told of already.
        except Exception as error:  # noqa: BLE001
            yield fail(
                check, f"its configuration cannot be used: {str(error)[:300]}", "Correct it, or pause it."
            )
            continue
        if credentials.get("refresh_token") and _is_microsofts(row):
            yield warn(
                f"sign-in of {row.name}",
                "it signs in as a person: the refresh token ends 90 days after it was given, and is not renewed",
                "Set a new one before that, or sign in as the application, without one.",
            )
        try:
            adapter.check()
        except ProviderError as error:
            yield fail(
                check, f"{error.code}: {str(error.detail)[:300]}", "Correct its settings, or pause it."
            )
        else:
            yield ok(check, "it lets us in")
        finally:
            adapter.close()
    if not some:
        yield warn("providers", "there is none that is not paused", "Add one: POST /v1/providers.")


def _is_microsofts(row: ProviderRow) -> bool:
    return row.kind == "microsoft365" or "//login.microsoftonline.com/" in str(row.config.get("token_url"))
