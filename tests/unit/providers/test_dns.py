"""The DNS by dnspython, from a server on a socket."""

from __future__ import annotations

import pytest

from domain.sender_domains import ResolverAway
from providers.dns import DNS
from tests.zone import Zone, served


def test_records_are_read_as_they_are_compared() -> None:
    zone = Zone()
    zone.add("x.example", "TXT", '"v=spf1 " "-all"', "other")
    zone.add("x.example", "MX", "10 In.Mail.Example.")
    zone.add("a.x.example", "CNAME", "Key.ESP.example.")
    with served(zone) as server:
        resolver = DNS([server])
        assert sorted(resolver.look_up("x.example", "TXT")) == ["other", "v=spf1 -all"]
        assert resolver.look_up("x.example", "MX") == ["10 in.mail.example"]
        assert resolver.look_up("a.x.example", "CNAME") == ["key.esp.example"]
        assert resolver.look_up("x.example", "CNAME") == []
        assert resolver.look_up("nothing.example", "TXT") == []


def test_a_server_that_fails_or_is_silent_is_no_missing_record() -> None:
    zone = Zone()
    with served(zone) as server:
        with pytest.raises(ResolverAway):
            DNS([server], seconds=0.3).look_up("broken.example", "TXT")
        zone.away = True
        with pytest.raises(ResolverAway):
            DNS([server], seconds=0.3).look_up("x.example", "TXT")


@pytest.mark.parametrize("name", ["a..b", "x" * 300])
def test_a_name_that_is_none_is_refused_and_not_asked_for(name: str) -> None:
    with served(Zone()) as server, pytest.raises(ResolverAway):
        DNS([server], seconds=0.3).look_up(name, "TXT")
