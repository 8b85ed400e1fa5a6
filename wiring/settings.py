"""The settings, and the only place that reads the environment.

Every variable can also be given as a file: `DATABASE_URL_FILE=/run/secrets/database_url` holds the value of
`DATABASE_URL`. A variable that is set but empty counts as not set. All values are checked at once, and one
`SettingsError` names every variable that is wrong.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from wiring.secret import KeyRing, Secret

DEFAULT_DATA_DIR: Final = Path(".data")
# Under the data directory: what the running `mailmux up` leaves for other commands, as the field's name → file.
LEFT_BY_UP: Final = {
    "database_url": "run/database-url",
    "redis_url": "run/redis-url",
    "sandbox_url": "run/sandbox-url",
    "encryption_keys": "encryption-keys",
}
_KEY_ID: Final = re.compile(r"[A-Za-z0-9_.-]{1,32}")
_KEY_BYTES: Final = 32
_SHORTEST_TOKEN: Final = 16


class SettingsError(ValueError):
    """Settings that cannot be used. `problems` maps each variable to what is wrong with it."""

    def __init__(self, problems: Mapping[str, str]) -> None:
        self.problems = dict(problems)
        lines = "\n".join(f"  {name}: {problem}" for name, problem in self.problems.items())
        super().__init__(f"The settings cannot be used:\n{lines}")


def _database_url(value: object) -> Secret:
    """Name the driver: SQLAlchemy takes a bare `postgresql://` for a driver that is not installed."""
    url = _text(value)
    scheme, separator, rest = url.partition("://")
    if scheme in ("postgres", "postgresql"):
        scheme = "postgresql+psycopg2"
    if scheme != "postgresql+psycopg2" or not separator or not rest:
        raise ValueError("must be like postgresql://user:password@host:5432/database")
    return Secret(f"{scheme}://{rest}")


def _redis_url(value: object) -> Secret:
    url = _text(value)
    parts = urlsplit(url)
    if parts.scheme not in ("redis", "rediss") or not parts.hostname:
        raise ValueError("must be like redis://:password@host:6379/0 (or rediss:// for TLS)")
    return Secret(url)


def _http_url(value: object) -> str:
    url = _text(value)
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must be like https://mail.example.com")
    return url.rstrip("/")


def _key_ring(value: object) -> KeyRing:
    if isinstance(value, KeyRing):
        return value
    keys: dict[str, bytes] = {}
    for entry in filter(None, (part.strip() for part in re.split(r"[,\n]", _text(value)))):
        key_id, _, encoded = entry.partition(":")
        if not _KEY_ID.fullmatch(key_id):
            raise ValueError("must be like id:base64,id2:base64 (an id has letters, digits, _ . -)")
        try:
            key = base64.b64decode(encoded, validate=True)
        except binascii.Error:
            raise ValueError(f"key {key_id} is not base64") from None
        if len(key) != _KEY_BYTES:
            raise ValueError(f"key {key_id} has {len(key)} bytes, must have {_KEY_BYTES}")
        if key_id in keys:
            raise ValueError(f"key {key_id} is given twice")
        keys[key_id] = key
    if not keys:
        raise ValueError("holds no key")
    return KeyRing(keys)


def _token(value: object) -> Secret:
    token = _text(value)
    if len(token) < _SHORTEST_TOKEN or not token.isascii() or not token.isprintable() or " " in token:
        raise ValueError(f"must have {_SHORTEST_TOKEN} or more printable characters without blanks")
    return Secret(token)


def _text(value: object) -> str:
    return value.reveal() if isinstance(value, Secret) else str(value)


DatabaseUrl = Annotated[Secret, BeforeValidator(_database_url)]
RedisUrl = Annotated[Secret, BeforeValidator(_redis_url)]
HttpUrl = Annotated[str, BeforeValidator(_http_url)]
Keys = Annotated[KeyRing, BeforeValidator(_key_ring)]
Port = Annotated[int, Field(ge=0, le=65535)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Token = Annotated[Secret, BeforeValidator(_token)]
Days = Annotated[float, Field(ge=0, le=36_500, allow_inf_nan=False)]
LogLevel = Annotated[
    Literal["DEBUG", "INFO", "WARNING", "ERROR"], BeforeValidator(lambda value: str(value).upper())
]


def _env(name: str, meaning: str, default: Any = ..., **limits: Any) -> Any:
    """A field with the variable it is read from and the sentence that `docs/reference/settings.md` prints."""
    return Field(default, description=meaning, json_schema_extra={"env": name}, **limits)


class _Group(BaseModel):
    model_config = ConfigDict(
        frozen=True, arbitrary_types_allowed=True, extra="forbid", hide_input_in_errors=True
    )


class Delivery(_Group):
    """How workers claim, send, wait and give up. Times are seconds."""

    lease_seconds: Positive = _env(
        "MAILMUX_LEASE_SECONDS", "How long a worker process may hold emails without a sign of life.", 15.0
    )
    heartbeat_seconds: Positive = _env(
        "MAILMUX_HEARTBEAT_SECONDS",
        "How often a worker process renews its lease; at most half of it, a third is good.",
        5.0,
    )
    window: int = _env(
        "MAILMUX_WINDOW",
        "Emails that a process sends under one entry of the ledger: what a kill -9 can leave unknown.",
        25,
        ge=1,
        le=1000,
    )
    bulk_window: int = _env(
        "MAILMUX_BULK_WINDOW", "The same for the bulk lane: larger is faster.", 100, ge=1, le=1000
    )
    in_flight: int = _env(
        "MAILMUX_IN_FLIGHT", "Sends of a process that may be under way at once.", 50, ge=1, le=1000
    )
    batch: int = _env("MAILMUX_BATCH", "Emails claimed at once.", 200, ge=1, le=10_000)
    claim_cap: int = _env(
        "MAILMUX_CLAIM_CAP",
        "Claims that may die with an email before it is failed and shown.",
        5,
        ge=1,
        le=100,
    )
    drain_seconds: Positive = _env(
        "MAILMUX_DRAIN_SECONDS",
        "How long one task keeps working before it makes room for another lane.",
        20.0,
    )
    unknown_ttl_seconds: Positive = _env(
        "MAILMUX_UNKNOWN_TTL_SECONDS", "How long an email may stay unknown before that is final.", 86_400.0
    )
    resend_after_seconds: Positive = _env(
        "MAILMUX_RESEND_AFTER_SECONDS",
        "How long an unknown email of a type that resends waits for evidence.",
        60.0,
    )
    give_up_after_seconds: Positive = _env(
        "MAILMUX_GIVE_UP_AFTER_SECONDS", "How long an email that nobody takes is tried.", 259_200.0
    )
    silence_seconds: Positive = _env(
        "MAILMUX_SILENCE_SECONDS",
        "How long a worker may end no task at all, while Redis answers, before it is killed and started again.",
        120.0,
    )
    sweep_seconds: Positive = _env(
        "MAILMUX_SWEEP_SECONDS", "How often due lanes are rung and the claims of dead processes freed.", 5.0
    )


class Upkeep(_Group):
    """How often the clock's duties are done, in seconds, and how long what came to rest is kept, in days (0: for ever).

    Nothing of an email that still moves is taken away, `unknown` ones that wait for evidence included.
    """

    quota_seconds: Positive = _env(
        "MAILMUX_QUOTA_SECONDS", "How often quota windows that have ended are opened anew.", 60.0
    )
    measure_seconds: Positive = _env(
        "MAILMUX_MEASURE_SECONDS", "How often the providers' reliability and latency are measured.", 60.0
    )
    forget_keys_seconds: Positive = _env(
        "MAILMUX_FORGET_KEYS_SECONDS", "How often idempotency keys are deleted whose time is over.", 3600.0
    )
    purge_seconds: Positive = _env(
        "MAILMUX_PURGE_SECONDS", "How often what is older than the following is deleted.", 3600.0
    )
    repeat_seconds: Positive = _env(
        "MAILMUX_REPEAT_SECONDS",
        "How often calls are looked for that may be made again, because nobody knows how they ended.",
        5.0,
    )
    reports_seconds: Positive = _env(
        "MAILMUX_REPORTS_SECONDS", "How often mailboxes are read for bounces and complaints.", 60.0
    )
    keep_bodies_days: Days = _env(
        "MAILMUX_KEEP_BODIES_DAYS", "Texts and HTML of emails; they go up to three days later.", 30.0
    )
    keep_attempts_days: Days = _env("MAILMUX_KEEP_ATTEMPTS_DAYS", "Attempts, with their decisions.", 90.0)
    keep_timeline_days: Days = _env("MAILMUX_KEEP_TIMELINE_DAYS", "Timelines of emails.", 90.0)
    keep_events_days: Days = _env("MAILMUX_KEEP_EVENTS_DAYS", "What providers told, as they told it.", 90.0)
    keep_performance_days: Days = _env(
        "MAILMUX_KEEP_PERFORMANCE_DAYS", "The history of the providers' performance.", 400.0
    )
    keep_emails_days: Days = _env(
        "MAILMUX_KEEP_EMAILS_DAYS", "Emails with their recipients, subjects and all of the above.", 0.0
    )


class ProviderTimeouts(_Group):
    """How long a provider may take, in seconds."""

    connect_seconds: Positive = _env(
        "MAILMUX_PROVIDER_CONNECT_SECONDS", "How long connecting to a provider may take.", 5.0
    )
    read_seconds: Positive = _env(
        "MAILMUX_PROVIDER_READ_SECONDS",
        "How long a provider may be silent; then the outcome is unknown.",
        10.0,
    )
    total_seconds: Positive = _env(
        "MAILMUX_PROVIDER_TOTAL_SECONDS",
        "How long one send may take in all; an SMTP server has so long to answer the end of an email.",
        30.0,
    )


class _FromEnvironment(_Group):
    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Self:
        """Read and check everything at once.

        Raises SettingsError that names each variable which is missing, unreadable or wrong.
        """
        problems: dict[str, str] = {}
        values = _read(cls, environ, problems)
        cls.complete(values)
        try:
            settings = cls.model_validate(values)
        except ValidationError as error:
            for detail in error.errors(include_url=False, include_input=False):
                name = _variable(cls, detail["loc"])
                if f"{name}_FILE" not in problems:
                    problems.setdefault(name, _sentence(detail["type"], detail["msg"]))
        else:
            problems = problems | settings.contradictions()
            if not problems:
                return settings
        raise SettingsError(problems)

    @classmethod
    def complete(cls, values: dict[str, Any]) -> None:
        """Add what the environment leaves open and can be found elsewhere."""

    def contradictions(self) -> dict[str, str]:
        """Values that are right alone but not together."""
        return {}


class StartSettings(_FromEnvironment):
    """What `mailmux up` needs to know before the services run that it starts itself."""

    data_dir: Path = _env(
        "MAILMUX_DATA_DIR", "Where everything is kept that must survive a restart.", DEFAULT_DATA_DIR
    )
    database_url: DatabaseUrl | None = _env(
        "DATABASE_URL",
        "PostgreSQL 14 or later, `postgresql://user:password@host:5432/database`. "
        "Not set: the embedded one that `mailmux up` runs in the data directory.",
        None,
    )
    database_deadline_seconds: float = _env(
        "MAILMUX_DATABASE_DEADLINE_SECONDS",
        "How long a call to PostgreSQL may take before its connection is given up: a server that stands still "
        "costs callers so long. Statements are ended by the server five seconds earlier.",
        20.0,
        ge=6,
        le=600,
    )
    redis_url: RedisUrl | None = _env(
        "REDIS_URL",
        "Redis or Valkey 6.2 or later, `redis://:password@host:6379/0` or `rediss://`, with the policy "
        "`noeviction`. Not set: the embedded one that `mailmux up` runs in the data directory.",
        None,
    )
    encryption_keys: Keys | None = _env(
        "MAILMUX_ENCRYPTION_KEYS",
        "Keys for the provider credentials in the database, `id:base64,id2:base64`, 32 bytes each; the first is "
        "the current one. Not set: the one that `mailmux up` made in the data directory.",
        None,
    )
    api_host: str = _env("MAILMUX_API_HOST", "The address that the API listens on.", "127.0.0.1")
    api_port: Port = _env("MAILMUX_API_PORT", "The port that the API listens on.", 8025)
    api_workers: int = _env("MAILMUX_API_WORKERS", "API processes.", 1, ge=1, le=64)
    api_threads: int = _env(
        "MAILMUX_API_THREADS", "Requests that one API process serves at once.", 16, ge=1, le=256
    )
    renderers: int = _env(
        "MAILMUX_RENDERERS",
        "Processes that render templates, of one API process; they start when they are needed.",
        2,
        ge=1,
        le=32,
    )
    public_url: HttpUrl | None = _env(
        "MAILMUX_PUBLIC_URL", "The address under which the world reaches this service.", None
    )
    sandbox_url: HttpUrl | None = _env(
        "MAILMUX_SANDBOX_URL", "The control address of the provider sandbox, where one runs.", None
    )
    metrics_token: Token | None = _env(
        "MAILMUX_METRICS_TOKEN",
        "What a scraper of `/metrics` must send as `Authorization: Bearer …`. Not set: this machine only may ask, "
        "and no proxy on it.",
        None,
    )
    log_level: LogLevel = _env("MAILMUX_LOG_LEVEL", "DEBUG, INFO, WARNING or ERROR.", "INFO")
    max_body_bytes: int = _env(
        "MAILMUX_MAX_BODY_BYTES",
        "The largest request body that is read.",
        50_000_000,
        ge=1_000,
        le=500_000_000,
    )
    idempotency_ttl_hours: int = _env(
        "MAILMUX_IDEMPOTENCY_TTL_HOURS", "How long an Idempotency-Key is kept.", 72, ge=24, le=24 * 366
    )
    delivery: Delivery = Delivery()
    provider: ProviderTimeouts = ProviderTimeouts()
    upkeep: Upkeep = Upkeep()

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
        return problems


class Settings(StartSettings):
    """Everything that the API and the workers need to know.

    Where the environment names no services, those of the `mailmux up` that runs in the data directory are meant,
    so that `mailmux keys` and its like work beside it without any variable.
    """

    database_url: DatabaseUrl = _env("DATABASE_URL", "see StartSettings")
    redis_url: RedisUrl = _env("REDIS_URL", "see StartSettings")
    encryption_keys: Keys = _env("MAILMUX_ENCRYPTION_KEYS", "see StartSettings")

    @classmethod
    def complete(cls, values: dict[str, Any]) -> None:
        data_dir = Path(values.get("data_dir", DEFAULT_DATA_DIR))
        for field, name in LEFT_BY_UP.items():
            file = data_dir / name
            if field not in values and file.is_file():
                values[field] = file.read_text().strip()


def variables(model: type[BaseModel] = StartSettings) -> dict[str, tuple[str, Any, str]]:
    """Each variable with the dotted name of its field, its default and its meaning, in order."""
    found: dict[str, tuple[str, Any, str]] = {}
    for name, field in model.model_fields.items():
        extra = field.json_schema_extra
        if isinstance(extra, dict):
            found[str(extra["env"])] = (name, field.default, field.description or "")
        elif isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            inner = variables(field.annotation)
            found |= {env: (f"{name}.{path}", *rest) for env, (path, *rest) in inner.items()}
    return found


def _read(model: type[BaseModel], environ: Mapping[str, str], problems: dict[str, str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for env, (path, _, _) in variables(model).items():
        value = _read_variable(env, environ, problems)
        if value is None:
            continue
        group, _, name = path.rpartition(".")
        target = values.setdefault(group, {}) if group else values
        target[name] = value
    return values


def _read_variable(env: str, environ: Mapping[str, str], problems: dict[str, str]) -> str | None:
    value, file = environ.get(env, "").strip(), environ.get(f"{env}_FILE", "").strip()
    if value and file:
        problems[env] = f"is given twice: as {env} and as {env}_FILE"
    elif file:
        try:
            value = Path(file).read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            problems[f"{env}_FILE"] = f"cannot be read: {getattr(error, 'strerror', None) or 'not a text'}"
    return value or None


def _variable(model: type[BaseModel], location: tuple[int | str, ...]) -> str:
    wanted = ".".join(str(part) for part in location)
    for env, (path, _, _) in variables(model).items():
        if wanted == path or wanted.startswith(f"{path}."):
            return env
    return wanted


def _sentence(kind: str, message: str) -> str:
    if kind == "missing":
        return "is not set, and no `mailmux up` runs in the data directory (MAILMUX_DATA_DIR)"
    return message.removeprefix("Value error, ").replace("Input should", "should")
