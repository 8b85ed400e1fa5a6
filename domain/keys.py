"""What an API key is limited to beside its scopes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network


@dataclass(frozen=True, slots=True)
class KeyLimits:
    """`senders`: addresses, and domains, that it may send from; `networks`: where it may be used, in CIDR form;
    `per_minute`: requests. Empty, or None: no limit of that kind.
    """

    senders: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    per_minute: int | None = None

    def may_send_as(self, email: str) -> bool:
        """`email` as it was checked: its domain in ASCII and lower case."""
        return not self.senders or email in self.senders or email.rpartition("@")[2] in self.senders

    def may_come_from(self, address: str | None) -> bool:
        """Whether it may be used from an address of the network. None: nobody knows which."""
        if not self.networks:
            return True
        try:
            found = ip_address(address or "")
        except ValueError:
            return False
        if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
            found = found.ipv4_mapped
        return any(found in ip_network(network) for network in self.networks)

    def under(self, other: KeyLimits) -> KeyLimits:
        """These limits, with the other's where these say nothing."""
        return KeyLimits(
            self.senders or other.senders,
            self.networks or other.networks,
            other.per_minute if self.per_minute is None else self.per_minute,
        )

    def beyond(self, other: KeyLimits) -> Iterator[str]:
        """The names of the limits in which this allows more than the other."""
        if other.senders and not all(
            s in other.senders or s.rpartition("@")[2] in other.senders for s in self.senders or ("",)
        ):
            yield "senders"
        wide = [ip_network(n) for n in other.networks]
        if wide and not (self.networks and all(_within(ip_network(n), wide) for n in self.networks)):
            yield "networks"
        if other.per_minute is not None and (self.per_minute is None or self.per_minute > other.per_minute):
            yield "per_minute"


NO_LIMITS = KeyLimits()


def _within(one: IPv4Network | IPv6Network, wide: list[IPv4Network | IPv6Network]) -> bool:
    return any(one.version == other.version and one.subnet_of(other) for other in wide)  # type: ignore[arg-type]
