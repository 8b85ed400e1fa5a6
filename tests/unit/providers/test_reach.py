"""A member's account reaches the public internet only, however an inner address is dressed."""

from __future__ import annotations

import pytest

from domain.errors import Misconfigured
from providers import registry
from providers.reach import public_only
from providers.world import World
from tests.builders import NOW
from tests.unit.workers.test_doorbell import Clock


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0",
        "224.0.0.1", "255.255.255.255", "192.0.2.1", "240.0.0.1", "::1", "::", "fe80::1%eth0", "fc00::1", "ff02::1",
        "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::a00:1",
        "2002:7f00:1::", "2002:a00:1::", "2001:0:4136:e378:8000:63bf:80ff:fffe", "2001:db8::1",
        "fec0::1", "feff::1", "64:ff9b:1::808:808", "64:ff9b:1:a00:1:0:808:808",
    ],
)  # fmt: skip
def test_addresses_of_this_and_other_inner_networks_are_out_of_reach(address: str):
    assert not public_only(address)


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "8.8.8.8", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]
)
def test_public_addresses_are_within_reach(address: str):
    assert public_only(address)


@pytest.mark.parametrize(
    ("kind", "config", "credentials"),
    [
        ("smtp", {"host": "localhost", "port": 25, "tls": "none"}, {}),
        ("smtp", {"host": "127.0.0.1", "port": 25, "tls": "none"}, {}),
        ("sendgrid", {"base_url": "http://127.0.0.1:8025"}, {"api_key": "SG.key"}),
        ("sendgrid", {"base_url": "https://localhost:8025"}, {"api_key": "SG.key"}),
    ],
)
def test_a_members_account_at_an_inner_host_connects_nowhere_and_says_why(kind, config, credentials):
    world = World(clock=Clock(), wall_time=lambda: NOW, may_reach=public_only)
    built = registry.build(kind, "mine", *registry.validate(kind, config, credentials), world)
    with pytest.raises(Misconfigured, match="public address"):
        built.check()
