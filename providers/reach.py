"""Which network addresses an account may be at.

An account that an operator set up may be anywhere: relays inside a company are common. A member's account may not
lead this service into the network that it stands in (server-side request forgery).
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052
# Translated by rules of the network that they are used in, so nobody outside knows which bits are the IPv4 address.
_LOCAL_NAT64 = IPv6Network("64:ff9b:1::/48")  # RFC 8215


def anywhere(_address: str) -> bool:
    return True


def public_only(address: str) -> bool:
    """Whether an IP address (as `socket.getaddrinfo` gives it) is one of the public internet.

    IPv4 addresses that travel inside IPv6 ones (mapped, NAT64, 6to4, Teredo) are unwrapped and judged themselves.
    """
    ip = ip_address(address.partition("%")[0])
    if isinstance(ip, IPv6Address):
        if (
            ip.is_site_local or ip in _LOCAL_NAT64
        ):  # fec0::/10: deprecated by RFC 3879, but still routed inside
            return False
        inner = _inner(ip)
        if inner is not None:
            return _global(inner)
    return _global(ip)


def _inner(ip: IPv6Address) -> IPv4Address | None:
    if ip.ipv4_mapped is not None:
        return ip.ipv4_mapped
    if ip in _NAT64:
        return IPv4Address(int(ip) & 0xFFFFFFFF)
    if ip.sixtofour is not None:
        return ip.sixtofour
    return ip.teredo[1] if ip.teredo is not None else None


def _global(ip: IPv4Address | IPv6Address) -> bool:
    return ip.is_global and not ip.is_multicast and not ip.is_reserved
