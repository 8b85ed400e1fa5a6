"""Any email that a provider says it can carry becomes a request that reads back as the same email."""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from domain.errors import Unsupported
from domain.headers import RESERVED, value_problem
from domain.labels import fitting
from domain.message import (
    Address,
    Attachment,
    Disposition,
    Envelope,
    Recipient,
    RecipientKind,
    Submission,
    Tracking,
)
from domain.ports import Provider
from providers import registry
from providers.base import HTTPProvider
from routing.eligibility import unsupported
from tests.contract.driver import HTTPDriver, Received, read_mime
from tests.contract.drivers import SendGridDriver
from tests.contract.emails import a_world, an_email, new_id
from tests.contract.http_drivers import MailgunDriver, ResendDriver, SESDriver
from tests.contract.json_drivers import (
    BrevoDriver,
    MailerSendDriver,
    MailjetDriver,
    MailtrapDriver,
    SparkPostDriver,
)
from tests.contract.labels import labels_of
from tests.contract.postmark_driver import PostmarkDriver
from tests.contract.smtp_server import SMTPServer

SES_KEYS = {"access_key_id": "AKIA", "secret_access_key": "secret"}
PROVIDERS: dict[str, tuple[type[HTTPDriver], dict[str, Any], dict[str, str]]] = {
    "brevo": (BrevoDriver, {}, {"api_key": "k"}),
    "mailersend": (MailerSendDriver, {"custom_headers": True}, {"api_token": "k"}),
    "mailgun": (MailgunDriver, {"domain": "sender.example"}, {"api_key": "k"}),
    "mailjet": (MailjetDriver, {}, {"api_key": "k", "secret_key": "s"}),
    "mailtrap": (MailtrapDriver, {}, {"api_token": "k"}),
    "postmark": (PostmarkDriver, {"server_tracks_opens": False}, {"server_token": "k"}),
    "resend": (ResendDriver, {}, {"api_key": "k"}),
    "sendgrid": (SendGridDriver, {}, {"api_key": "k"}),
    "ses": (SESDriver, {}, SES_KEYS),
    "ses-in-parts": (SESDriver, {"content": "simple"}, SES_KEYS),
    "sparkpost": (SparkPostDriver, {}, {"api_key": "k"}),
}
BUILT: dict[str, HTTPProvider] = {}


def provider(name: str) -> HTTPProvider:
    if name not in BUILT:
        _, config, credentials = PROVIDERS[name]
        kind = name.partition("-")[0]
        valid = registry.validate(kind, config, credentials)
        BUILT[name] = cast(HTTPProvider, registry.build(kind, f"the-{name}", *valid, a_world()))
    return BUILT[name]


# -- any email ----------------------------------------------------------------------------------------------

_ANY = st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"])
_TEXT = st.characters(exclude_categories=["Cs"], exclude_characters="\x00")


def lines(longest: int, least: int = 0) -> st.SearchStrategy[str]:
    text = st.one_of(
        st.text(_ANY, min_size=least, max_size=longest), st.text(string.printable[:95], min_size=least)
    )
    return text.filter(lambda value: value_problem(value) is None and len(value) <= 300)


NAMES = st.one_of(
    st.just(""), lines(40), st.sampled_from(['Bo; the, "2nd"', "a\\b", "<x@evil.example>", "Ærø", "(a)"])
)
LOCAL = st.text(string.ascii_letters + string.digits + "._+-'", min_size=1, max_size=20).filter(
    lambda local: not local.startswith(".") and not local.endswith(".") and ".." not in local
)
DOMAINS = st.sampled_from(["recipient.example", "xn--bcher-kva.example", "a-b.co.example"])


@st.composite
def addresses(draw: st.DrawFn) -> Address:
    return Address(f"{draw(LOCAL)}@{draw(DOMAINS)}", draw(NAMES))


EXTENSIONS = {
    "application/octet-stream": ".bin",
    "image/png": ".png",
    "text/plain; charset=utf-8": ".txt",
    "application/pdf": ".pdf",
}


@st.composite
def attachments(draw: st.DrawFn) -> Attachment:
    inline = draw(st.booleans())
    content_id = draw(
        st.one_of(st.none(), st.text(string.ascii_letters + string.digits + "@.-_", min_size=1, max_size=30))
    )
    kind = draw(st.sampled_from(sorted(EXTENSIONS)))
    stem = draw(lines(60, 1).filter(lambda name: name == name.strip() and name != ""))
    return Attachment(
        stem + draw(st.sampled_from(["", EXTENSIONS[kind]])),
        kind,
        draw(st.binary(min_size=0, max_size=300)),
        Disposition.INLINE if inline and content_id else Disposition.ATTACHMENT,
        content_id,
    )


HEADERS = st.lists(
    st.tuples(
        st.text(string.ascii_letters + string.digits + "-", min_size=1, max_size=20).map(lambda n: f"X-{n}"),
        lines(80),
    ).filter(lambda pair: pair[0].lower() not in RESERVED),
    max_size=4,
)


WORDS = st.text(string.ascii_letters + string.digits + "_-", min_size=1, max_size=20)


def is_no_tag(name: str) -> bool:
    """A name of metadata that cannot be taken for the name of a tag."""
    return re.fullmatch(r"tag(_\d+)?", name) is None


@st.composite
def submissions(draw: st.DrawFn) -> Submission:
    people = draw(st.lists(st.tuples(addresses(), st.sampled_from(RecipientKind)), min_size=1, max_size=6))
    recipients = [Recipient(address, kind) for address, kind in people]
    text, html = (
        draw(st.one_of(st.none(), st.text(_TEXT, max_size=400))),
        draw(st.one_of(st.none(), st.text(_TEXT, max_size=400))),
    )
    assume(text is not None or html is not None)

    def of(kind: RecipientKind) -> tuple[Address, ...]:
        return tuple(r.address for r in recipients if r.kind is kind)

    return an_email(
        sender=Address("shop@sender.example", draw(NAMES)),
        to=of(RecipientKind.TO),
        cc=of(RecipientKind.CC),
        bcc=of(RecipientKind.BCC),
        reply_to=tuple(draw(st.lists(addresses(), max_size=3))),
        subject=draw(lines(120)),
        text=text,
        html=html,
        headers=tuple(draw(HEADERS)),
        attachments=tuple(draw(st.lists(attachments(), max_size=3))),
        tags=tuple(draw(st.lists(st.one_of(WORDS, lines(20, 1)), max_size=12, unique=True))),
        metadata=draw(st.dictionaries(st.one_of(WORDS, st.text(_TEXT, min_size=1, max_size=20)).filter(is_no_tag),
                                      st.one_of(WORDS, st.text(_TEXT, max_size=100)), max_size=10)),
        tracking=draw(st.sampled_from([Tracking(), Tracking(True, False), Tracking(False, True)])),
    )  # fmt: skip


# -- the same email -----------------------------------------------------------------------------------------


def blanks(text: str) -> str:
    """A header folds at blanks, and readers make one of several."""
    return re.sub(r"[ \t]+", " ", text).strip(" \t")


def body(text: str | None) -> str | None:
    """Line ends are the transport's; the last one may be added."""
    return None if text is None else re.sub(r"\r\n|\r|\n", "\n", text).rstrip("\n") or None


def people(found: list[tuple[str, str]] | tuple[Address, ...]) -> list[tuple[str, str]]:
    pairs = [(a.email, a.name) if isinstance(a, Address) else a for a in found]
    return [(email, blanks(name).strip()) for email, name in pairs]


def check(submission: Submission, received: Received, driver: type[HTTPDriver]) -> None:
    message, envelope = submission.message, submission.envelope
    assert received.email == str(submission.id)
    assert people([received.sender]) == people((envelope.sender,))
    assert people(received.to) == people(envelope.of(RecipientKind.TO))
    assert people(received.cc) == people(envelope.of(RecipientKind.CC))
    assert people(received.reply_to) == people(envelope.reply_to)
    assert received.envelope == {r.address.email for r in envelope.recipients}
    assert blanks(received.subject) == blanks(message.subject)
    assert (body(received.text), body(received.html)) == (body(message.text), body(message.html))
    assert sorted(f[2] for f in received.files) == sorted(a.content for a in message.attachments)
    for a in message.attachments:
        assert (blanks(a.filename), driver.told(a.content_type), a.content, a.content_id) in [
            (blanks(name), kind, content, cid) for name, kind, content, cid in received.files
        ]
    names = [name.lower() for name, _ in message.headers]
    got = {name.lower(): blanks(value) for name, value in received.headers.items()}
    for name, value in message.headers:
        if names.count(name.lower()) == 1:
            assert got[name.lower()] == blanks(value)
    hidden = {a.email for a in envelope.of(RecipientKind.BCC)} - {
        a.email for a in (*envelope.of(RecipientKind.TO), *envelope.of(RecipientKind.CC), *envelope.reply_to)
    }
    told = {found for value in got.values() for found in re.findall(r"[^\s<>,;:\"]+@[^\s<>,;:\"]+", value)}
    assert not hidden & told


def once(headers: Sequence[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    return tuple({name.lower(): (name, value) for name, value in headers}.values())


def with_short_names(envelope: Envelope) -> Envelope:
    """Brevo's longest name has 70 characters, which an encoded word reaches with few."""

    def short(address: Address) -> Address:
        return replace(address, name=address.name[: 70 if address.name.isascii() else 9].strip())

    return replace(
        envelope,
        sender=short(envelope.sender),
        reply_to=tuple(map(short, envelope.reply_to)),
        recipients=tuple(replace(r, address=short(r.address)) for r in envelope.recipients),
    )


def reduced(name: str, submission: Submission) -> Submission:
    """The email without what rules it out for the provider: few of any emails would fit all its limits by chance."""
    submission = fitting(provider(name).capabilities, submission)
    if name == "brevo":
        submission = replace(submission, envelope=with_short_names(submission.envelope))
    can, message, envelope = provider(name).capabilities, submission.message, submission.envelope
    first, *others = envelope.recipients
    reply_to, headers, files = (
        envelope.reply_to[: can.max_reply_to],
        once(message.headers),
        message.attachments,
    )
    if not can.inline_images:
        files = tuple(replace(a, disposition=Disposition.ATTACHMENT, content_id=None) for a in files)
    if driver_of(name).types_by_extension:
        files = tuple(replace(a, filename=a.filename + EXTENSIONS[a.content_type]) for a in files)
    if name == "mailjet":
        files = tuple(
            a if a.disposition is Disposition.INLINE else replace(a, content_id=None) for a in files
        )
    if name == "mailersend":
        people = [replace(r.address, name=re.sub("[;,]", "", r.address.name)) for r in envelope.recipients]
        first, *others = (replace(r, address=a) for r, a in zip(envelope.recipients, people, strict=True))
    if name == "ses-in-parts":
        headers = tuple((n, v) for n, v in headers if v)
    if not can.repeated_addresses:
        apart = {r.address.email.lower(): r for r in reversed((first, *others))}
        others = [r for r in others if apart[r.address.email.lower()] is r]
    if name == "brevo":
        headers = tuple((n, v) for n, v in headers if v.isascii())
        reply_to = tuple(replace(a, name=a.name if a.name.isascii() else "") for a in reply_to)
        files = tuple(a for a in files if not a.filename.endswith(".bin"))
    return replace(
        submission,
        message=replace(
            message,
            subject=message.subject or "x",
            text=message.text or "x",
            headers=headers,
            attachments=tuple(replace(a, content=a.content or b"x") for a in files),
        ),
        envelope=replace(
            envelope, recipients=(replace(first, kind=RecipientKind.TO), *others), reply_to=reply_to
        ),
        tags=submission.tags[: can.max_tags],
        tracking=Tracking(
            submission.tracking.opens if can.tracking_opens else None,
            submission.tracking.clicks if can.tracking_clicks else None,
        ),
    )


def driver_of(name: str) -> type[HTTPDriver]:
    return PROVIDERS[name][0]


@pytest.mark.parametrize("name", PROVIDERS)
@pytest.mark.timeout(600)
@settings(
    deadline=None, max_examples=80, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)
@given(submission=submissions())
def test_a_request_reads_back_as_the_same_email(name: str, submission: Submission) -> None:
    adapter, (driver, _, _) = provider(name), PROVIDERS[name]
    attempt = new_id()
    try:
        request = adapter.compose(submission, attempt)
    except Unsupported:
        submission = reduced(name, submission)
        request = adapter.compose(submission, attempt)  # whatever is refused now, is so for no reason
    headers = {n.lower(): v for n, v in request.headers.items()}
    received = driver.read(request.path, headers, request.body)
    assert received.attempt == str(attempt)
    check(submission, received, driver)
    told, tracking = labels_of(name.partition("-")[0], request), submission.tracking
    assert (sorted(told.tags), told.metadata) == (sorted(submission.tags), submission.metadata)
    assert (told.opens, told.clicks) == (tracking.opens, tracking.clicks)


@pytest.fixture(scope="module")
def relay() -> Iterator[tuple[SMTPServer, Provider]]:
    server = SMTPServer(None, "none")
    valid = registry.validate("smtp", {"host": "127.0.0.1", "port": server.port, "tls": "none"}, {})
    adapter = registry.build("smtp", "the-relay", *valid, a_world())
    yield server, adapter
    adapter.close()
    server.stop()


@pytest.mark.timeout(600)
@settings(
    deadline=None, max_examples=80, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)
@given(submission=submissions())
def test_what_goes_over_smtp_reads_back_as_the_same_email(
    relay: tuple[SMTPServer, Provider], submission: Submission
) -> None:
    server, adapter = relay
    attempt = new_id()
    submission = replace(submission, tracking=Tracking())  # it has none to switch
    adapter.send(submission, attempt)
    _, recipients, data = server.messages[-1]
    assert data.isascii()
    received = read_mime(list(recipients), data)
    assert received.attempt == str(attempt)
    check(submission, received, SESDriver)  # both are MIME


def cannot_be_carried(name: str, submission: Submission) -> bool:
    """What is known beforehand: one reply-to, and at MailerSend no comma in a recipient's name."""
    comma = any("," in r.address.name for r in submission.envelope.recipients)
    return bool(unsupported(provider(name).capabilities, submission)) or (name == "mailersend" and comma)


@pytest.mark.parametrize("name", PROVIDERS)
def test_most_emails_can_be_carried(name: str) -> None:
    """The property above would hold for an adapter that refuses everything."""
    plain: list[Callable[[], Submission]] = [
        an_email,
        lambda: an_email(html="<p>x</p>", reply_to=(Address("a@b.example"), Address("c@d.example"))),
        lambda: an_email(
            headers=(("X-A", "1"),), attachments=(Attachment("a.pdf", "application/pdf", b"x"),)
        ),
        lambda: an_email(cc=(Address("c@d.example", "Cy, Jr."),), bcc=(Address("e@f.example"),)),
    ]
    for make in plain:
        submission = make()
        if cannot_be_carried(name, submission):
            continue
        request = provider(name).compose(submission, new_id())
        headers = {n.lower(): v for n, v in request.headers.items()}
        driver = PROVIDERS[name][0]
        check(submission, driver.read(request.path, headers, request.body), driver)
