"""Kinds of providers, and settings that name all that is wrong with them at once."""

from __future__ import annotations

import random
from datetime import UTC, datetime

import pytest

from domain.capabilities import Capabilities
from providers import registry
from providers.registry import InvalidSettings, UnknownKind
from providers.world import World
from tests.contract.certificates import make_authority


class NoClock:
    chance = random.Random(1)

    def monotonic(self) -> float:
        return 0.0

    def sleep(self, seconds: float) -> None:
        raise AssertionError(f"slept {seconds}")


def paths(kind: str, config: dict[str, object], credentials: dict[str, object]) -> list[str]:
    with pytest.raises(InvalidSettings) as caught:
        registry.validate(kind, config, credentials)
    return sorted(p.path for p in caught.value.problems)


def test_an_unknown_kind_is_told_with_the_known_ones() -> None:
    with pytest.raises(UnknownKind) as caught:
        registry.kind("sendgird")
    assert str(caught.value) == f"no provider kind 'sendgird'; known: {', '.join(sorted(registry.KINDS))}"
    assert isinstance(caught.value, KeyError)


@pytest.mark.parametrize("kind", registry.kinds(), ids=lambda k: k.name)
def test_every_kind_is_complete(kind: registry.ProviderKind) -> None:  # type: ignore[type-arg]
    assert kind.title
    assert kind.Config.model_config["extra"] == "forbid"
    assert kind.Credentials.model_config["extra"] == "forbid"
    for name, field in kind.Credentials.model_fields.items():
        assert name == "username" or "Secret" in str(field.annotation)
    assert kind.Config.model_json_schema()["type"] == "object"


def test_all_wrong_fields_are_named_at_once() -> None:
    assert paths(
        "smtp",
        {"host": "not a host", "port": 70_000, "tls": "sometimes", "colour": "blue"},
        {"username": "x", "passwort": "y"},
    ) == ["config.colour", "config.host", "config.port", "config.tls", "credentials.passwort"]


@pytest.mark.parametrize(
    ("config", "credentials", "wrong"),
    [
        ({}, {}, ["config.host"]),
        ({"host": "h"}, {"username": "x"}, ["credentials"]),
        ({"host": "h"}, {"password": "x"}, ["credentials"]),
        ({"host": "h", "tls": "none"}, {"username": "x", "password": "y"}, ["config.tls"]),
        ({"host": "127.0.0.1", "tls": "none"}, {"username": "x", "password": "y"}, ["config.tls"]),
        ({"host": "h"}, {"username": "x\r\nRSET", "password": "y"}, ["credentials.username"]),
        ({"host": "h"}, {"username": "x", "password": "y\r\nRSET"}, ["credentials.password"]),
        ({"host": "h\r\nx"}, {}, ["config.host"]),
        ({"host": "h\n"}, {}, ["config.host"]),
        ({"host": "h", "local_hostname": "a\r\nRSET"}, {}, ["config.local_hostname"]),
        ({"host": "h", "ca_pem": "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----"}, {}, ["config.ca_pem"]),
        ({"host": "h", "ca_pem": "nonsense"}, {}, ["config.ca_pem"]),
        ({"host": "h", "max_connections": 0}, {}, ["config.max_connections"]),
    ],
)  # fmt: skip
def test_smtp_settings_that_cannot_work_are_refused(
    config: dict[str, object], credentials: dict[str, object], wrong: list[str]
) -> None:
    assert paths("smtp", config, credentials) == wrong


@pytest.mark.parametrize("host", ["mail.example.com", "smtp", "10.0.0.1", "::1", "2001:db8::1", "my_relay"])
def test_a_host_is_a_name_or_an_address(host: str) -> None:
    config, _ = registry.validate("smtp", {"host": host}, {})
    assert config.model_dump()["host"] == host


@pytest.mark.parametrize(
    "base_url",
    [
        "http://api.sendgrid.com",
        "http://127.0.0.1.evil.example",
        "http://10.0.0.1",
        "ftp://api.sendgrid.com",
        "api.sendgrid.com",
        "",
        "https://",
        "https://key@api.sendgrid.com",
        "https://a:b@api.sendgrid.com",
        "https://api.sendgrid.com/?x=1",
        "https://api.sendgrid.com/#x",
        "https://api.sendgrid.com?",
        "https://api.sendgrid.com/\r\nX: y",
        "https://api.sendgrid.com/a b",
        "https://api.sendgrid.com:99999",
        "https://bücher.example",
        "https://[::1",
    ],
)
def test_an_address_that_would_tell_the_key_to_others_is_refused(base_url: str) -> None:
    assert paths("sendgrid", {"base_url": base_url}, {"api_key": "SG.x"}) == ["config.base_url"]


@pytest.mark.parametrize(
    "base_url",
    [
        "https://api.eu.sendgrid.com",
        "http://127.0.0.1:8030",
        "http://localhost:1",
        "http://[::1]:2",
        "https://h/a/b",
    ],
)
def test_https_anywhere_and_http_on_this_machine_are_fine(base_url: str) -> None:
    config, _ = registry.validate("sendgrid", {"base_url": base_url + "/"}, {"api_key": "SG.x"})
    assert config.model_dump()["base_url"] == base_url


@pytest.mark.parametrize("key", ["", "a b", "a\r\nX: y", "schlüssel", "x" * 600])
def test_a_key_that_cannot_be_a_header_is_refused_without_being_told(key: str) -> None:
    with pytest.raises(InvalidSettings) as caught:
        registry.validate("sendgrid", {}, {"api_key": key})
    assert [p.path for p in caught.value.problems] == ["credentials.api_key"]
    assert not key or key not in str(caught.value)


def test_credentials_do_not_show_when_printed() -> None:
    _, credentials = registry.validate("smtp", {"host": "h"}, {"username": "u", "password": "hunter2"})
    assert "hunter2" not in f"{credentials!r} {credentials} {credentials.model_dump_json()}"
    config, credentials = registry.validate("sendgrid", {}, {"api_key": "SG.hunter2"})
    provider = registry.build(
        "sendgrid", "x", config, credentials, World(NoClock(), lambda: datetime.now(UTC))
    )
    assert "hunter2" not in repr(provider)
    provider.close()


def test_building_opens_no_connection_and_capabilities_need_no_credentials(tmp_path: object) -> None:
    world = World(NoClock(), lambda: datetime.now(UTC))
    config, credentials = registry.validate(
        "smtp", {"host": "192.0.2.1", "max_recipients": 7}, {"username": "u", "password": "p"}
    )
    provider = registry.build("smtp", "x", config, credentials, world)
    assert provider.capabilities == registry.kind("smtp").capabilities(config)
    assert provider.capabilities.max_recipients == 7
    provider.close()


def test_extra_trust_adds_to_the_systems(tmp_path_factory: pytest.TempPathFactory) -> None:
    authority = make_authority(tmp_path_factory.mktemp("ca"))
    world = World(NoClock(), lambda: datetime.now(UTC))
    assert len(world.trust(authority.pem).get_ca_certs()) == len(world.trust().get_ca_certs()) + 1


class Outside:
    """An entry point of someone else's package."""

    def __init__(self, name: str, offers: object) -> None:
        self.name, self.offers = name, offers

    def load(self) -> object:
        return self.offers


def a_kind(name: str) -> registry.ProviderKind:  # type: ignore[type-arg]
    ours = registry.kind("memory")
    return registry.ProviderKind(
        name, "Theirs", ours.Config, ours.Credentials, ours.build, lambda _: Capabilities(max_recipients=1)
    )


def test_third_parties_add_kinds_but_never_replace_ours() -> None:
    theirs = a_kind("pigeon")
    found = registry.load(
        [Outside("pigeon", theirs), Outside("lazy", lambda: a_kind("owl")), Outside("smtp", a_kind("smtp"))]
    )
    assert found == {"pigeon": theirs, "owl": found["owl"]}


def test_an_entry_point_that_offers_something_else_is_told() -> None:
    with pytest.raises(TypeError, match="entry point bad"):
        registry.load([Outside("bad", lambda: 5)])


@pytest.mark.parametrize("host", ["sandbox", "127.0.0.1", "localhost"])
def test_credentials_travel_without_tls_on_this_machine_and_to_the_hosts_that_were_named(host: str) -> None:
    config, credentials = {"base_url": f"http://{host}:8027"}, {"api_key": "SG.x"}
    valid, _ = registry.validate("sendgrid", config, credentials, ["sandbox"])
    assert valid == registry.settings("sendgrid", config, ["sandbox"])
    with pytest.raises(InvalidSettings, match="https"):
        registry.validate("sendgrid", {"base_url": "http://elsewhere:8027"}, credentials, ["sandbox"])


def test_without_a_name_no_other_machine_is_spoken_to_without_tls() -> None:
    assert paths("sendgrid", {"base_url": "http://sandbox:8027"}, {"api_key": "SG.x"}) == ["config.base_url"]
