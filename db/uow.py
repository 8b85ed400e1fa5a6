"""The unit of work: one transaction, and the repositories that work in it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from functools import cached_property
from types import MappingProxyType, TracebackType
from typing import Self

import orjson
from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from db.deadlines import Watchdog, check_at_checkout
from db.repositories.accounts import Accounts
from db.repositories.attachments import Attachments
from db.repositories.audit import Audit
from db.repositories.budgets import Budgets
from db.repositories.campaigns import Campaigns
from db.repositories.delivery import Delivery
from db.repositories.domains import Domains
from db.repositories.email_types import EmailTypes
from db.repositories.emails import Emails
from db.repositories.erasures import Erasures
from db.repositories.inbound import Inbound
from db.repositories.intake import Intake
from db.repositories.learning import Learning
from db.repositories.lookups import Lookups
from db.repositories.mailbox_hosts import MailboxHosts
from db.repositories.past import Past
from db.repositories.prices import PriceLists
from db.repositories.providers import Providers
from db.repositories.quotas import Quotas
from db.repositories.recovery import Recovery
from db.repositories.resends import Resends
from db.repositories.routes import Routes
from db.repositories.rules import Rules
from db.repositories.sealed import SealedTexts
from db.repositories.sessions import Sessions
from db.repositories.stats import Stats
from db.repositories.suppressions import Suppressions
from db.repositories.templates import Templates
from db.repositories.tracking import TrackedEmails
from db.repositories.upkeep import Runs, Upkeep
from db.repositories.warm_ups import WarmUps
from db.repositories.webhooks import Webhooks
from domain.errors import StorageUnavailable

_NO_RATES: Mapping[str, Decimal] = MappingProxyType({})
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

    `exchange`: what one unit of a currency is worth in the one that prices are compared in. Raises
    domain.errors.StorageUnavailable where the database does not answer in time.
    """

    def __init__(self, engine: Engine, exchange: Mapping[str, Decimal] = _NO_RATES) -> None:
        self._engine, self._exchange = engine, exchange

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

    def now(self) -> datetime:
        """The database's time."""
        found: datetime = self.connection.execute(text("SELECT mm_now()")).scalar_one()
        return found

    def commit(self) -> None:
        self.connection.commit()

    @cached_property
    def delivery(self) -> Delivery:
        return Delivery(self.connection, self.budgets)

    @cached_property
    def budgets(self) -> Budgets:
        return Budgets(self.connection, self._exchange)

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
        return Inbound(self.connection, self.budgets)

    @cached_property
    def intake(self) -> Intake:
        return Intake(self.connection)

    @cached_property
    def learning(self) -> Learning:
        return Learning(self.connection)

    @cached_property
    def lookups(self) -> Lookups:
        return Lookups(self.connection)

    @cached_property
    def emails(self) -> Emails:
        return Emails(self.connection)

    @cached_property
    def past(self) -> Past:
        return Past(self.connection)

    @cached_property
    def accounts(self) -> Accounts:
        return Accounts(self.connection)

    @cached_property
    def sessions(self) -> Sessions:
        return Sessions(self.connection)

    @cached_property
    def erasures(self) -> Erasures:
        return Erasures(self.connection)

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
    def mailbox_hosts(self) -> MailboxHosts:
        return MailboxHosts(self.connection)

    @cached_property
    def sealed_texts(self) -> SealedTexts:
        return SealedTexts(self.connection)

    @cached_property
    def audit(self) -> Audit:
        return Audit(self.connection)

    @cached_property
    def tracking(self) -> TrackedEmails:
        return TrackedEmails(self.connection)

    @cached_property
    def warm_ups(self) -> WarmUps:
        return WarmUps(self.connection)

    @cached_property
    def stats(self) -> Stats:
        return Stats(self.connection)

    @cached_property
    def prices(self) -> PriceLists:
        return PriceLists(self.connection)

    @cached_property
    def domains(self) -> Domains:
        return Domains(self.connection)

    @cached_property
    def email_types(self) -> EmailTypes:
        return EmailTypes(self.connection)


def _words(error: Exception) -> str:
    """The first line of the driver's words: the rest repeats the statement and its values."""
    return str(getattr(error, "orig", error)).strip().partition("\n")[0]
