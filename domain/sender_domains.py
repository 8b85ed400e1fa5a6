"""Domains that emails come from: whose they are, what a provider wants in their DNS, what stands there, and what that
means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Protocol, runtime_checkable
from uuid import UUID

from domain.errors import ProviderError


class RecordKind(StrEnum):
    """What a record is for."""

    SPF = "spf"
    DKIM = "dkim"
    DMARC = "dmarc"
    RETURN_PATH = "return_path"
    OWNERSHIP = "ownership"
    TRACKING = "tracking"


@dataclass(frozen=True, slots=True)
class DomainRecord:
    """A record that a provider wants. `name` is absolute, without the last dot; of an MX `value` is the host."""

    kind: RecordKind
    type: str
    name: str
    value: str
    priority: int | None = None


@dataclass(frozen=True, slots=True)
class SenderDomain:
    """A domain as an account has it. `verified`: the provider lets the account send from it."""

    verified: bool
    records: tuple[DomainRecord, ...] = ()
    return_path: str | None = None


@runtime_checkable
class DomainProvider(Protocol):
    """A provider that tells what it knows of a domain."""

    def sender_domain(self, name: str) -> SenderDomain | None:
        """None: it does not say, or single addresses of the domain may be allowed. Raises ProviderError."""
        ...


class ResolverAway(Exception):
    """The DNS did not answer. That says nothing of the name."""


class Resolver(Protocol):
    """The DNS. For several threads at once."""

    def look_up(self, name: str, type: str) -> Sequence[str]:
        """The records of a name; none where there are none. Texts of several strings are joined, hosts are in lower
        case without their last dot, MX are `priority host`. Raises ResolverAway.
        """
        ...


class _Briefly:
    """A resolver that is not asked any more once it has not answered twice: each time takes seconds."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver, self._left = resolver, 2

    def look_up(self, name: str, type: str) -> Sequence[str]:
        if not self._left:
            raise ResolverAway("it has not answered")
        try:
            return self._resolver.look_up(name, type)
        except ResolverAway:
            self._left -= 1
            raise


class State(StrEnum):
    """Of a domain at an account. `unknown`: the provider does not tell; `unreachable`: it could not be asked."""

    VERIFIED = "verified"
    UNVERIFIED = "unverified"
    UNKNOWN = "unknown"
    UNREACHABLE = "unreachable"


@dataclass(frozen=True, slots=True)
class Told:
    """What an account said when it was asked."""

    provider_id: UUID
    provider: str
    domain: SenderDomain | None = None
    failure: str | None = None

    @property
    def state(self) -> State:
        if self.failure is not None:
            return State.UNREACHABLE
        if self.domain is None:
            return State.UNKNOWN
        return State.VERIFIED if self.domain.verified else State.UNVERIFIED


@dataclass(frozen=True, slots=True)
class CheckedRecord:
    """A record with what stands in the DNS. `ok` None: the DNS did not answer."""

    record: DomainRecord
    found: tuple[str, ...]
    ok: bool | None


@dataclass(frozen=True, slots=True)
class Finding:
    """Of a policy that belongs to the domain itself. `ok` None: the DNS did not answer."""

    ok: bool | None
    found: tuple[str, ...]
    detail: str


@dataclass(frozen=True, slots=True)
class AtProvider:
    """A domain at one account."""

    told: Told
    records: tuple[CheckedRecord, ...]


@dataclass(frozen=True, slots=True)
class DomainReport:
    """All that is known of a domain at one moment. `ownership`: the record that proves whose it is."""

    ownership: CheckedRecord
    spf: Finding
    dmarc: Finding
    providers: tuple[AtProvider, ...]


def proof_of(name: str, token: str) -> DomainRecord:
    """The record by which a user proves that a domain is theirs: who can write it there may send from there."""
    return DomainRecord(RecordKind.OWNERSHIP, "TXT", f"_mailmux.{name}", f"mailmux={token}")


@lru_cache(maxsize=1024)  # senders' domains are few
def lineage(name: str) -> tuple[str, ...]:
    """A domain and those above it, down to two labels: whoever has one of them has what is below it."""
    labels = name.split(".")
    return tuple(".".join(labels[start:]) for start in range(max(1, len(labels) - 1)))


def ask(provider_id: UUID, provider: str, adapter: object, name: str) -> Told:
    """What an account says of a domain."""
    if not isinstance(adapter, DomainProvider):
        return Told(provider_id, provider)
    try:
        return Told(provider_id, provider, adapter.sender_domain(name))
    except ProviderError as error:
        return Told(provider_id, provider, failure=error.detail)
    except Exception as error:  # noqa: BLE001  # one adapter's fault must not stop what the others have to say
        return Told(provider_id, provider, failure=f"the adapter broke: {type(error).__name__}")


def inspect(name: str, token: str, told: Sequence[Told], resolver: Resolver) -> DomainReport:
    """Hold what proves the domain, and what the accounts want, against the DNS."""
    resolver = _Briefly(resolver)
    return DomainReport(
        _check(proof_of(name, token), resolver),
        _spf(name, resolver),
        _dmarc(name, resolver),
        tuple(
            AtProvider(one, tuple(_check(r, resolver) for r in one.domain.records))
            if one.domain is not None
            else AtProvider(one, ())
            for one in told
        ),
    )


def absolute(name: str, domain: str) -> str:
    """A record's name as providers write it, made absolute: whole, or without the part that the zone adds.

    `send.news` of `news.shop.example` is `send.news.shop.example`.
    """
    labels, own = name.rstrip(".").lower().split("."), domain.lower().split(".")
    if labels in (["@"], [""]):
        return domain.lower()
    if labels[-len(own) :] == own:
        return ".".join(labels)
    for shared in range(len(own) - 1, -1, -1):
        if labels[-shared:] == own[:shared] or not shared:
            return ".".join([*labels, *own[shared:]])
    raise AssertionError("no label is shared at last")


def _check(record: DomainRecord, resolver: Resolver) -> CheckedRecord:
    try:
        found = tuple(resolver.look_up(record.name, record.type))
    except ResolverAway:
        return CheckedRecord(record, (), None)
    return CheckedRecord(record, found, any(_fits(record, value) for value in found))


def _fits(record: DomainRecord, found: str) -> bool:
    if record.type == "MX":
        return found.split(" ", 1)[-1] == record.value.rstrip(".").lower()
    if record.type == "CNAME":
        return found == record.value.rstrip(".").lower()
    if _is_spf(record.value):
        # A domain has one SPF record for all that send for it, so what this one adds must be among the rest.
        wanted = {m for m in record.value.lower().split()[1:] if not m.lstrip("+-~?").startswith("all")}
        return _is_spf(found) and wanted <= set(found.lower().split())
    if record.kind is RecordKind.DMARC:
        return _is_dmarc(found)
    return "".join(found.split()) == "".join(record.value.split())


def _is_spf(text: str) -> bool:
    return text.lower().split(" ", 1)[0] == "v=spf1"


def _is_dmarc(text: str) -> bool:
    return text.replace(" ", "").lower().startswith("v=dmarc1;") or text.strip().lower() == "v=dmarc1"


def _spf(name: str, resolver: Resolver) -> Finding:
    """RFC 7208, 3.2: one record at most."""
    try:
        found = tuple(text for text in resolver.look_up(name, "TXT") if _is_spf(text))
    except ResolverAway:
        return Finding(None, (), "the DNS did not answer")
    if len(found) > 1:
        return Finding(False, found, "several SPF records: receivers take that for none (RFC 7208, 4.5)")
    if not found:
        return Finding(
            False, (), "no SPF record; a provider with a return path of its own does not need one here"
        )
    return Finding(True, found, "")


def _dmarc(name: str, resolver: Resolver) -> Finding:
    """RFC 7489, 6.6.3: of the domain, else of one above it."""
    labels = name.split(".")
    try:
        for start in range(len(labels) - 1):
            place = ".".join(labels[start:])
            found = tuple(text for text in resolver.look_up(f"_dmarc.{place}", "TXT") if _is_dmarc(text))
            if len(found) > 1:
                return Finding(False, found, f"several DMARC records at _dmarc.{place}: they count as none")
            if found:
                tags = dict(
                    part.strip().lower().partition("=")[::2] for part in found[0].split(";") if "=" in part
                )
                if tags.get("p") not in ("none", "quarantine", "reject"):
                    return Finding(False, found, "it says no policy (p=none, quarantine or reject)")
                return Finding(True, found, "" if start == 0 else f"that of {place}")
    except ResolverAway:
        return Finding(None, (), "the DNS did not answer")
    return Finding(
        False, (), f"no DMARC record: add TXT _dmarc.{name} with v=DMARC1; p=none, and tighten it later"
    )
