"""Where a request comes from: the address that connects, or what a proxy that is trusted says."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address

from flask import Request


def client_address(request: Request, trusted: Sequence[IPv4Network | IPv6Network]) -> str | None:
    """The last address of X-Forwarded-For that is no proxy of ours; what stands before it anybody may have written."""
    hops = [hop.strip() for hop in request.headers.get("X-Forwarded-For", "").split(",") if hop.strip()]
    address = request.remote_addr
    while _is_in(address, trusted) and hops:
        address = hops.pop()
    return address


def _is_in(address: str | None, networks: Sequence[IPv4Network | IPv6Network]) -> bool:
    try:
        found = ip_address(address or "")
    except ValueError:
        return False
    if (
        isinstance(found, IPv6Address) and found.ipv4_mapped is not None
    ):  # an IPv4 proxy, where we listen on ::
        found = found.ipv4_mapped
    return any(found in network for network in networks)
