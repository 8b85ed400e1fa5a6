"""Who runs a domain's mailboxes is found out aside from the emails, and once for all processes."""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from domain.sender_domains import ResolverAway
from routing.mailbox_groups import GROUPS, OTHER, MailboxHosts
from tests.integration.delivery.conftest import House
from workers.mailbox_hosts import AT_ONCE, HostFinder

MX = {
    "firm.example": ["20 backup.firm.example", "5 firm-example.mail.protection.outlook.com"],
    "club.example": ["10 aspmx.l.google.com"],
    "own.example": ["10 mx.own.example"],
    "none.example": [],
}


class Names:
    """A resolver of a few names; others it cannot reach."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def look_up(self, name: str, type: str) -> Sequence[str]:
        assert type == "MX"
        self.asked.append(name)
        if name not in MX:
            raise ResolverAway(name)
        return MX[name]


def finder(house: House) -> tuple[HostFinder, MailboxHosts, Names]:
    hosts, names = MailboxHosts(), Names()
    return HostFinder(house.units, names, structlog.get_logger("test"), hosts), hosts, names


def groups(hosts: MailboxHosts, *domains: str) -> list[str]:
    return [GROUPS[hosts.number(domain)] for domain in domains]


def test_the_most_preferred_exchanger_tells_the_host(house: House) -> None:
    found, hosts, _ = finder(house)
    assert groups(hosts, *MX) == [OTHER] * 4
    assert found.step() == 0
    assert groups(hosts, *MX) == ["microsoft", "google", OTHER, OTHER]
    assert hosts.wanted() == set(), "also those of no known host are known now"


def test_what_one_process_found_another_reads_for_a_week(house: House) -> None:
    first, hosts, _ = finder(house)
    groups(hosts, "firm.example")
    first.step()
    second, others, names = finder(house)
    groups(others, "firm.example")
    second.step()
    assert (groups(others, "firm.example"), names.asked) == (["microsoft"], [])
    house.pass_time(8 * 86_400)
    third, later, names = finder(house)
    groups(later, "firm.example")
    third.step()
    assert names.asked == ["firm.example"]


def test_a_domain_that_the_dns_does_not_tell_of_is_asked_for_with_its_next_email(house: House) -> None:
    found, hosts, names = finder(house)
    for _ in range(2):
        assert groups(hosts, "away.example") == [OTHER]
        found.step()
    assert names.asked == ["away.example"] * 2
    assert house.all("SELECT 1 FROM mailbox_hosts") == []


def test_many_domains_are_looked_up_some_at_a_time(house: House) -> None:
    found, hosts, names = finder(house)
    groups(hosts, *(f"d{n}.example" for n in range(AT_ONCE + 7)))
    assert found.step() == 7
    assert found.step() == 0
    assert len(names.asked) == AT_ONCE + 7
