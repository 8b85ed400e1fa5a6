"""Which mailbox host an address belongs to: deliverability is learned per host, not per domain.

The great hosts' own domains are known; of every other domain its MX host tells who runs it (RFC 5321, 5.1).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

OTHER: Final = "other"

_DOMAINS: Final = {
    "google": ("gmail.com", "googlemail.com"),
    "microsoft": (
        "outlook.com", "hotmail.com", "hotmail.co.uk", "hotmail.de", "hotmail.fr", "hotmail.it", "hotmail.es",
        "live.com", "live.co.uk", "live.nl", "msn.com", "passport.com",
    ),
    "yahoo": ("yahoo.com", "yahoo.co.uk", "yahoo.de", "yahoo.fr", "yahoo.it", "ymail.com", "rocketmail.com", "aol.com"),
    "apple": ("icloud.com", "me.com", "mac.com"),
    "gmx": ("gmx.de", "gmx.net", "gmx.com", "gmx.at", "gmx.ch", "web.de"),
    "mailru": ("mail.ru", "bk.ru", "inbox.ru", "list.ru"),
    "yandex": ("yandex.ru", "yandex.com", "ya.ru"),
    "proton": ("proton.me", "protonmail.com", "pm.me"),
}  # fmt: skip
_MX_SUFFIXES: Final = {
    "google": ("google.com", "googlemail.com"),
    "microsoft": ("mail.protection.outlook.com", "olc.protection.outlook.com", "mx.microsoft"),
    "yahoo": ("yahoodns.net",),
    "apple": ("icloud.com", "mail.icloud.com"),
    "gmx": ("gmx.net", "web.de"),
    "mailru": ("mail.ru", "mxs.mail.ru"),
    "yandex": ("yandex.net", "yandex.ru"),
    "proton": ("protonmail.ch",),
    "zoho": ("zoho.com", "zoho.eu", "zoho.in"),
    "proofpoint": ("pphosted.com", "ppe-hosted.com"),
    "mimecast": ("mimecast.com",),
    "barracuda": ("barracudanetworks.com",),
}
GROUPS: Final = (*sorted({*_DOMAINS, *_MX_SUFFIXES}), OTHER)
_GROUP_OF_DOMAIN: Final = {domain: group for group, domains in _DOMAINS.items() for domain in domains}
_NUMBER: Final = {name: number for number, name in enumerate(GROUPS)}


def group_of(domain: str, mx_hosts: Sequence[str] = ()) -> str:
    """The group of a recipient domain. `mx_hosts`: its mail exchangers, the most preferred first, where known."""
    own = _GROUP_OF_DOMAIN.get(domain.lower().rstrip("."))
    if own is not None:
        return own
    for host in mx_hosts:
        name = host.lower().rstrip(".")
        for group, suffixes in _MX_SUFFIXES.items():
            if any(name == s or name.endswith(f".{s}") for s in suffixes):
                return group
    return OTHER


@lru_cache(maxsize=65_536)
def group_number(domain: str) -> int:
    """The place of a recipient domain's group in GROUPS."""
    return _NUMBER[group_of(domain)]


def needs_mx(domain: str) -> bool:
    """Whether only the domain's mail exchangers can tell its group."""
    return domain.lower().rstrip(".") not in _GROUP_OF_DOMAIN
