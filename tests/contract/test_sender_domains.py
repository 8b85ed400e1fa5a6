"""What each provider tells of a domain, in the form that it documents."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from copy import deepcopy
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
import yaml  # type: ignore[import-untyped]

from domain.errors import Misconfigured
from domain.sender_domains import DomainProvider, RecordKind, SenderDomain
from providers import registry
from tests.contract.emails import a_world
from tests.contract.recorded import CONTRACTS
from tests.contract.servers import Headers, HTTPServer

NAME = "news.shop.example"


class Account(HTTPServer):
    """Answers each path with what a test gave it, others with 404."""

    def __init__(self, paths: dict[str, Any]) -> None:
        super().__init__()
        self.paths = paths

    def answer(self, method: str, path: str, headers: Headers, body: bytes) -> tuple[int, Headers, bytes]:
        assert method == "GET"
        found = self.paths.get(path)
        status, content = (404, {"message": "Not found"}) if found is None else (200, found)
        if isinstance(found, int):
            status, content = found, {"message": "no"}
        return status, {"Content-Type": "application/json"}, json.dumps(content).encode()


CREDENTIALS: dict[str, dict[str, str]] = {
    "mailgun": {"api_key": "key-1"},
    "resend": {"api_key": "re_1"},
    "brevo": {"api_key": "xkeysib-1"},
    "sendgrid": {"api_key": "SG.1"},
    "ses": {"access_key_id": "AKIA1", "secret_access_key": "s"},
}
LISTED = "/domains?limit=100"  # Resend's
PATHS: dict[str, dict[str, Any]] = {
    # documentation.mailgun.com/docs/mailgun/api-reference/send/mailgun/domains/get-v4-domains--name-
    "mailgun": {
        f"/v4/domains/{NAME}": {
            "domain": {"name": NAME, "state": "active"},
            "receiving_dns_records": [{"record_type": "MX", "valid": "valid", "value": "mxa.mailgun.org"}],
            "sending_dns_records": [
                {"name": NAME, "record_type": "TXT", "valid": "valid", "value": "v=spf1 include:mailgun.org ~all"},
                {"name": f"mx._domainkey.{NAME}", "record_type": "TXT", "valid": "valid", "value": "k=rsa; p=MI"},
                {"name": f"email.{NAME}", "record_type": "CNAME", "valid": "unknown", "value": "mailgun.org"},
            ],
        }
    },
    # resend.com/docs/api-reference/domains/get-domain
    "resend": {
        LISTED: {"object": "list", "has_more": False, "data": [{"id": "d-1", "name": NAME, "status": "verified"}]},
        "/domains/d-1": {
            "object": "domain", "id": "d-1", "name": NAME, "status": "verified",
            "records": [
                {"record": "SPF", "name": "send.news", "type": "MX", "ttl": "Auto", "status": "verified",
                 "value": "feedback-smtp.us-east-1.amazonses.com", "priority": 10},
                {"record": "SPF", "name": "send.news", "type": "TXT", "ttl": "Auto", "status": "verified",
                 "value": "v=spf1 include:amazonses.com ~all"},
                {"record": "DKIM", "name": "resend._domainkey.news", "type": "TXT", "status": "verified",
                 "value": "p=MI"},
                {"record": "Receiving", "name": "news", "type": "MX", "status": "failed", "value": "in.resend.example"},
            ],
        },
    },
    # developers.brevo.com/reference/getdomainconfiguration-1
    "brevo": {
        f"/v3/senders/domains/{NAME}": {
            "domain": NAME, "verified": True, "authenticated": True,
            "dns_records": {
                "dkim_record": {"type": "TXT", "value": "k=rsa;p=MI", "host_name": "mail._domainkey", "status": True},
                "brevo_code": {"type": "TXT", "value": "brevo-code:1", "host_name": "", "status": True},
            },
        }
    },
    # twilio.com/docs/sendgrid/api-reference/domain-authentication/list-all-authenticated-domains
    "sendgrid": {
        f"/v3/whitelabel/domains?domain={NAME}&limit=50": [
            {
                "id": 1, "domain": NAME, "subdomain": "em1", "valid": True, "automatic_security": True,
                "dns": {
                    "mail_cname": {"valid": True, "type": "cname", "host": f"em1.{NAME}", "data": "u1.wl.sendgrid.net"},
                    "dkim1": {"valid": True, "type": "cname", "host": f"s1._domainkey.{NAME}",
                              "data": "s1.domainkey.u1.wl.sendgrid.net"},
                },
            }
        ]
    },
    # docs.aws.amazon.com/ses/latest/APIReference-V2/API_GetEmailIdentity.html
    "ses": {
        f"/v2/email/identities/{NAME}": {
            "IdentityType": "DOMAIN", "VerifiedForSendingStatus": True,
            "DkimAttributes": {"SigningEnabled": True, "Status": "SUCCESS", "Tokens": ["t1", "t2"]},
            "MailFromAttributes": {"MailFromDomain": f"bounce.{NAME}", "MailFromDomainStatus": "SUCCESS"},
        }
    },
}  # fmt: skip
WANTED = {
    "mailgun": {
        (RecordKind.SPF, NAME), (RecordKind.DKIM, f"mx._domainkey.{NAME}"), (RecordKind.TRACKING, f"email.{NAME}"),
    },
    "resend": {(RecordKind.RETURN_PATH, f"send.{NAME}"), (RecordKind.DKIM, f"resend._domainkey.{NAME}")},
    "brevo": {(RecordKind.DKIM, f"mail._domainkey.{NAME}"), (RecordKind.OWNERSHIP, NAME)},
    "sendgrid": {(RecordKind.RETURN_PATH, f"em1.{NAME}"), (RecordKind.DKIM, f"s1._domainkey.{NAME}")},
    "ses": {(RecordKind.DKIM, f"t1._domainkey.{NAME}"), (RecordKind.DKIM, f"t2._domainkey.{NAME}")},
}  # fmt: skip
RETURN_PATHS = {"sendgrid": f"em1.{NAME}", "ses": f"bounce.{NAME}"}
KINDS = sorted(PATHS)


@pytest.fixture
def account() -> Iterator[Account]:
    built = Account({})
    yield built
    built.stop()


def asked(kind: str, account: Account, name: str = NAME) -> SenderDomain | None:
    valid = registry.validate(kind, {"base_url": f"http://127.0.0.1:{account.port}"}, CREDENTIALS[kind])
    provider = registry.build(kind, f"the-{kind}", *valid, a_world())
    assert isinstance(provider, DomainProvider)
    try:
        return provider.sender_domain(name)
    finally:
        provider.close()


@pytest.mark.parametrize("kind", KINDS)
def test_a_verified_domain_is_told_with_its_records(kind: str, account: Account) -> None:
    account.paths = PATHS[kind]
    found = asked(kind, account)
    assert found is not None
    assert found.verified
    assert {(r.kind, r.name) for r in found.records} == WANTED[kind]
    assert found.return_path == RETURN_PATHS.get(kind)


@pytest.mark.parametrize("kind", KINDS)
def test_a_domain_that_the_account_does_not_have_is_not_verified_or_not_told_of(
    kind: str, account: Account
) -> None:
    nothing: dict[str, Any] = {"resend": {"data": []}, "sendgrid": []}
    if kind in nothing:
        account.paths = dict.fromkeys(PATHS[kind], nothing[kind])
    only_domains = kind in ("mailgun", "resend")  # the others let single addresses send as well
    assert asked(kind, account) == (SenderDomain(verified=False) if only_domains else None)


@pytest.mark.parametrize("kind", KINDS)
def test_credentials_that_may_not_ask_say_nothing(kind: str, account: Account) -> None:
    account.paths = dict.fromkeys(PATHS[kind], 403)
    assert asked(kind, account) is None


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("nonsense", [[], {"domain": 1}, "hello", [{"valid": 1}]], ids=repr)
def test_nonsense_is_an_error_and_not_a_verdict(kind: str, account: Account, nonsense: Any) -> None:
    account.paths = dict.fromkeys(PATHS[kind], nonsense)
    with suppress(Misconfigured):
        assert asked(kind, account) is None  # an empty list of domains says that there is none


def test_at_ses_a_verified_domain_stands_for_those_below_it(account: Account) -> None:
    account.paths = PATHS["ses"]
    found = asked("ses", account, f"deep.{NAME}")
    assert found is not None
    assert found.verified


# -- the official documents ----------------------------------------------------------------------------------

# SendGrid's document in hand is of sending only, and Brevo's is older than its domains.
MAILGUN, RESEND = CONTRACTS / "specs" / "mailgun.yaml", CONTRACTS / "specs" / "resend.json"


@pytest.mark.skipif(not MAILGUN.exists(), reason=f"no official document in {CONTRACTS}")
def test_mailguns_own_example_of_a_domain_is_read(account: Account) -> None:
    document = yaml.load(MAILGUN.read_text(), yaml.CSafeLoader)
    answer = document["paths"]["/v4/domains/{name}"]["get"]["responses"]["200"]["content"]["application/json"]
    example = answer["examples"]["Example"]["value"]
    account.paths = {"/v4/domains/mg.example.com": example}
    found = asked("mailgun", account, "mg.example.com")
    assert found is not None
    assert found.verified
    assert {(r.kind, r.type, r.name, r.value) for r in found.records} == {
        (RecordKind.SPF, "TXT", "mg.example.com", "v=spf1 include:mailgun.org ~all"),
        (RecordKind.DKIM, "TXT", "mx._domainkey.mg.example.com", "k=rsa; p=M......"),
        (RecordKind.TRACKING, "CNAME", "email.mg.example.com", "mailgun.org"),
    }
    # The example of the domain itself is not valid by the document's own schema; that of a record is.
    record = document["components"]["schemas"]["github.com-mailgun-domains-client-golang-Record"]
    for ours in PATHS["mailgun"][f"/v4/domains/{NAME}"]["sending_dns_records"]:
        whole = example["sending_dns_records"][0] | ours
        assert [e.message for e in jsonschema.Draft202012Validator(record).iter_errors(whole)] == []
        assert set(ours) <= set(record["properties"])


@pytest.mark.skipif(not MAILGUN.exists(), reason=f"no official document in {CONTRACTS}")
def test_a_domain_of_mailguns_without_records_is_read(account: Account) -> None:
    """Only `domain` is required there, and a record may be null."""
    for records in ({}, {"sending_dns_records": None}, {"sending_dns_records": [None]}):
        account.paths = {f"/v4/domains/{NAME}": {"domain": {"name": NAME, "state": "unverified"}, **records}}
        assert asked("mailgun", account) == SenderDomain(verified=False)


@pytest.mark.skipif(not RESEND.exists(), reason=f"no official document in {CONTRACTS}")
def test_resends_answers_that_are_read_are_those_of_its_document() -> None:
    document = json.loads(RESEND.read_text())
    for path, ours in (("/domains", LISTED), ("/domains/{domain_id}", "/domains/d-1")):
        operation = document["paths"][path]["get"]
        schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
        validator = jsonschema.Draft202012Validator({**schema, "components": document["components"]})
        answer = PATHS["resend"][ours]
        assert [e.message for e in validator.iter_errors(answer)] == []
    schemas = document["components"]["schemas"]
    assert set(PATHS["resend"]["/domains/d-1"]) <= set(schemas["Domain"]["properties"])
    limit = document["components"]["parameters"]["PaginationLimit"]["schema"]
    assert limit["maximum"] == 100
    assert set(schemas["Domain"]["properties"]["status"]["enum"]) == set(STATUSES)


STATUSES = ("pending", "verified", "failed", "not_started", "partially_verified", "partially_failed")


def resends(**changes: Any) -> dict[str, Any]:
    domain = deepcopy(PATHS["resend"]["/domains/d-1"]) | changes
    return {**PATHS["resend"], "/domains/d-1": domain}


@pytest.mark.parametrize("status", STATUSES)
def test_resend_sends_for_a_domain_whose_sending_records_are_verified(account: Account, status: str) -> None:
    account.paths = resends(status=status)
    found = asked("resend", account)
    assert found is not None
    assert found.verified == (status in ("verified", "partially_verified", "partially_failed"))
    account.paths["/domains/d-1"]["records"][2]["status"] = "failed"  # DKIM
    found = asked("resend", account)
    assert found is not None
    assert found.verified == (status == "verified")


def test_resend_may_have_a_domain_for_receiving_only(account: Account) -> None:
    account.paths = resends(capabilities={"sending": "disabled", "receiving": "enabled"})
    found = asked("resend", account)
    assert found is not None
    assert not found.verified


def test_a_domain_beyond_resends_first_page_is_found(account: Account) -> None:
    other = {"id": "d/0", "name": "other.example", "status": "verified"}
    account.paths = {
        **PATHS["resend"],
        LISTED: {"object": "list", "has_more": True, "data": [other]},
        f"{LISTED}&after=d%2F0": PATHS["resend"][LISTED],
    }
    found = asked("resend", account)
    assert found is not None
    assert found.verified
