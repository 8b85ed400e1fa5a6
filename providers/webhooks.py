"""What the webhooks of several providers share: proofs, repeats, and the reading of what is wrongly formed.

A provider's module defines three things, and `providers.registry` finds them:

    class WebhookSecret(BaseModel)               one secret; an account has a list of them while they rotate
    class Webhook(JSONWebhook[WebhookSecret])    `prove` and `read`
    def webhook(name, config, secrets, world)    builds it; `name` is what its errors call the account
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
import json
import re
from abc import ABC, abstractmethod
from base64 import b64decode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Generic, Self, TypeVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from domain.events import (
    DeliveryEvent,
    EventType,
    Forged,
    InboundEvent,
    Notice,
    Unreadable,
    Verified,
    WebhookRequest,
)
from providers.fields import ATTEMPT, EMAIL

SKEW = timedelta(minutes=5)  # how far a provider's clock may be before ours
_ENHANCED = re.compile(r"(?<![\d.])([245]\.\d{1,3}\.\d{1,3})(?![\d.])")
_UNIX = re.compile(r"-?\d{1,16}(?:\.\d*)?", re.ASCII)
_MILLISECONDS = 1e11  # as seconds these would be of the year 5138, and as milliseconds of 1973
_BEYOND_MICROSECONDS = re.compile(r"(\.\d{6})\d+")
_LONGEST_KEY = 200  # characters
LONGEST_WORDS = 2_000  # characters of a text of an event
_WORDS = ("recipient", "status_code", "description", "mta_response", "click_url", "user_agent")

_WRONG = (ValueError, TypeError, LookupError, AttributeError)

Secret = TypeVar("Secret", bound=BaseModel)


class BasicAuthSecret(BaseModel):
    """Both or neither: the user and the password that the provider is to give with each call (RFC 7617)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    username: str | None = Field(default=None, min_length=1, max_length=200, pattern=r"^[^:\x00-\x1f]+$")
    password: SecretStr | None = Field(default=None, min_length=1, max_length=200)

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password go together")
        return self

    def check_basic(self, request: WebhookRequest) -> None:
        """Raise Forged where the call lacks the credentials that are configured."""
        if self.username is not None and self.password is not None:
            basic_auth(request, self.username, self.password.get_secret_value())


class SignedWebhook(ABC, Generic[Secret]):
    """domain.ports.WebhookReceiver over a list of secrets, any of which may prove a call."""

    def __init__(self, secrets: Sequence[Secret]) -> None:
        self._secrets = tuple(secrets)

    def verify(self, request: WebhookRequest, now: datetime) -> Verified:
        reason = "no webhook secret is configured"
        for secret in self._secrets:
            try:
                return self.prove(request, secret, now)
            except Forged as no:
                reason = str(no)
        raise Forged(reason)

    @abstractmethod
    def prove(self, request: WebhookRequest, secret: Secret, now: datetime) -> Verified:
        """Raise Forged unless this secret proves the call, whatever the call holds."""

    @abstractmethod
    def parse(self, request: WebhookRequest) -> Notice:
        """domain.ports.WebhookReceiver.parse."""


class JSONWebhook(SignedWebhook[Secret]):
    """A webhook whose body is JSON: one event, or a list of events."""

    def parse(self, request: WebhookRequest) -> Notice:
        """One item that cannot be read spoils no other: it is kept as an event that we have no word for."""
        found: list[InboundEvent] = []
        failure: Exception | None = None
        try:
            items = list(self.items(request))
        except _WRONG as reason:
            raise Unreadable(f"not in the documented form: {type(reason).__name__}") from reason
        for item in items:
            try:
                found += self._inbound(item, request)
            except _WRONG as reason:
                if len(items) == 1:
                    raise Unreadable(f"not in the documented form: {type(reason).__name__}") from reason
                failure = reason
                found += inbound([DeliveryEvent(EventType.UNKNOWN)], canonical(item))
        if failure is not None and all(event.event.type is EventType.UNKNOWN for event in found):
            raise Unreadable(f"not in the documented form: {type(failure).__name__}") from failure
        return Notice(tuple(found))

    def items(self, request: WebhookRequest) -> Iterable[Mapping[str, Any]]:
        """The events as the provider wrote them. Raise ValueError, TypeError or LookupError where it is none."""
        body = loads(request.body)
        return objects(body if isinstance(body, list) else [body])

    @abstractmethod
    def read(self, item: Mapping[str, Any], request: WebhookRequest) -> Iterable[DeliveryEvent]:
        """The events that one item tells of: several where it names several recipients.

        Fields may be missing or of the wrong type: `word`, `instant` and `attempt_of` take anything.
        """

    def _inbound(self, item: Mapping[str, Any], request: WebhookRequest) -> Iterable[InboundEvent]:
        if not isinstance(item, dict):
            raise TypeError("no object")
        return inbound(self.read(item, request), canonical(item))


def objects(found: list[Any]) -> list[Any]:
    """The items of a body, of which one may be of another form. Raises ValueError where all are."""
    if found and not any(isinstance(item, dict) for item in found):
        raise ValueError("not a list of objects")
    return found


def inbound(events: Iterable[DeliveryEvent], raw: str) -> list[InboundEvent]:
    """Give the events of one item their keys: the provider's id where it gives one, else the item's hash.

    An item on several recipients makes several events of one id, and the kind of event may be told by one id too.
    Texts of an event are cut at LONGEST_WORDS; `raw` has them whole.
    """
    digest = "sha256:" + hashlib.sha256(raw.encode("utf-8", "surrogatepass")).hexdigest()
    found: dict[str, InboundEvent] = {}
    for event in events:
        key = ":".join([event.event_id or digest, event.type.value, (event.recipient or "").lower()])
        if len(key) > _LONGEST_KEY or "\0" in key:
            key = "sha256:" + hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
        found.setdefault(key, InboundEvent(key, _cut(event), raw))
    return list(found.values())


def _cut(event: DeliveryEvent) -> DeliveryEvent:
    said = {name: getattr(event, name) for name in _WORDS}
    long = {name: text[:LONGEST_WORDS] for name, text in said.items() if text and len(text) > LONGEST_WORDS}
    return replace(event, **long) if long else event


def canonical(item: object) -> str:
    """One form for equal JSON values, so that a repeat in another order has the same hash."""
    return json.dumps(item, sort_keys=True, separators=(",", ":"))


def loads(body: bytes) -> Any:
    """JSON. Raises ValueError, also for what is nested too deep."""
    try:
        return json.loads(body)
    except RecursionError:
        raise ValueError("nested too deep") from None


def lines(body: bytes) -> list[Any]:
    """JSON lines, blank ones left out. Raises ValueError."""
    return [loads(line) for line in body.splitlines() if line.strip()]


# Proofs. All compare in constant time.


def basic_auth(request: WebhookRequest, username: str, password: str) -> None:
    """Raise Forged unless the call bears these credentials (RFC 7617, UTF-8)."""
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    try:
        credentials = b64decode(given.strip(), validate=True) if scheme.lower() == "basic" else b""
    except (binascii.Error, ValueError):
        credentials = b""
    if not hmac.compare_digest(credentials, f"{username}:{password}".encode()):
        raise Forged("the basic authentication is missing or wrong")


def bearer_auth(request: WebhookRequest, token: str) -> None:
    """Raise Forged unless the call bears this token (RFC 6750)."""
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not same(given.strip(), token):
        raise Forged("the token is missing or wrong")


def same(given: str, wanted: str) -> bool:
    """Whether two texts are equal, in constant time, whatever characters they hold."""
    return hmac.compare_digest(given.encode("utf-8", "replace"), wanted.encode("utf-8", "replace"))


def hmac_hex(given: str, secret: bytes, signed: bytes, algorithm: str = "sha256") -> None:
    """Raise Forged unless `given` is the HMAC of `signed` in hexadecimal."""
    if not same(given.strip().lower(), hmac.new(secret, signed, algorithm).hexdigest()):
        raise Forged("the signature is missing or wrong")


def lately(stamp: object, now: datetime, within: timedelta) -> None:
    """Raise Forged unless the signed time (Unix seconds) is at most `within` old and not in the future."""
    at = instant(stamp)
    if at is None:
        raise Forged("the signed time is missing or no time")
    if at < now - within or at > now + SKEW:
        raise Forged("the signed time is too far from now")


# Reading. These take whatever a provider sent, and give None for what is no such thing.


def word(value: object) -> str | None:
    """Text, or a number as text; None for everything else and for the empty text. NUL cannot be stored: it goes."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    return str(value).replace("\0", "").encode("utf-8", "replace").decode() or None


def words(value: object) -> tuple[str, ...]:
    """A list of texts; one text is a list of one."""
    found = value if isinstance(value, list) else [value]
    return tuple(w for w in map(word, found) if w is not None)


def mapping(value: object) -> Mapping[str, Any]:
    """An object; the empty one for everything else."""
    return value if isinstance(value, dict) else {}


def texts(value: object) -> dict[str, str]:
    """An object's values as texts, by name: what is neither text nor a number as JSON."""
    found = {word(name): word(text) or _as_json(text) for name, text in mapping(value).items()}
    return {name: text for name, text in found.items() if name is not None and text is not None}


def _as_json(value: object) -> str | None:
    return canonical(value) if isinstance(value, bool | list | dict) else None


def embedded(value: object) -> Mapping[str, Any]:
    """An object that stands as JSON within a text, or as it is; the empty one for everything else."""
    try:
        return mapping(loads(value.encode("utf-8", "replace")) if isinstance(value, str) else value)
    except ValueError:
        return {}


def flag(value: object) -> bool | None:
    """A truth value, also as a text or a number; None for what is none."""
    return {"true": True, "1": True, "false": False, "0": False}.get(str(value).strip().lower())


def instant(value: object) -> datetime | None:
    """A time in UTC. Unix seconds or milliseconds (a number, or a text of one), or RFC 3339 with up to nine decimals,
    where UTC is meant if nothing is said. None for what is no time, or is before 1970 or after 9998 (a database in
    another zone could not tell it).
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    text = str(value).strip()
    try:
        if isinstance(value, int | float) or _UNIX.fullmatch(text):
            stamp = float(text)
            found = datetime.fromtimestamp(stamp / 1000 if abs(stamp) >= _MILLISECONDS else stamp, UTC)
        else:
            said = datetime.fromisoformat(_BEYOND_MICROSECONDS.sub(r"\1", text))
            found = said.astimezone(UTC) if said.tzinfo is not None else said.replace(tzinfo=UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return found if 1970 <= found.year < 9999 else None


def email_of(metadata: object) -> UUID | None:
    """Our email's id, likewise."""
    return attempt_of(metadata, EMAIL)


def attempt_of(metadata: object, name: str = ATTEMPT) -> UUID | None:
    """Our attempt's id from the provider's copy of our metadata."""
    value = metadata.get(name) if isinstance(metadata, Mapping) else None
    try:
        return UUID(value) if isinstance(value, str) else None
    except ValueError:
        return None


def theirs(metadata: Mapping[str, str]) -> dict[str, str]:
    """The metadata without our ids."""
    return {name: value for name, value in metadata.items() if name not in (ATTEMPT, EMAIL)}


def labels_in_head(headers: object) -> tuple[tuple[str, ...], dict[str, str]]:
    """Tags and metadata from an email's head (a list of names and values), where another library that sends by the
    same account has put them (django-anymail: X-Tag, X-Tags, X-Metadata).
    """
    tags: list[str] = []
    metadata: dict[str, str] = {}
    for field in headers if isinstance(headers, list) else ():
        name, value = (word(mapping(field).get(part)) for part in ("name", "value"))
        match (name or "").lower():
            case "x-tag":
                tags += words(value)
            case "x-tags":
                tags += words(embedded(f'{{"tags":{value}}}').get("tags"))
            case "x-metadata":
                metadata |= texts(embedded(value))
    return tuple(tags), metadata


def enhanced_code(*said: object) -> str | None:
    """The first RFC 3463 status code in the texts."""
    for text in said:
        if isinstance(text, str) and (found := _ENHANCED.search(text)):
            return found[1]
    return None
