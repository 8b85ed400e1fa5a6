"""Mailgun's forms of an email, and the words of its refusals."""

from __future__ import annotations

import json
from email import message_from_bytes
from typing import Any, cast

import jsonschema  # type: ignore[import-untyped]
import pytest
import yaml  # type: ignore[import-untyped]

from domain.checkup import SenderIdentity
from domain.errors import (
    Misconfigured,
    OutcomeUnknown,
    ProviderError,
    ProviderUnavailable,
    RateLimited,
    Rejected,
    SenderNotVerified,
    Unsupported,
)
from domain.labels import fitting
from domain.message import Address, Attachment, Disposition, Submission, Tracking
from domain.ports import Letter
from providers import registry
from providers.calls import BatchProvider
from providers.exchange import Request, Response
from providers.registry import InvalidSettings
from tests.contract.adapters import adapter, composed, judged
from tests.contract.emails import a_rich_email_for, an_email, new_id
from tests.contract.http_servers import Part, read_form
from tests.contract.recorded import CONTRACTS

SPEC = CONTRACTS / "specs" / "mailgun.yaml"
PDF = Attachment("a.pdf", "application/pdf", b"%PDF")


def form(submission: Submission, **config: Any) -> list[Part]:
    request = composed("mailgun", submission, **config)
    return read_form(request.headers["Content-Type"], request.body)


def fields(submission: Submission, **config: Any) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, filename, _, content in form(submission, **config):
        if filename is None:
            found.setdefault(name, []).append(content.decode())
    return found


def test_what_was_not_asked_for_is_not_mentioned() -> None:
    assert set(fields(an_email())) == {
        "from",
        "to",
        "subject",
        "text",
        "v:mailmux_attempt",
        "v:mailmux_email",
    }


@pytest.mark.parametrize(
    ("config", "url"),
    [
        ({}, "https://api.mailgun.net"),
        ({"region": "eu"}, "https://api.eu.mailgun.net"),
        ({"region": "eu", "base_url": "https://relay.example/mg"}, "https://relay.example/mg"),
    ],
)
def test_the_region_says_where(config: dict[str, str], url: str) -> None:
    assert adapter("mailgun", **config).base_url == url


def test_an_email_goes_by_the_accounts_domain_or_its_senders() -> None:
    assert composed("mailgun", an_email()).path == "/v3/sender.example/messages"
    assert composed("mailgun", an_email(), domain="mg.shop.example").path == "/v3/mg.shop.example/messages"


@pytest.mark.parametrize(
    "domain", ["a/b.example", "a.example?x", "example", "-a.example", "a..example", "a.example\n"]
)
def test_a_domain_that_is_none_is_refused(domain: str) -> None:
    with pytest.raises(InvalidSettings, match=r"config\.domain"):
        registry.validate("mailgun", {"domain": domain}, {"api_key": "k"})


def test_tracking_test_mode_and_several_reply_tos_are_options() -> None:
    found = fields(
        an_email(
            tracking=Tracking(opens=False, clicks=True),
            reply_to=(Address("a@b.example", "A, B"), Address("c@d.example")),
        ),
        test_mode=True,
    )
    assert (found["o:tracking-opens"], found["o:tracking-clicks"], found["o:testmode"]) == (
        ["no"],
        ["yes"],
        ["yes"],
    )
    assert found["h:Reply-To"] == ['"A, B" <a@b.example>, c@d.example']


def test_tags_and_metadata_travel_or_the_email_goes_elsewhere() -> None:
    assert fields(an_email(tags=("a", "b", "c")))["o:tag"] == ["a", "b", "c"]
    for tags in (("a", "b", "c", "d"), ("x" * 129,), ("första",)):
        with pytest.raises(Unsupported, match="tag"):
            fields(an_email(tags=tags))
    assert fields(an_email(metadata={"order": "åäö"}))["v:order"] == ["åäö"]
    for metadata in (
        {"mailmux_attempt": "forged"},
        {"order": "x" * 16_000},
        {"första": "1"},
        {'a"': "1"},
        {"a%22": "1"},
    ):
        with pytest.raises(Unsupported, match="metadata"):
            fields(an_email(metadata=metadata))


@pytest.mark.parametrize(
    "submission",
    [
        an_email(to=(), cc=(Address("a@recipient.example"),)),
        an_email(to=(), bcc=(Address("a@recipient.example"),)),
        an_email(subject=""),
        an_email(text=""),
        an_email(headers=(("X-A", "1"), ("X-A", "2"))),
        an_email(attachments=(Attachment('a "b".pdf', "application/pdf", b"x"),)),
        an_email(html="x", attachments=(Attachment("l.png", "image/png", b"x", Disposition.INLINE, "logo"),)),
        an_email(attachments=(Attachment("a.pdf", "application/pdf", b"x", content_id="a"),)),
        an_email(headers=tuple((f"X-{n}", "x" * 900) for n in range(18))),
    ],
    ids=[
        "cc-only",
        "bcc-only",
        "no-subject",
        "empty",
        "header-twice",
        "quotes",
        "inline-name",
        "content-id",
        "long-headers",
    ],
)
def test_what_the_form_cannot_say_goes_as_mime(submission: Submission) -> None:
    request = composed("mailgun", submission)
    assert request.path == "/v3/sender.example/messages.mime"
    parts = form(submission)
    (message,) = (content for name, _, _, content in parts if name == "message")
    assert message_from_bytes(message)["subject"] is not None
    to = {value.decode() for name, _, _, value in parts if name == "to"}
    assert to == {r.address.email for r in submission.envelope.recipients}


def test_all_options_together_are_within_mailguns_bound() -> None:
    """16 KB, with the longest of each that is carried; more of metadata keeps no email from going, and stays here."""
    headers = tuple((f"X-{n}", "x" * 900) for n in range(4))
    entries = {f"{n:04}": "v" * 4 for n in range(1000)}
    tags = tuple(f"{n}" + "t" * 127 for n in range(3))
    email = an_email(headers=headers, metadata=entries, tags=tags, tracking=Tracking(True, True))
    with pytest.raises(Unsupported, match="metadata"):
        fields(email, test_mode=True)
    told = fitting(adapter("mailgun").capabilities, email)
    assert 500 < len(told.metadata) < 1000
    found = fields(told, test_mode=True)
    options = [(n, v) for n, values in found.items() if n[1] == ":" for v in values]
    assert 12_000 < sum(len(n) + len(v.encode()) for n, v in options) < 16_000


def test_an_inline_file_that_is_named_as_it_is_called_goes_by_the_form() -> None:
    logo = Attachment("logo.png", "image/png", b"x", Disposition.INLINE, "logo.png")
    assert ("inline", "logo.png", "image/png", b"x") in form(an_email(html="<img>", attachments=(logo,)))


@pytest.mark.parametrize(
    "submission",
    [
        an_email(attachments=(Attachment("", "text/plain", b"x"),)),
        an_email(to=tuple(Address(f"r{n}@recipient.example") for n in range(1001))),
        an_email(attachments=(Attachment("big.bin", "application/octet-stream", bytes(20_000_000)),)),
    ],
    ids=["no-name", "1001", "25MB"],
)
def test_what_mailgun_cannot_express_is_refused_before_the_wire(submission: Submission) -> None:
    with pytest.raises(Unsupported):
        composed("mailgun", submission)


# -- errors ------------------------------------------------------------------------------------------------

NOT_ALLOWED = "Domain sender.example is not allowed to send: "
TO = "to parameter is not a valid address. please check documentation."
DOCUMENTED: list[tuple[int, Any, type[ProviderError]]] = [
    # The official document, POST /v3/{domain_name}/messages.
    (400, {"message": TO}, Rejected),
    (400, {"message": "Only one parameters 'html' or 'template' is allowed."}, Rejected),
    (400, {"message": "Need at least one of 'text', 'html', 'amp-html' or 'template' specified."}, Rejected),
    (400, {"message": "from parameter is missing. "}, Rejected),
    (
        400,
        {"message": "Send options (parameters starting with o:, h:, or v:) are limited to 16KB total"},
        Unsupported,
    ),
    (401, b"Forbidden", Misconfigured),
    (401, b'"Forbidden"', Misconfigured),
    (
        429,
        {"message": f"{NOT_ALLOWED}account-requests-per-sec limit exceeded, try again after 120 seconds"},
        RateLimited,
    ),
    (500, {"message": "Internal Server Error"}, OutcomeUnknown),
    # As its users quote it.
    (
        403,
        {"message": f"{NOT_ALLOWED}The domain is unverified and requires DNS configuration."},
        SenderNotVerified,
    ),
    (403, {"message": f"{NOT_ALLOWED}Sandbox subdomains are for test purposes only."}, SenderNotVerified),
    (403, {"message": f"{NOT_ALLOWED}Please activate your Mailgun account."}, Misconfigured),
    (400, {"message": "Free accounts are for test purposes only. Please upgrade."}, Misconfigured),
    (403, {"message": "Your account has been disabled"}, Misconfigured),
    (404, {"message": "Domain not found: sender.example"}, SenderNotVerified),
    (413, b"<html>Request Entity Too Large</html>", Unsupported),
    (502, b"", OutcomeUnknown),
    (503, b"", ProviderUnavailable),
]


@pytest.mark.parametrize(("status", "body", "meaning"), DOCUMENTED)
def test_every_known_answer_has_its_place(status: int, body: Any, meaning: type[ProviderError]) -> None:
    assert type(judged("mailgun", status, body)) is meaning


def test_a_domain_that_is_not_there_is_the_accounts_fault_where_the_account_names_it() -> None:
    answer = Response(404, {}, b'{"message":"Domain not found: mg.example"}')
    assert type(adapter("mailgun", domain="mg.example").judge(answer)) is Misconfigured


@pytest.mark.parametrize(
    ("words", "headers", "seconds"),
    [
        ("limit exceeded, try again after 120 seconds", {}, 120),
        ("limit exceeded, try again in 5 seconds", {"retry_after": "9"}, 5),
        ("limit exceeded", {"retry_after": "9"}, 9),
        ("limit exceeded", {}, None),
    ],
)
def test_how_long_to_wait_is_in_the_words(words: str, headers: dict[str, str], seconds: float | None) -> None:
    error = judged("mailgun", 429, {"message": words}, **headers)
    assert isinstance(error, RateLimited)
    assert error.retry_after == seconds


def test_a_plain_refusal_is_told() -> None:
    error = judged("mailgun", 401, b"Forbidden", content_type="text/plain")
    assert error is not None
    assert error.detail == "401: Forbidden"


@pytest.mark.parametrize("body", [b"", b"null", b"{}", b'{"id":""}', b'{"message":"Queued."}', b"<html>"])
def test_a_success_without_an_id_is_a_doubt(body: bytes) -> None:
    with pytest.raises((ValueError, TypeError, LookupError)):
        adapter("mailgun").parse(Response(200, {}, body))


def test_an_address_that_is_not_the_apis_is_a_wrong_setting() -> None:
    with pytest.raises(Misconfigured):
        adapter("mailgun").parse(Response(200, {}, b"Mailgun Magnificent API"))


# -- what the account tells ----------------------------------------------------------------------------------


def test_the_check_tells_the_domains() -> None:
    body = {"items": [{"name": "a.example", "state": "active"}, {"name": "b.example", "state": "unverified"}]}
    told = adapter("mailgun").recognise(Response(200, {}, json.dumps(body).encode()))
    assert told.identities == (SenderIdentity("a.example", True), SenderIdentity("b.example", False))


def test_a_disabled_domain_cannot_send() -> None:
    answer = Response(200, {}, b'{"domain":{"name":"mg.example","state":"disabled"}}')
    with pytest.raises(Misconfigured, match="disabled"):
        adapter("mailgun", domain="mg.example").recognise(answer)


# -- the official document -----------------------------------------------------------------------------------

# Known faults: h: and v: stand there under the names of two examples; `format` is given to an array (`inline`).


@pytest.mark.skipif(not SPEC.exists(), reason=f"no official document in {CONTRACTS}")
@pytest.mark.parametrize(
    "submission",
    [
        an_email(),
        a_rich_email_for("mailgun"),
        an_email(
            html="<p>x</p>", text=None, tracking=Tracking(True, False), tags=("a", "b"), metadata={"a": "b"}
        ),
        an_email(headers=(("X-A", "1"),), attachments=(PDF,), reply_to=(Address("a@b.example"),)),
    ],
    ids=["plain", "rich", "html", "files"],
)
def test_a_request_is_valid_by_the_official_document(submission: Submission) -> None:
    errors = errors_of(composed("mailgun", submission, test_mode=True))
    assert errors == []


@pytest.mark.skipif(not SPEC.exists(), reason=f"no official document in {CONTRACTS}")
def test_a_shared_call_is_valid_by_the_official_document() -> None:
    letters = [
        Letter(
            an_email(to=(Address(f"r{n}@recipient.example", f"Röd {n}"),), html="<p>x</p>", tags=("a",)),
            new_id(),
        )
        for n in range(1001)
    ]
    (full,) = cast(BatchProvider, adapter("mailgun", shared_calls=True)).pack(letters, 5000)
    assert len(full.letters) == 1000  # "Maximum 1,000 recipients per batch"
    assert isinstance(full.request, Request)
    assert errors_of(full.request) == []
    found = read_form(full.request.headers["Content-Type"], full.request.body)
    (variables,) = [json.loads(value) for name, _, _, value in found if name == "recipient-variables"]
    assert list(variables) == [f"r{n}@recipient.example" for n in range(1000)]
    for letter, own in zip(full.letters, variables.values(), strict=True):
        assert own == {
            "mailmux_attempt": str(letter.attempt_id),
            "mailmux_email": str(letter.submission.id),
        }
    assert len([1 for name, *_ in found if name == "to"]) == 1000
    assert {name: value.decode() for name, _, _, value in found if name.startswith("v:")} == {
        f"v:{name}": f"%recipient.{name}%" for name in ("mailmux_attempt", "mailmux_email")
    }


def errors_of(request: Request) -> list[str]:
    """What the document says against it."""
    document = yaml.load(SPEC.read_text(), yaml.CSafeLoader)
    path = "/v3/{domain_name}/messages" + (".mime" if request.path.endswith(".mime") else "")
    content = document["paths"][path]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
    known = document["components"]["schemas"][content["$ref"].rpartition("/")[2]]["properties"]
    body: dict[str, Any] = {}
    for name, filename, _, value in read_form(request.headers["Content-Type"], request.body):
        stated = next((k for k in (name, f"{name[:2]}X-My-Header", f"{name[:2]}my-var") if k in known), None)
        assert stated is not None, name
        text = "binary" if filename is not None else value.decode()
        if known[stated]["type"] == "array":
            body.setdefault(stated, []).append(text)
        else:
            assert stated not in body or stated[1] == ":", f"{name} twice"
            body[stated] = text
    schema = {"$ref": content["$ref"], "components": document["components"]}
    return [e.message for e in jsonschema.Draft202012Validator(schema).iter_errors(body)]
