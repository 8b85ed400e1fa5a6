"""The unit of work: one transaction, and the repositories that work in it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from types import TracebackType
from typing import Self

import orjson
from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from db.deadlines import Watchdog, check_at_checkout
from db.repositories.accounts import Accounts
from db.repositories.attachments import Attachments
from db.repositories.campaigns import Campaigns
from db.repositories.delivery import Delivery
from db.repositories.domains import Domains
from db.repositories.email_types import EmailTypes
from db.repositories.emails import Emails
from db.repositories.inbound import Inbound
from db.repositories.intake import Intake
from db.repositories.learning import Learning
from db.repositories.providers import Providers
from db.repositories.quotas import Quotas
from db.repositories.recovery import Recovery
from db.repositories.resends import Resends
from db.repositories.routes import Routes
from db.repositories.rules import Rules
from db.repositories.suppressions import Suppressions
from db.repositories.templates import Templates
from db.repositories.upkeep import Runs, Upkeep
from db.repositories.webhooks import Webhooks
from domain.errors import StorageUnavailable

_DEADLINE = 20.0  # seconds
_SERVERS_TURN = 5.0  # seconds before a call's deadline, at which the server ends a statement by itself

_OPTIONS: Mapping[str, str | int] = {
    "lock_timeout": 10_000,
    "idle_in_transaction_session_timeout": 30_000,
    "timezone": "UTC",
    "jit": "off",
    # What is prepared works on small sets by key. Its plan is made once, perhaps while a table is empty, and
    # must not read the whole table when that has grown.
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "enable_memoize": "off",
}


def open_engine(
    url: str, *, pool_size: int = 5, application: str = "mailmux", deadline: float = _DEADLINE
) -> Engine:
    """An engine whose calls end, whatever the server does: 5 s to connect, `deadline` seconds for a call.

    Five seconds before that the server ends a statement by itself, which costs no connection; a server that stands
    still cannot, and then the connection is shut from here (db.deadlines).
    """
    options = {"statement_timeout": int((deadline - _SERVERS_TURN) * 1000), **_OPTIONS}
    engine = create_engine(
        url,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=5,
        json_deserializer=orjson.loads,
        hide_parameters=True,  # or an error's text would quote addresses and bodies into the log
        connect_args={
            "application_name": application,
            "connect_timeout": 5,
            "keepalives_idle": 5,
            "keepalives_interval": 2,
            "keepalives_count": 3,
            "tcp_user_timeout": 10_000,
            "options": " ".join(f"-c {name}={value}" for name, value in options.items()),
            **Watchdog(deadline).connect_args(),
        },
    )
    check_at_checkout(engine)
    return engine


class SqlUnitOfWork:
    """`with units() as uow: …; uow.commit()`. Leaving without a commit rolls back.

    Raises domain.errors.StorageUnavailable where the database does not answer in time.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def __enter__(self) -> Self:
        try:
            self.connection: Connection = self._engine.connect()
        except (OperationalError, InterfaceError, PoolTimeout) as error:
            raise StorageUnavailable(_words(error)) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.connection.close()
        if isinstance(error, OperationalError | InterfaceError) or (
            isinstance(error, DBAPIError) and error.connection_invalidated
        ):
            raise StorageUnavailable(_words(error)) from error

    def commit(self) -> None:
        self.connection.commit()

    @cached_property
    def delivery(self) -> Delivery:
        return Delivery(self.connection)

    @cached_property
    def quotas(self) -> Quotas:
        return Quotas(self.connection)

    @cached_property
    def resends(self) -> Resends:
        return Resends(self.connection)

    @cached_property
    def routes(self) -> Routes:
        return Routes(self.connection)

    @cached_property
    def upkeep(self) -> Upkeep:
        return Upkeep(self.connection)

    @cached_property
    def runs(self) -> Runs:
        return Runs(self.connection)

    @cached_property
    def inbound(self) -> Inbound:
        return Inbound(self.connection)

    @cached_property
    def intake(self) -> Intake:
        return Intake(self.connection)

    @cached_property
    def learning(self) -> Learning:
        return Learning(self.connection)

    @cached_property
    def emails(self) -> Emails:
        return Emails(self.connection)

    @cached_property
    def accounts(self) -> Accounts:
        return Accounts(self.connection)

    @cached_property
    def providers(self) -> Providers:
        return Providers(self.connection)

    @cached_property
    def recovery(self) -> Recovery:
        return Recovery(self.connection)

    @cached_property
    def rules(self) -> Rules:
        return Rules(self.connection)

    @cached_property
    def templates(self) -> Templates:
        return Templates(self.connection)

    @cached_property
    def suppressions(self) -> Suppressions:
        return Suppressions(self.connection)

    @cached_property
    def campaigns(self) -> Campaigns:
        return Campaigns(self.connection)

    @cached_property
    def webhooks(self) -> Webhooks:
        return Webhooks(self.connection)

    @cached_property
    def attachments(self) -> Attachments:
        return Attachments(self.connection)

    @cached_property
    def domains(self) -> Domains:
        return Domains(self.connection)

    @cached_property
    def email_types(self) -> EmailTypes:
        return EmailTypes(self.connection)


def _words(error: Exception) -> str:
    """The first line of the driver's words: the rest repeats the statement and its values."""
    return str(getattr(error, "orig", error)).strip().partition("\n")[0]
