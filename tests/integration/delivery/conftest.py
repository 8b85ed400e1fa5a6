"""A house with a real database and Redis, providers in memory, and a clock that the test may move."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
import redis
import structlog
from sqlalchemy import insert, text, update

from db import models
from db.live import RedisLiveState
from db.mapping import content_hash, job_row
from db.repositories.routes import ProviderRow
from db.uow import SqlUnitOfWork, open_engine
from domain.message import Lane, Submission
from providers import memory
from routing.policy import Patience
from tests.builders import USER, a_submission, chance, new_id
from workers.delivery import drain
from workers.dispatcher import Dispatcher, Knobs
from workers.fleet import ConfiguredFleet
from workers.run import LeasedRun
from workers.sending import Sender
from workers.upkeep import Swept, sweep


class MovableClock:
    """Durations that pass by themselves, and faster where the test says so."""

    def __init__(self) -> None:
        self.chance = chance()
        self._ahead = 0.0

    def monotonic(self) -> float:
        return time.monotonic() + self._ahead

    def sleep(self, seconds: float) -> None:
        self._ahead += seconds

    def move(self, seconds: float) -> None:
        self._ahead += seconds


@dataclass
class Bell:
    rung: list[Lane] = field(default_factory=list)

    def ring_events(self) -> None:
        pass

    def ring(self, lane: Lane) -> None:
        self.rung.append(lane)


NO_REDIS = "redis://127.0.0.1:1"  # nobody listens there


class House:
    def __init__(self, database_url: str, redis_url: str, *, restored: bool = False) -> None:
        self.has_redis = redis_url != NO_REDIS
        self.engine = open_engine(database_url, pool_size=10)
        self.clock, self.bell = MovableClock(), Bell()
        self.adapters: dict[str, memory.MemoryProvider] = {}
        self.exchange: dict[str, Decimal] = {}
        self.redis = redis.Redis.from_url(redis_url, socket_timeout=1)
        self.pool = ThreadPoolExecutor(25)
        self.patience = Patience(unknown_ttl=1000, resend_after=60, give_up_after=5000)
        fleet, log = (
            ConfiguredFleet(self._read, self._build, self.clock, 0.0, self.exchange),
            structlog.get_logger("test"),
        )
        self.dispatcher = Dispatcher(
            units=self.units,
            fleet=fleet,
            live=RedisLiveState(self.redis, self.clock),
            clock=self.clock,
            ids=new_id,
            sender=Sender(fleet.adapter, self.pool, self.clock, log),
            crew=self.pool,
            log=log,
            knobs=Knobs(patience=self.patience),
        )
        if not restored:
            with self.engine.begin() as connection:
                user = {"id": USER, "email": "u@x.example", "password_hash": "-"}
                connection.execute(insert(models.User), user)

    def see_providers_late(self, seconds: float) -> None:
        """Keep what was read of the providers for so long, as workers do for a moment."""
        fleet = ConfiguredFleet(self._read, self._build, self.clock, seconds, self.exchange)
        sender = Sender(fleet.adapter, self.pool, self.clock, self.dispatcher.log)
        self.dispatcher = replace(self.dispatcher, fleet=fleet, sender=sender)

    def units(self) -> SqlUnitOfWork:
        return SqlUnitOfWork(self.engine, self.exchange)

    def _read(self) -> Any:
        with self.units() as unit:
            unit.quotas.roll()
            routes = unit.routes
            found = routes.providers(), routes.rules(), routes.homes(), unit.budgets.spending()
            unit.commit()
        return found

    def _build(self, row: ProviderRow) -> Any:
        return self.adapters[row.name]

    def provider(
        self,
        name: str,
        cost: str = "0.0004",
        quota: dict[str, Any] | None = None,
        currency: str = "USD",
        **answers: Any,
    ) -> Any:
        """Configure a provider in memory; returns its adapter, which remembers what it took."""
        self.adapters[name] = adapter = memory.MemoryProvider(name, memory.Config(**answers))
        row = {
            "id": new_id(), "name": name, "kind": "memory", "api_key": "", "config": {}, "base_cost": cost,
            "currency": currency,
        }  # fmt: skip
        with self.engine.begin() as connection:
            connection.execute(insert(models.Provider), row)
            if quota is not None:
                limits = {
                    "id": new_id(),
                    "provider_id": row["id"],
                    "reset_at": datetime.now(UTC) + timedelta(days=1),
                }
                connection.execute(insert(models.ProviderQuota), limits | quota)
        return adapter

    def reconfigure(self, name: str, **answers: Any) -> Any:
        """Give a provider another way to answer; returns its new adapter."""
        self.adapters[name] = adapter = memory.MemoryProvider(name, memory.Config(**answers))
        with self.engine.begin() as connection:
            bump = {"version": models.Provider.version + 1}
            connection.execute(update(models.Provider).where(models.Provider.name == name).values(bump))
        return adapter

    def accept(self, *submissions: Submission, due_in: float = 0.0) -> list[UUID]:
        """Put emails in the queue, as intake does."""
        submissions = submissions or (a_submission(),)
        with self.engine.begin() as connection:
            for one in submissions:
                connection.execute(
                    text("""INSERT INTO email_contents (user_id, hash, text, html)
                            VALUES (:user_id, :hash, :text, :html) ON CONFLICT DO NOTHING"""),
                    {
                        "user_id": one.user_id,
                        "hash": content_hash(one),
                        "text": one.message.text,
                        "html": one.message.html,
                    },
                )
                connection.execute(insert(models.EmailJob), job_row(one, None, "queued"))
                connection.execute(
                    text("""INSERT INTO email_queue (job_id, user_id, lane, due_at)
                            VALUES (:job, :user, :lane, mm_now() + :due * interval '1 second')"""),
                    {"job": one.id, "user": one.user_id, "lane": one.lane.value, "due": due_in},
                )
        return [s.id for s in submissions]

    def run(self, lease: float = 15.0) -> LeasedRun:
        run = LeasedRun(new_id(), self.clock.monotonic() + lease, self.clock)
        with self.units() as unit:
            unit.runs.start(run.id, "test", 1, lease)
            unit.commit()
        return run

    def drain(
        self, lane: Lane = Lane.TRANSACTIONAL, run: LeasedRun | None = None, **knobs: Any
    ) -> float | None:
        dispatcher = replace(self.dispatcher, knobs=replace(self.dispatcher.knobs, **knobs))
        return drain(lane, run or self.run(), dispatcher)

    def kill(self, run: LeasedRun) -> None:
        """What the database sees of a worker that was killed, once its lease has passed."""
        with self.engine.begin() as connection:
            connection.execute(
                text("UPDATE worker_runs SET lease_until = mm_now() - interval '1 second' WHERE id = :run"),
                {"run": run.id},
            )

    def kill_all(self) -> None:
        for row in self.all("SELECT id FROM worker_runs"):
            self.kill(row)

    def sweep(self) -> Swept:
        return sweep(self.units, self.bell, self.patience)

    def pass_time(self, seconds: float) -> None:
        """Move the database's clock, and the workers' with it."""
        self.clock.move(seconds)
        if seconds >= 1 and self.has_redis:  # by whose own clock a probe keeps others out for a second
            for probe in self.redis.scan_iter("*:probe:*"):
                self.redis.delete(probe)
        with self.engine.begin() as connection:
            shift = connection.scalar(text("SELECT EXTRACT(epoch FROM mm_now() - statement_timestamp())"))
            connection.execute(
                text(f"""CREATE OR REPLACE FUNCTION mm_now() RETURNS timestamptz LANGUAGE sql STABLE
                         AS $$SELECT statement_timestamp() + interval '{float(shift) + seconds} seconds'$$""")
            )

    def set_time(self, now: datetime) -> None:
        """Stop the database's clock at a time."""
        with self.engine.begin() as connection:
            connection.execute(
                text(f"""CREATE OR REPLACE FUNCTION mm_now() RETURNS timestamptz LANGUAGE sql STABLE
                         AS $$SELECT timestamptz '{now.isoformat()}'$$""")
            )

    def job(self, job_id: UUID) -> Any:
        return self.one("SELECT * FROM email_jobs WHERE id = :id", id=job_id)

    def queued(self, job_id: UUID) -> Any:
        rows = self.all("SELECT * FROM email_queue WHERE job_id = :id", id=job_id)
        return rows[0] if rows else None

    def ledger(self, job_id: UUID) -> list[Any]:
        return self.all(
            """SELECT a.*, p.name AS provider FROM delivery_attempts a JOIN providers p ON p.id = a.provider_id
               WHERE job_id = :id ORDER BY a.id""",
            id=job_id,
        )

    def timeline(self, job_id: UUID) -> list[str]:
        rows = self.all("SELECT status FROM email_status WHERE email_job_id = :id ORDER BY id", id=job_id)
        return [r.status for r in rows]

    def one(self, sql: str, **values: Any) -> Any:
        (row,) = self.all(sql, **values)
        return row

    def all(self, sql: str, **values: Any) -> list[Any]:
        with self.engine.connect() as connection:
            return list(connection.execute(text(sql), values))

    def close(self) -> None:
        self.pool.shutdown()
        for adapter in self.adapters.values():
            adapter.close()
        self.redis.close()
        self.engine.dispose()


@pytest.fixture
def house(database_url: str, redis_url: str) -> Iterator[House]:
    built = House(database_url, redis_url)
    yield built
    built.close()
