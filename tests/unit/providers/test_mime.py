"""What is composed can be read back, and holds nothing that was not put in."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.header import decode_header, make_header
from email.message import Message as ParsedMessage
from email.utils import getaddresses, parsedate_to_datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.headers import RESERVED, header_problem, value_problem
from domain.message import (
    Address,
    Attachment,
    Disposition,
    Envelope,
    Lane,
    Message,
    Recipient,
    RecipientKind,
    Submission,
)
from providers.mime import compose, message_id
from providers.smtp import stuff_dots
from tests.builders import new_id

NOW = datetime(2026, 11, 23, 8, 5, 9, tzinfo=UTC)
ATTEMPT = new_id()

words = st.text(st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp")), max_size=120).filter(
    lambda s: value_problem(s) is None
)
bodies = st.text(st.characters(exclude_categories=["Cs"]), max_size=400) | st.text(
    "=. \t\r\nFrom\x00é", max_size=200
)
locals_ = st.from_regex(r"[a-zA-Z0-9!#$%&'*+/=?^_`{|}~.-]{1,30}", fullmatch=True)
addresses = st.builds(
    Address,
    st.builds("{}@{}.example".format, locals_, st.from_regex(r"[a-z0-9]{1,20}", fullmatch=True)),
    words,
)
names = st.from_regex(r"[A-Za-z0-9-]{1,40}", fullmatch=True).filter(
    lambda n: n.lower() not in RESERVED and not n.lower().startswith("content-")
)
attachments = st.builds(
    Attachment,
    filename=words,
    content_type=st.sampled_from(
        ["application/pdf", "text/plain; charset=utf-8", "image/png", "message/rfc822"]
    ),
    content=st.binary(max_size=300),
    disposition=st.sampled_from(Disposition),
    content_id=st.none() | st.from_regex(r"[a-z0-9.]{1,20}@[a-z]{1,10}", fullmatch=True),
)


@st.composite
def submissions(draw: st.DrawFn) -> Submission:
    text, html = draw(st.none() | bodies), draw(st.none() | bodies)
    message = Message(
        subject=draw(words),
        text=text if text is not None or html is not None else "",
        html=html,
        headers=tuple(draw(st.lists(st.tuples(names, words), max_size=4, unique_by=lambda h: h[0].lower()))),
        attachments=tuple(draw(st.lists(attachments, max_size=4))),
    )
    recipients = draw(
        st.lists(st.builds(Recipient, addresses, st.sampled_from(RecipientKind)), min_size=1, max_size=5)
    )
    envelope = Envelope(draw(addresses), tuple(recipients), tuple(draw(st.lists(addresses, max_size=2))))
    return Submission(
        new_id(), new_id(), message, envelope, "transactional", Lane.TRANSACTIONAL,
    )  # fmt: skip


def decoded(value: str | None) -> str:
    return str(make_header(decode_header((value or "").replace("\r\n", ""))))


def squeezed(text: str) -> str:
    return re.sub(r"[ \t]+", " ", text).strip()


def people(parsed: ParsedMessage, name: str) -> list[tuple[str, str]]:
    found = getaddresses([v.replace("\r\n", "") for v in parsed.get_all(name, [])])
    return [(squeezed(decoded(n)), address) for n, address in found]


def expected(addresses: tuple[Address, ...]) -> list[tuple[str, str]]:
    return [(squeezed(a.name), a.email) for a in addresses]


def leaves(parsed: ParsedMessage) -> list[tuple[ParsedMessage, bytes]]:
    found = []
    for part in parsed.walk():
        assert not part.defects
        if not part.is_multipart():
            raw = part.get_payload(decode=True)
            assert isinstance(raw, bytes)
            found.append((part, raw))
    return found


def lines_of(text: str) -> str:
    return re.sub(r"\r\n|\r|\n", "\n", text).removesuffix("\n")


@settings(max_examples=80, deadline=None)
@given(submissions())
def test_what_is_composed_reads_back_the_same(submission: Submission) -> None:
    parsed = message_from_bytes(compose(submission, ATTEMPT, NOW), policy=policy.compat32)
    message, envelope = submission.message, submission.envelope
    assert people(parsed, "from") == expected((envelope.sender,))
    assert people(parsed, "cc") == expected(envelope.of(RecipientKind.CC))
    assert people(parsed, "reply-to") == expected(envelope.reply_to)
    if envelope.of(RecipientKind.TO):
        assert people(parsed, "to") == expected(envelope.of(RecipientKind.TO))
    assert squeezed(decoded(parsed["subject"])) == squeezed(message.subject)
    for name, value in message.headers:
        assert squeezed(decoded(parsed[name])) == squeezed(value)
    texts, files = [], []
    for part, raw in leaves(parsed):
        if part.get_content_disposition() is None:
            texts.append(
                (part.get_content_subtype(), lines_of(raw.decode(part.get_content_charset() or "ascii")))
            )
        else:
            files.append((part.get_content_disposition(), part.get_filename(""), raw))
    wanted = [("plain", message.text), ("html", message.html)]
    assert texts == [(kind, lines_of(text)) for kind, text in wanted if text is not None]
    assert sorted(files) == sorted(
        (str(a.disposition), a.filename.strip(), a.content) for a in message.attachments
    )


@settings(max_examples=80, deadline=None)
@given(submissions())
def test_no_header_is_there_that_was_not_meant(submission: Submission) -> None:
    raw = compose(submission, ATTEMPT, NOW)
    own = {
        "from", "to", "cc", "reply-to", "subject", "date", "message-id", "x-mailmux-attempt", "x-mailmux-email",
        "mime-version", "content-type", "content-transfer-encoding", "content-disposition", "content-id",
    }  # fmt: skip
    given_ = {name.lower() for name, _ in submission.message.headers}
    for part in message_from_bytes(raw, policy=policy.compat32).walk():
        assert {name.lower() for name in part} <= own | given_
    parsed = message_from_bytes(raw)
    assert len(parsed.keys()) == len({k.lower() for k in parsed})
    assert "bcc" not in {k.lower() for k in parsed}


@settings(max_examples=80, deadline=None)
@given(submissions())
def test_every_byte_is_safe_for_the_oldest_relay(submission: Submission) -> None:
    raw = compose(submission, ATTEMPT, NOW)
    assert raw.isascii()
    assert b"\x00" not in raw
    lines = raw.split(b"\r\n")
    assert not any(b"\r" in line or b"\n" in line for line in lines)
    assert max(map(len, lines)) <= 998
    assert lines[-1] == b""
    head = raw.split(b"\r\n\r\n", 1)[0].split(b"\r\n")
    assert all(line.strip() for line in head)


@settings(max_examples=50, deadline=None)
@given(submissions())
def test_dots_are_stuffed_so_that_a_server_reads_the_same(submission: Submission) -> None:
    raw = compose(submission, ATTEMPT, NOW)
    stuffed = stuff_dots(raw)
    assert b"\r\n.\r\n" not in stuffed
    assert not stuffed.startswith(b".\r\n")
    unstuffed = b"\r\n".join(
        line.removeprefix(b".") if line.startswith(b".") else line for line in stuffed.split(b"\r\n")
    )
    assert unstuffed == raw


def an_email(**message: object) -> Submission:
    fields = {"subject": "Hello", "text": "Hi", **message}
    envelope = Envelope(Address("shop@sender.example"), (Recipient(Address("ada@recipient.example")),))
    return Submission(new_id(), new_id(), Message(**fields), envelope, "t", Lane.BULK)  # type: ignore[arg-type]


def test_the_ids_and_the_date_are_ours() -> None:
    submission = an_email()
    parsed = message_from_bytes(compose(submission, ATTEMPT, NOW))
    assert parsed["message-id"] == f"<{ATTEMPT}@sender.example>" == message_id(submission, ATTEMPT)
    assert parsed["x-mailmux-attempt"] == str(ATTEMPT)
    assert parsed["x-mailmux-email"] == str(submission.id)
    assert parsedate_to_datetime(parsed["date"]) == NOW


def test_parts_nest_as_mail_readers_expect() -> None:
    raw = compose(
        an_email(
            html='<img src="cid:x">',
            attachments=(
                Attachment("a.pdf", "application/pdf", b"a"),
                Attachment("x.png", "image/png", b"x", Disposition.INLINE, "x"),
            ),
        ),
        ATTEMPT,
        NOW,
    )

    def shape(part: ParsedMessage) -> object:
        kind = part.get_content_type()
        return (kind, [shape(p) for p in part.get_payload()]) if part.is_multipart() else kind  # type: ignore[arg-type]

    assert shape(message_from_bytes(raw)) == (
        "multipart/mixed",
        [
            (
                "multipart/alternative",
                ["text/plain", ("multipart/related", ["text/html", "image/png"])],
            ),
            "application/pdf",
        ],
    )


def test_only_hidden_recipients_leave_a_to_that_names_nobody() -> None:
    submission = an_email()
    envelope = Envelope(
        submission.envelope.sender, (Recipient(Address("x@recipient.example"), RecipientKind.BCC),)
    )
    raw = compose(
        Submission(submission.id, submission.user_id, submission.message, envelope, "t", Lane.BULK),
        ATTEMPT,
        NOW,
    )
    assert b"recipient.example" not in raw
    assert message_from_bytes(raw)["to"] == "undisclosed-recipients:;"


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("plain", "7bit"),
        ("ein wenig Ümlaut in a long enough text", "quoted-printable"),
        ("世界" * 30, "base64"),
        ("x" * 999, "quoted-printable"),
        ("nul \x00 and bell \x07", "quoted-printable"),
    ],
)
def test_a_text_is_encoded_no_more_than_it_needs(text: str, encoding: str) -> None:
    parsed = message_from_bytes(compose(an_email(text=text), ATTEMPT, NOW))
    assert parsed["content-transfer-encoding"] == encoding
    payload = parsed.get_payload(decode=True)
    assert isinstance(payload, bytes)
    assert payload.decode().rstrip("\r\n") == text


def test_a_header_that_is_not_safe_is_not_composed() -> None:
    for name, value in (("X-A\r\nBcc", "x"), ("X-A", "b\r\nBcc: x"), ("Bcc", "x@example.com"), ("To", "x")):
        assert header_problem(name, value)
        with pytest.raises(ValueError):
            compose(an_email(headers=((name, value),)), ATTEMPT, NOW)


def test_long_ascii_headers_are_folded_and_long_words_still_fit_a_line() -> None:
    value = (
        "<https://sender.example/unsubscribe?token=" + "t" * 800 + ">, <mailto:unsubscribe@sender.example>"
    )
    raw = compose(an_email(headers=(("List-Unsubscribe", value), ("X-Long", "y" * 998))), ATTEMPT, NOW)
    parsed = message_from_bytes(raw)
    assert squeezed(parsed["list-unsubscribe"].replace("\r\n", "")) == value
    assert decoded(parsed["x-long"]) == "y" * 998
