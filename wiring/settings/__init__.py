"""The settings, and the only place that reads the environment.

Every variable can also be given as a file: `DATABASE_URL_FILE=/run/secrets/database_url` holds the value of
`DATABASE_URL`. A variable that is set but empty counts as not set. All values are checked at once, and one
`SettingsError` names every variable that is wrong.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from api.addresses import Mailbox
from wiring.settings.groups import Attachments, Delivery, ProviderTimeouts, Upkeep
from wiring.settings.reading import FromEnvironment, SettingsError, variables
from wiring.settings.values import (
    DatabaseUrl,
    DnsServers,
    Hosts,
    HttpUrl,
    Keys,
    LogLevel,
    Networks,
    Port,
    Rates,
    RedisUrl,
    Token,
    env,
)

__all__ = [
    "DEFAULT_DATA_DIR",
    "LEFT_BY_UP",
    "Attachments",
    "Delivery",
    "ProviderTimeouts",
    "Settings",
    "SettingsError",
    "StartSettings",
    "Upkeep",
    "variables",
]

DEFAULT_DATA_DIR: Final = Path(".data")
# Under the data directory: what the running `mailmux up` leaves for other commands, as the field's name → file.
LEFT_BY_UP: Final = {
    "database_url": "run/database-url",
    "redis_url": "run/redis-url",
    "sandbox_url": "run/sandbox-url",
    "encryption_keys": "encryption-keys",
}


class StartSettings(FromEnvironment):
    """What `mailmux up` needs to know before the services run that it starts itself."""

    data_dir: Path = env(
        "MAILMUX_DATA_DIR", "Where everything is kept that must survive a restart.", DEFAULT_DATA_DIR
    )
    database_url: DatabaseUrl | None = env(
        "DATABASE_URL",
        "PostgreSQL 14 or later, `postgresql://user:password@host:5432/database`. "
        "Not set: the embedded one that `mailmux up` runs in the data directory.",
        None,
    )
    database_deadline_seconds: float = env(
        "MAILMUX_DATABASE_DEADLINE_SECONDS",
        "How long a call to PostgreSQL may take before its connection is given up: a server that stands still "
        "costs callers so long. Statements are ended by the server five seconds earlier.",
        20.0,
        ge=6,
        le=600,
    )
    redis_url: RedisUrl | None = env(
        "REDIS_URL",
        "Redis or Valkey 6.2 or later, `redis://:password@host:6379/0` or `rediss://`, with the policy "
        "`noeviction`. Not set: the embedded one that `mailmux up` runs in the data directory.",
        None,
    )
    encryption_keys: Keys | None = env(
        "MAILMUX_ENCRYPTION_KEYS",
        "Keys for the provider credentials in the database, `id:base64,id2:base64`, 32 bytes each; the first is "
        "the current one. Not set: the one that `mailmux up` made in the data directory.",
        None,
    )
    api_host: str = env("MAILMUX_API_HOST", "The address that the API listens on.", "127.0.0.1")
    api_port: Port = env("MAILMUX_API_PORT", "The port that the API listens on.", 8025)
    api_workers: int = env("MAILMUX_API_WORKERS", "API processes.", 1, ge=1, le=64)
    api_threads: int = env(
        "MAILMUX_API_THREADS", "Requests that one API process serves at once.", 16, ge=1, le=256
    )
    renderers: int = env(
        "MAILMUX_RENDERERS",
        "Processes that render templates, of one API process; they start when they are needed.",
        2,
        ge=1,
        le=32,
    )
    public_url: HttpUrl | None = env(
        "MAILMUX_PUBLIC_URL", "The address under which the world reaches this service.", None
    )
    notices_from: Mailbox | None = env(
        "MAILMUX_NOTICES_FROM",
        "The address that Mailmux writes to users from when it has disabled one of their webhooks, as "
        "`Mailmux <mailmux@example.com>`; the emails are those of the first operator. Not set: nobody is written to.",
        None,
    )
    own_domains_only: bool = env(
        "MAILMUX_OWN_DOMAINS_ONLY",
        "Whether users send only from domains that they have proved to be theirs (`/v1/domains`): for a service whose "
        "users do not trust each other. Else from any that no other user has proved.",
        False,
    )
    sandbox_url: HttpUrl | None = env(
        "MAILMUX_SANDBOX_URL", "The control address of the provider sandbox, where one runs.", None
    )
    plain_http_hosts: Hosts = env(
        "MAILMUX_PLAIN_HTTP_HOSTS",
        "Hosts of your own network, separated by commas, that accounts may be at without TLS: `sandbox`, or a relay "
        "that speaks a provider's API. Credentials travel there in the clear.",
        (),
    )
    dns_servers: DnsServers = env(
        "MAILMUX_DNS_SERVERS",
        "Who is asked about the records of sender domains: addresses, separated by commas, as 9.9.9.9 or "
        "127.0.0.1:5353. Not set: whom the system asks.",
        (),
    )
    trusted_proxies: Networks = env(
        "MAILMUX_TRUSTED_PROXIES",
        "Networks of proxies in front of the API, separated by commas, whose `X-Forwarded-For` is believed: keys that "
        "are limited to networks are held to theirs by it.",
        (),
    )
    session_hours: float = env(
        "MAILMUX_SESSION_HOURS", "How long a session stands after somebody signed in.", 8.0, gt=0, le=720
    )
    mx_lookups: bool = env(
        "MAILMUX_MX_LOOKUPS",
        "Whether recipients' domains are looked up in the DNS, so that the chooser knows which mailbox host runs them.",
        True,
    )
    exchange_rates: Rates = env(
        "MAILMUX_EXCHANGE_RATES",
        "What one unit of each currency is worth, in the one that prices are compared in: `EUR=1.08,GBP=1.27`. Others "
        "count as that one: with accounts in one currency nothing is needed.",
        {},
    )
    metrics_token: Token | None = env(
        "MAILMUX_METRICS_TOKEN",
        "What a scraper of `/metrics` must send as `Authorization: Bearer …`. Not set: this machine only may ask, "
        "and no proxy on it.",
        None,
    )
    log_level: LogLevel = env("MAILMUX_LOG_LEVEL", "DEBUG, INFO, WARNING or ERROR.", "INFO")
    max_body_bytes: int = env(
        "MAILMUX_MAX_BODY_BYTES",
        "The largest request body that is read.",
        50_000_000,
        ge=1_000,
        le=500_000_000,
    )
    idempotency_ttl_hours: int = env(
        "MAILMUX_IDEMPOTENCY_TTL_HOURS", "How long an Idempotency-Key is kept.", 72, ge=24, le=24 * 366
    )
    delivery: Delivery = Delivery()
    provider: ProviderTimeouts = ProviderTimeouts()
    upkeep: Upkeep = Upkeep()
    attachments: Attachments = Attachments()

    def contradictions(self) -> dict[str, str]:
        knobs = self.delivery
        problems = {}
        if knobs.heartbeat_seconds * 2 > knobs.lease_seconds:
            problems["MAILMUX_HEARTBEAT_SECONDS"] = (
                "must be half of MAILMUX_LEASE_SECONDS or less, or a single late beat loses the lease"
            )
        longest = knobs.drain_seconds + self.provider.total_seconds
        if knobs.silence_seconds <= longest:
            problems["MAILMUX_SILENCE_SECONDS"] = (
                f"must be more than a task may take: {longest:g}, the sum of MAILMUX_DRAIN_SECONDS and "
                "MAILMUX_PROVIDER_TOTAL_SECONDS"
            )
        store = self.attachments
        if (store.access_key_id is None) != (store.secret_access_key is None):
            problems["MAILMUX_S3_ACCESS_KEY_ID"] = "and MAILMUX_S3_SECRET_ACCESS_KEY are given together"
        if store.bucket is None and (store.endpoint or store.access_key_id):
            problems["MAILMUX_S3_BUCKET"] = "is not set, and other settings of S3 are"
        return problems


class Settings(StartSettings):
    """Everything that the API and the workers need to know.

    Where the environment names no services, those of the `mailmux up` that runs in the data directory are meant,
    so that `mailmux keys` and its like work beside it without any variable.
    """

    database_url: DatabaseUrl = env("DATABASE_URL", "see StartSettings")
    redis_url: RedisUrl = env("REDIS_URL", "see StartSettings")
    encryption_keys: Keys = env("MAILMUX_ENCRYPTION_KEYS", "see StartSettings")

    @classmethod
    def complete(cls, values: dict[str, Any]) -> None:
        data_dir = Path(values.get("data_dir", DEFAULT_DATA_DIR))
        for field, name in LEFT_BY_UP.items():
            file = data_dir / name
            if field not in values and file.is_file():
                values[field] = file.read_text().strip()
