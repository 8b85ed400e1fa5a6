"""What accounts want in the DNS of a domain, held against what stands there."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.sender_domains import (
    DomainRecord,
    RecordKind,
    SenderDomain,
    State,
    Told,
    absolute,
    ask,
    inspect,
    lineage,
)
from tests.zone import Zone

NAME = "news.shop.example"
LABEL = st.from_regex(r"[a-z][a-z0-9]{0,8}", fullmatch=True)


def told(*records: DomainRecord, verified: bool = True) -> Told:
    return Told(UUID(int=1), "one", SenderDomain(verified, records))


def verdict(zone: Zone, record: DomainRecord) -> bool | None:
    (account,) = inspect(NAME, "t", [told(record)], zone).providers
    return account.records[0].ok


@pytest.mark.parametrize(
    ("written", "whole"),
    [
        ("send", "send.news.shop.example"),
        ("send.news", "send.news.shop.example"),
        ("send.news.shop.example.", "send.news.shop.example"),
        ("S1._domainkey", "s1._domainkey.news.shop.example"),
        ("@", NAME),
        ("", NAME),
    ],
)
def test_a_records_name_is_made_absolute_however_the_provider_writes_it(written: str, whole: str) -> None:
    assert absolute(written, NAME) == whole


@given(
    head=st.lists(LABEL, min_size=1, max_size=3), domain=st.lists(LABEL, min_size=2, max_size=4, unique=True)
)
def test_a_whole_name_stays_and_any_other_ends_with_the_zone(head: list[str], domain: list[str]) -> None:
    name = ".".join(domain)
    assert absolute(".".join([*head, name]), name) == ".".join([*head, name])
    assert absolute(".".join(head), name).endswith("." + domain[-1])


@pytest.mark.parametrize(
    ("record", "found", "ok"),
    [
        (DomainRecord(RecordKind.DKIM, "CNAME", "a.x", "Key.esp.example."), "key.esp.example", True),
        (DomainRecord(RecordKind.DKIM, "CNAME", "a.x", "key.esp.example"), "other.esp.example", False),
        (DomainRecord(RecordKind.DKIM, "TXT", "a.x", "k=rsa; p=AB CD"), "k=rsa;p=ABCD", True),
        (DomainRecord(RecordKind.DKIM, "TXT", "a.x", "k=rsa; p=ABCD"), "k=rsa; p=abcd", False),
        (DomainRecord(RecordKind.RETURN_PATH, "MX", "a.x", "in.esp.example", 10), "20 in.esp.example", True),
        (DomainRecord(RecordKind.SPF, "TXT", "a.x", "v=spf1 include:esp.example ~all"),
         "v=spf1 ip4:192.0.2.1 include:esp.example -all", True),
        (DomainRecord(RecordKind.SPF, "TXT", "a.x", "v=spf1 include:esp.example ~all"), "v=spf1 -all", False),
        (DomainRecord(RecordKind.DMARC, "TXT", "a.x", "v=DMARC1; p=none"), "v=DMARC1; p=reject", True),
    ],
)  # fmt: skip
def test_a_record_is_there_or_not(record: DomainRecord, found: str, ok: bool) -> None:
    zone = Zone()
    zone.add("a.x", record.type, found)
    assert verdict(zone, record) is ok


def test_a_dns_that_is_away_says_nothing_of_a_domain() -> None:
    zone = Zone()
    zone.away = True
    report = inspect(NAME, "t", [told(DomainRecord(RecordKind.DKIM, "TXT", "a.x", "p=1"))], zone)
    assert (report.spf.ok, report.dmarc.ok, report.providers[0].records[0].ok) == (None, None, None)
    assert zone.asked == 2, "each time takes seconds"


@pytest.mark.parametrize(
    ("records", "ok"),
    [
        (["v=spf1 -all"], True),
        (["v=spf1 -all", "v=spf1 ~all"], False),
        (["hello", "v=spf10"], False),
        ([], False),
    ],
)
def test_a_domain_has_one_spf_record(records: list[str], ok: bool) -> None:
    zone = Zone()
    zone.add(NAME, "TXT", *records)
    assert inspect(NAME, "t", [], zone).spf.ok is ok


@pytest.mark.parametrize(
    ("place", "record", "ok", "says"),
    [
        ("_dmarc.news.shop.example", "v=DMARC1; p=none", True, ""),
        ("_dmarc.shop.example", "v=DMARC1; p=reject; rua=mailto:a@x", True, "that of shop.example"),
        ("_dmarc.example", "v=DMARC1; p=reject", False, "no DMARC"),
        ("_dmarc.news.shop.example", "v=DMARC1; sp=none", False, "no policy"),
        ("_dmarc.news.shop.example", "v=spf1", False, "no DMARC"),
    ],
)
def test_dmarc_is_the_domains_own_or_of_one_above_it(place: str, record: str, ok: bool, says: str) -> None:
    zone = Zone()
    zone.add(place, "TXT", record)
    found = inspect(NAME, "t", [], zone).dmarc
    assert (found.ok, says in found.detail) == (ok, True)


def test_what_an_account_did_not_tell_is_no_verdict() -> None:
    unknown, away = Told(UUID(int=1), "one"), Told(UUID(int=2), "two", failure="timed out")
    assert [unknown.state, away.state, told(verified=False).state, told().state] == [
        State.UNKNOWN, State.UNREACHABLE, State.UNVERIFIED, State.VERIFIED,
    ]  # fmt: skip


def test_an_adapter_that_breaks_is_one_that_could_not_be_asked() -> None:
    class Broken:
        def sender_domain(self, name: str) -> SenderDomain | None:
            raise RuntimeError(f"secret words about {name}")

    found = ask(UUID(int=1), "one", Broken(), NAME)
    assert (found.state, found.failure) == (State.UNREACHABLE, "the adapter broke: RuntimeError")
    assert ask(UUID(int=1), "one", object(), NAME).state is State.UNKNOWN


@pytest.mark.parametrize(
    ("name", "whole"),
    [
        ("news.shop.example", ("news.shop.example", "shop.example")),
        ("shop.example", ("shop.example",)),
        ("localhost", ("localhost",)),
    ],
)
def test_who_has_a_domain_has_what_is_below_it(name: str, whole: tuple[str, ...]) -> None:
    assert lineage(name) == whole


@pytest.mark.parametrize(("found", "ok"), [("mailmux=t", True), ("mailmux=u", False), (None, False)])
def test_a_domain_is_proved_by_its_users_own_token(found: str | None, ok: bool) -> None:
    zone = Zone()
    if found is not None:
        zone.add("_mailmux.news.shop.example", "TXT", "v=spf1 -all", found)
    assert inspect(NAME, "t", [], zone).ownership.ok is ok
