"""The types of the values that variables hold, read from text."""

from __future__ import annotations

import base64
import binascii
import re
from decimal import Decimal, InvalidOperation
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field

from wiring.secret import KeyRing, Secret

_KEY_ID: Final = re.compile(r"[A-Za-z0-9_.-]{1,32}")
_KEY_BYTES: Final = 32
_SHORTEST_TOKEN: Final = 16


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


def _password(value: object) -> Secret:
    return value if isinstance(value, Secret) else Secret(str(value))


def _networks(value: object) -> tuple[Network, ...]:
    if isinstance(value, tuple):
        return value
    found = []
    for part in filter(None, (part.strip() for part in str(value).split(","))):
        try:
            found.append(ip_network(part))
        except ValueError:
            raise ValueError(f"{part!r} is no network like 10.1.0.0/16") from None
    return tuple(found)


def _hosts(value: object) -> object:
    if not isinstance(value, str):
        return value
    names = tuple(name.strip().lower() for name in value.split(",") if name.strip())
    if wrong := [name for name in names if not _HOST_NAME.fullmatch(name)]:
        raise ValueError(f"not a host's name: {', '.join(wrong)}")
    return names


def _dns_servers(value: object) -> object:
    if not isinstance(value, str):
        return value
    found = []
    for part in filter(None, (part.strip() for part in value.split(","))):
        host, port = (part, "53") if part.count(":") != 1 else part.split(":")
        try:
            found.append((str(ip_address(host.strip("[]"))), int(port)))
        except ValueError:
            raise ValueError(f"{part!r} is no address like 9.9.9.9 or 127.0.0.1:5353") from None
    return tuple(found)


def _rates(value: object) -> object:
    if not isinstance(value, str):
        return value
    found = {}
    for part in filter(None, (part.strip() for part in value.split(","))):
        currency, _, rate = part.partition("=")
        try:
            worth = Decimal(rate.strip())
        except InvalidOperation:
            worth = Decimal(0)
        if not re.fullmatch(r"[A-Z]{3}", currency.strip()) or not worth.is_finite() or worth <= 0:
            raise ValueError(f"{part!r} is no rate like EUR=1.08")
        found[currency.strip()] = worth
    return found


def _text(value: object) -> str:
    return value.reveal() if isinstance(value, Secret) else str(value)


_HOST_NAME = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?")

Network = IPv4Network | IPv6Network
DatabaseUrl = Annotated[Secret, BeforeValidator(_database_url)]
RedisUrl = Annotated[Secret, BeforeValidator(_redis_url)]
HttpUrl = Annotated[str, BeforeValidator(_http_url)]
Keys = Annotated[KeyRing, BeforeValidator(_key_ring)]
Port = Annotated[int, Field(ge=0, le=65535)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Password = Annotated[Secret, BeforeValidator(_password)]
Networks = Annotated[tuple[Network, ...], BeforeValidator(_networks)]
Hosts = Annotated[tuple[str, ...], BeforeValidator(_hosts)]
DnsServers = Annotated[tuple[tuple[str, int], ...], BeforeValidator(_dns_servers)]
Rates = Annotated[dict[str, Decimal], BeforeValidator(_rates)]
Token = Annotated[Secret, BeforeValidator(_token)]
Days = Annotated[float, Field(ge=0, le=36_500, allow_inf_nan=False)]
LogLevel = Annotated[
    Literal["DEBUG", "INFO", "WARNING", "ERROR"], BeforeValidator(lambda value: str(value).upper())
]


def env(name: str, meaning: str, default: Any = ..., **limits: Any) -> Any:
    """A field with the variable it is read from and the sentence that `docs/reference/settings.md` prints."""
    return Field(default, description=meaning, json_schema_extra={"env": name}, **limits)
