"""Every HTTP dialect of the sandbox, as our adapters meet it: what arrives, and what each fault comes to."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import pytest

from domain.errors import (
    Misconfigured,
    OutcomeUnknown,
    ProviderError,
    ProviderUnavailable,
    RateLimited,
    Rejected,
    SenderNotVerified,
)
from domain.message import Address
from domain.ports import Provider
from providers import registry
from providers.world import Timeouts
from sandbox.dialects import HTTP_DIALECTS
from tests.contract.emails import a_rich_email_for, a_world, an_email, new_id
from tests.integration.sandbox_driver import Driver, running

FAULTS: dict[str, type[ProviderError]] = {
    "refuse": ProviderUnavailable,
    "unavailable": ProviderUnavailable,
    "ratelimit": RateLimited,
    "auth": Misconfigured,
    "reject": Rejected,
    "sender": SenderNotVerified,
    "timeout": OutcomeUnknown,
    "hang": OutcomeUnknown,
    "bare500": OutcomeUnknown,
    "drop": OutcomeUnknown,
    "garbage": OutcomeUnknown,
}
RECORDED = {"timeout", "drop", "garbage"}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driver]:
    folder = tmp_path_factory.mktemp("sandbox")
    accounts = folder / "wanted.json"
    accounts.write_text(json.dumps([{"name": name, "dialect": name} for name in sorted(HTTP_DIALECTS)]))
    with running(folder / "data", accounts_file=accounts) as driver:
        yield driver


@pytest.fixture(params=sorted(HTTP_DIALECTS))
def kind(request: pytest.FixtureRequest, shared: Driver) -> Iterator[str]:
    shared.control("DELETE", "/messages")
    yield str(request.param)
    shared.heal(str(request.param))


def adapter(driver: Driver, kind: str, **config: Any) -> Provider:
    known = driver.account(kind)
    more = {"custom_headers": True} if kind == "mailersend" else {}
    valid = registry.validate(kind, {"base_url": known["base_url"], **more, **config}, known["credentials"])
    return registry.build(kind, f"the-{kind}", *valid, a_world(Timeouts(connect=1, read=0.4, total=1)))


def test_every_part_of_an_email_is_recorded(shared: Driver, kind: str) -> None:
    submission, attempt = a_rich_email_for(kind), new_id()
    provider = adapter(shared, kind)
    result = provider.send(submission, attempt)
    provider.close()
    (seen,) = shared.received()
    message, envelope = submission.message, submission.envelope
    assert seen["message_id"] == result.provider_message_id
    assert (seen["attempt_id"], seen["email_id"]) == (str(attempt), str(submission.id))
    assert seen["from"] == {"email": envelope.sender.email, "name": envelope.sender.name}
    for field, people in (("to", "to"), ("cc", "cc")):
        wanted = [
            {"email": r.address.email, "name": r.address.name}
            for r in envelope.recipients
            if r.kind == people
        ]
        assert seen[field] == wanted
    assert [b["email"] for b in seen["bcc"]] == ["secret@recipient.example"]
    assert set(seen["envelope"]["to"]) == {r.address.email for r in envelope.recipients}
    assert seen["reply_to"] == [{"email": a.email, "name": a.name} for a in envelope.reply_to]
    assert seen["subject"].strip() == message.subject.strip()
    assert seen["text"].rstrip("\n") == (message.text or "").rstrip("\n")
    assert seen["html"].rstrip("\n") == (message.html or "").rstrip("\n")
    headers = {n: _plain(v) for n, v in seen["headers"]}
    assert {n: headers.get(n) for n, _ in message.headers} == dict(message.headers)
    assert sorted((a["name"], a["sha256"], a["content_id"]) for a in seen["attachments"]) == sorted(
        (a.filename, hashlib.sha256(a.content).hexdigest(), a.content_id or "") for a in message.attachments
    )
    assert seen["defects"] == []


def _plain(value: str) -> str:
    from email.header import decode_header, make_header

    return str(make_header(decode_header(value)))


def test_a_plain_email_is_recorded(shared: Driver, kind: str) -> None:
    """By the form, where a provider has one beside MIME."""
    provider = adapter(shared, kind)
    provider.send(
        an_email(to=(Address("ada@recipient.example", "Ada L."),), html="<p>Thank you.</p>"), new_id()
    )
    provider.close()
    (seen,) = shared.received()
    assert (seen["subject"], seen["text"].strip(), seen["html"].strip()) == (
        "Your receipt",
        "Thank you.",
        "<p>Thank you.</p>",
    )
    assert seen["to"] == [{"email": "ada@recipient.example", "name": "Ada L."}]


@pytest.mark.parametrize("mode", FAULTS)
def test_a_fault_means_the_same_in_every_dialect(shared: Driver, kind: str, mode: str) -> None:
    shared.fail(kind, mode)
    provider = adapter(shared, kind)
    with pytest.raises(ProviderError) as caught:
        provider.send(an_email(), new_id())
    assert type(caught.value) is FAULTS[mode]
    assert len(shared.received()) == (1 if mode in RECORDED else 0)
    shared.heal(kind)
    provider.send(an_email(), new_id())
    provider.close()


def test_a_check_passes_and_finds_wrong_credentials(shared: Driver, kind: str) -> None:
    provider = adapter(shared, kind)
    told = provider.check()
    provider.close()
    assert told.identities is None or [i.name for i in told.identities] == ["example.com"]
    known = shared.account(kind)
    wrong = {
        name: value[:-1] + ("x" if value[-1] != "x" else "y") for name, value in known["credentials"].items()
    }
    valid = registry.validate(kind, {"base_url": known["base_url"]}, wrong)
    provider = registry.build(kind, "wrong", *valid, a_world())
    with pytest.raises(Misconfigured):
        provider.check()
    with pytest.raises(Misconfigured):
        provider.send(an_email(), new_id())
    provider.close()
    assert shared.received() == []


def test_an_attempt_that_is_made_again_at_resend_is_one_email(shared: Driver) -> None:
    """Its answer was lost: the same call with the same key brings it back, and sends nothing."""
    shared.control("DELETE", "/messages")
    provider = adapter(shared, "resend")
    submission, attempt = an_email(), new_id()
    shared.fail("resend", "drop", count=1)
    with pytest.raises(OutcomeUnknown):
        provider.send(submission, attempt)
    (seen,) = shared.received()
    assert provider.send(submission, attempt).provider_message_id == seen["message_id"]
    assert len(shared.received()) == 1
    with pytest.raises(OutcomeUnknown, match="409"):
        provider.send(an_email(), attempt)
    provider.close()


def test_a_check_tells_of_the_one_domain_that_an_account_is_set_to(shared: Driver) -> None:
    provider = adapter(shared, "mailgun", domain="mail.sender.example")
    told = provider.check()
    provider.close()
    assert told.identities is not None
    assert [i.name for i in told.identities] == ["mail.sender.example"]
