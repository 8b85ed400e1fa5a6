"""Which mailbox host an address belongs to: deliverability is learned per host, not per domain.

The great hosts' own domains are known; of every other domain its MX host tells who runs it (RFC 5321, 5.1).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

OTHER: Final = "other"
_MOST_KEPT, _MOST_WANTED = 200_000, 2_000  # domains

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
GROUP_OF_DOMAIN: Final = {domain: group for group, domains in _DOMAINS.items() for domain in domains}
_NUMBER: Final = {name: number for number, name in enumerate(GROUPS)}


def group_of(domain: str, mx_hosts: Sequence[str] = ()) -> str:
    """The group of a recipient domain. `mx_hosts`: its mail exchangers, the most preferred first, where known."""
    own = GROUP_OF_DOMAIN.get(domain.lower().rstrip("."))
    if own is not None:
        return own
    for host in mx_hosts:
        name = host.lower().rstrip(".")
        for group, suffixes in _MX_SUFFIXES.items():
            if any(name == s or name.endswith(f".{s}") for s in suffixes):
                return group
    return OTHER


class MailboxHosts:
    """What mail exchangers have told of domains, kept in this process. Whoever looks them up asks `wanted()`, and
    tells with `learn()`; until then a domain counts as of no known host.
    """

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._wanted: set[str] = set()

    def number(self, domain: str) -> int:
        """The place of a domain's group in GROUPS. `domain` in lower case."""
        number = self._numbers.get(domain)
        if number is None:
            own = GROUP_OF_DOMAIN.get(domain.rstrip("."))
            number = _NUMBER[OTHER if own is None else own]
            if own is not None:
                self.learn({domain: own})
            elif len(self._wanted) < _MOST_WANTED:
                self._wanted.add(domain)
        return number

    def wanted(self) -> set[str]:
        """The domains that were asked for and are not known, since this was asked last."""
        found, self._wanted = self._wanted, set()
        return found

    def learn(self, groups: Mapping[str, str]) -> None:
        """`groups`: by domain. A group that is none counts as no known host."""
        if len(self._numbers) + len(groups) > _MOST_KEPT:
            self._numbers = {}
        self._numbers.update((domain, _NUMBER.get(group, _NUMBER[OTHER])) for domain, group in groups.items())


HOSTS: Final = MailboxHosts()
"""Of this process."""


def group_number(domain: str) -> int:
    """The place of a recipient domain's group in GROUPS, as far as it is known here. `domain` in lower case."""
    return HOSTS.number(domain)
