"""/v1/domains: what a user sends from, as accounts and the DNS have it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from api.app import create_app
from api.gathering import Gathering
from domain.errors import ProviderUnavailable
from domain.intake import HouseRules
from domain.sender_domains import DomainRecord, RecordKind, SenderDomain
from tests.builders import new_id
from tests.integration.api.world import EMAIL, Caller, CheckedProvider, World

NAME = "example.com"
KEY = DomainRecord(RecordKind.DKIM, "CNAME", f"s1._domainkey.{NAME}", "s1.esp.example")


class Asked(CheckedProvider):
    """An account that tells of domains."""

    says: Any = None

    def sender_domain(self, name: str) -> SenderDomain | None:
        assert name == NAME
        if isinstance(self.says, Exception):
            raise self.says
        found: SenderDomain | None = self.says
        return found


@pytest.fixture
def says(world: World) -> dict[str, Any]:
    """What each account says when it is asked, by its name."""
    told: dict[str, Any] = {}

    def build(
        kind: str, name: str, config: Mapping[str, Any], credentials: Mapping[str, str], *, trusted: bool
    ) -> Any:
        provider = Asked()
        object.__setattr__(provider, "says", told.get(name))
        return provider

    world.app.extensions["mailmux"] = replace(world.deps, build_provider=build)
    return told


def made(caller: Caller, name: str = NAME) -> str:
    answer = caller.post("/v1/domains", {"name": name})
    assert answer.status_code == 201, answer.text
    found: str = answer.get_json()["id"]
    return found


def checked(caller: Caller, domain: str) -> dict[str, Any]:
    answer = caller.post(f"/v1/domains/{domain}/check")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.get_json()
    return found


def kept_from(world: World, member: Caller) -> set[str]:
    """The accounts that emails from the domain do not go to."""
    rows = world.sql(
        """SELECT p.name FROM sender_domains s JOIN providers p ON p.id = s.provider_id
           WHERE s.domain = :name AND NOT s.verified AND s.retry_at > mm_now() AND p.user_id = :user""",
        name=NAME,
        user=member.user_id,
    )
    return {row.name for row in rows}


def test_a_domain_is_pending_until_it_is_checked(member: Caller, says: dict[str, Any]) -> None:
    domain = member.get(f"/v1/domains/{made(member)}").get_json()
    assert (domain["status"], domain["checked_at"], domain["spf"], domain["providers"]) == (
        "pending",
        None,
        None,
        [],
    )


def test_each_account_says_what_it_has_and_the_dns_what_is_there(
    world: World, member: Caller, says: dict[str, Any]
) -> None:
    for name in ("ok", "not", "mute", "away"):
        member.provider(name)
    says |= {
        "ok": SenderDomain(True, (KEY,), f"em1.{NAME}"),
        "not": SenderDomain(False, (replace(KEY, name="s2.x"),)),
        "away": ProviderUnavailable("away", "timed out"),
    }
    world.zone.add(KEY.name, "CNAME", "s1.esp.example")
    world.zone.add(NAME, "TXT", "v=spf1 -all")
    domain = checked(member, made(member))
    accounts = {p["provider"]: p for p in domain["providers"]}
    assert {name: p["state"] for name, p in accounts.items()} == {
        "ok": "verified", "not": "unverified", "mute": "unknown", "away": "unreachable",
    }  # fmt: skip
    assert accounts["ok"]["return_path"] == f"em1.{NAME}"
    assert accounts["ok"]["records"] == [
        {"kind": "dkim", "type": "CNAME", "name": KEY.name, "value": KEY.value, "priority": None,
         "found": ["s1.esp.example"], "ok": True}
    ]  # fmt: skip
    assert accounts["not"]["records"][0]["ok"] is False
    assert accounts["away"]["detail"] == "timed out"
    assert (domain["status"], domain["spf"]["ok"], domain["dmarc"]["ok"]) == ("verified", True, False)
    assert member.get("/v1/domains").get_json()["data"] == [domain]


def test_nothing_goes_through_an_account_where_it_is_not_verified_until_it_is(
    world: World, member: Caller, says: dict[str, Any]
) -> None:
    member.provider("one")
    member.provider("mute")
    domain = made(member)
    says["one"] = SenderDomain(verified=False)
    assert checked(member, domain)["status"] == "unverified"
    assert kept_from(world, member) == {"one"}
    says["one"] = ProviderUnavailable("one", "timed out")
    checked(member, domain)
    assert kept_from(world, member) == {"one"}, "what was known holds"
    says["one"] = SenderDomain(verified=True)
    assert checked(member, domain)["status"] == "verified"
    assert kept_from(world, member) == set()


def test_a_domain_that_is_deleted_keeps_nothing_back(
    world: World, member: Caller, says: dict[str, Any]
) -> None:
    member.provider("one")
    says["one"] = SenderDomain(verified=False)
    domain = made(member)
    checked(member, domain)
    assert member.delete(f"/v1/domains/{domain}").status_code == 204
    assert kept_from(world, member) == set()
    assert member.get(f"/v1/domains/{domain}").status_code == 404


def test_accounts_of_others_are_not_asked(world: World, member: Caller, says: dict[str, Any]) -> None:
    world.user().provider("theirs")
    assert checked(member, made(member))["providers"] == []


@pytest.mark.parametrize(
    ("given", "kept"),
    [("News.Example.COM", "news.example.com"), ("bücher.example", "xn--bcher-kva.example")],
)
def test_a_name_is_kept_as_addresses_have_it(member: Caller, given: str, kept: str) -> None:
    assert member.get(f"/v1/domains/{made(member, given)}").get_json()["name"] == kept


@pytest.mark.parametrize(
    "name",
    [
        "",
        "example",
        "a..b",
        "-a.example",
        "a@b.example",
        "a.example.",
        "1.2.3.4",
        "x" * 254,
        7,
        "a b.example",
    ],
)
def test_what_is_no_domain_is_refused(member: Caller, name: Any) -> None:
    answer = member.post("/v1/domains", {"name": name})
    assert (answer.status_code, [e["pointer"] for e in answer.get_json()["errors"]]) == (422, ["/name"])


def test_a_domain_is_declared_once_by_a_user(world: World, member: Caller) -> None:
    made(member)
    assert member.post("/v1/domains", {"name": NAME.upper()}).status_code == 409
    made(world.user())


# -- whose it is ---------------------------------------------------------------------------------------------


def prove(world: World, caller: Caller, name: str) -> str:
    """Declare a domain, write its record into the DNS, and have it checked; returns its id."""
    domain = made(caller, name)
    record = caller.get(f"/v1/domains/{domain}").get_json()["ownership"]["record"]
    assert (record["type"], record["name"], record["ok"]) == ("TXT", f"_mailmux.{name}", None)
    world.zone.add(record["name"], "TXT", record["value"])
    assert checked(caller, domain)["ownership"]["proved_at"]
    return domain


def refused(caller: Caller, sender: str) -> list[tuple[str, str]]:
    """What is said against an email from there; nothing: it is accepted."""
    answer = caller.post("/v1/emails", {**EMAIL, "from": sender})
    return [(e["pointer"], e["code"]) for e in answer.get_json().get("errors", ())]


NOT_YOURS = [("/from", "sender_domain_not_yours")]


def test_nobody_else_sends_from_a_domain_that_somebody_has_proved(world: World, member: Caller) -> None:
    other = world.user()
    assert refused(other, "shop@proved.example") == []
    prove(world, member, "proved.example")
    for sender in ("shop@proved.example", "Shop <a@PROVED.example>", "a@news.proved.example"):
        assert refused(member, sender) == []
        assert refused(other, sender) == NOT_YOURS
    assert refused(other, "a@notproved.example") == []
    batch = {"emails": [{**EMAIL, "from": "a@proved.example"}, EMAIL], "mode": "permissive"}
    results = other.post("/v1/emails/batch", batch).get_json()["results"]
    assert [r["status"] for r in results] == ["rejected", "queued"]
    assert other.post("/v1/routing/preview", {**EMAIL, "from": "a@proved.example"}).status_code == 422


def test_whoever_proves_it_too_sends_from_it_too(world: World, member: Caller) -> None:
    other = world.user()
    prove(world, member, "both.example")
    prove(world, other, "news.both.example")
    assert refused(other, "a@news.both.example") == refused(member, "a@news.both.example") == []
    assert refused(other, "a@both.example") == NOT_YOURS


def test_the_token_of_somebody_else_proves_nothing(world: World, member: Caller) -> None:
    prove(world, member, "token.example")
    other = world.user()
    assert checked(other, made(other, "token.example"))["ownership"]["proved_at"] is None
    assert refused(other, "a@token.example") == NOT_YOURS


def test_a_proof_holds_for_some_days_after_it_has_gone_from_the_dns(world: World, member: Caller) -> None:
    domain = prove(world, member, "gone.example")
    world.zone.remove("_mailmux.gone.example", "TXT")
    assert checked(member, domain)["ownership"]["proved_at"]
    world.zone.away = True
    world.sql("UPDATE domains SET missing_since = mm_now() - interval '4 days' WHERE id = :id", id=domain)
    assert checked(member, domain)["ownership"]["proved_at"], "a DNS that does not answer says nothing"
    world.zone.away = False
    shown = checked(member, domain)["ownership"]
    assert (shown["proved_at"], shown["record"]["ok"]) == (None, False)
    assert refused(world.user(), "a@gone.example") == []


def test_where_it_is_settled_so_nobody_sends_from_what_is_not_proved(world: World, member: Caller) -> None:
    gathering = Gathering(world.deps.units, world.bell, new_id, HouseRules(own_domains_only=True))
    strict = Caller(
        create_app(replace(world.deps, gathering=gathering)), member.user_id, member.public_id, member.key
    )
    assert refused(strict, "a@strict.example") == NOT_YOURS
    prove(world, member, "strict.example")
    assert refused(strict, "a@strict.example") == []


def test_what_else_is_wrong_is_said_without_a_word_about_a_sender_that_is_right(
    world: World, member: Caller
) -> None:
    other = world.user()
    prove(world, other, EMAIL["from"].rpartition("@")[2].strip(">"))
    wrong = {**EMAIL, "from": "a@mine.example", "subject": 7, "email_type": "undeclared"}
    answer = member.post("/v1/emails", wrong)
    assert {e["pointer"] for e in answer.get_json()["errors"]} == {"/subject", "/email_type"}
    world.sql("DELETE FROM domains WHERE user_id = :id", id=other.user_id)
