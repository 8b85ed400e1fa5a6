"""Reading MIME as a mail program would, whatever stands in it."""

from email.message import EmailMessage

import pytest

from sandbox.mime import parse_mime


def lines(*text: str) -> bytes:
    return "\r\n".join(text).encode("utf-8", "surrogateescape")


def test_encoded_words_are_decoded_after_addresses_are_told_apart() -> None:
    parsed = parse_mime(lines("To: =?utf-8?q?Nov=C3=A1k=2C_Jan?= <a@example.com>, b@example.com", "", ""))
    assert [(m.name, m.email) for m in parsed.to] == [("Novák, Jan", "a@example.com"), ("", "b@example.com")]


def test_a_folded_subject_is_one_line() -> None:
    assert parse_mime(lines("Subject: one", " two", "", "")).subject == "one two"


def test_inline_images_and_forwarded_text_are_attachments() -> None:
    message = EmailMessage()
    message.set_content("the text")
    message.add_alternative("<img src=cid:logo>", subtype="html")
    html = message.get_payload()[1]  # type: ignore[index]
    html.add_related(b"png", "image", "png", cid="<logo>")  # type: ignore[union-attr]
    message.add_attachment("second text", filename="notes.txt")
    parsed = parse_mime(message.as_bytes())
    assert (parsed.text.strip(), parsed.html.strip()) == ("the text", "<img src=cid:logo>")
    assert [(a.name, a.type, a.content_id) for a in parsed.attachments] == [
        ("", "image/png", "logo"),
        ("notes.txt", "text/plain", ""),
    ]


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"no headers at all",
        b"\xff\xfe\x00",
        b"Subject: =?nonsense?b?!!!?=\r\n\r\n",
        b"Subject: =?utf-8?b?4pw?=\r\n\r\n",
        b"Subject: raw \xff bytes\r\nFrom: \xff <\xff@\xff>\r\n\r\n",
        b"Content-Type: text/plain; charset=nonsense\r\n\r\ntext \xff",
        b"Content-Type: text/plain; charset*=x''%ff\r\n\r\ntext",
        b"Content-Type: multipart/mixed\r\n\r\nno boundary",
        b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\nnever closed",
        b"Content-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\n!!!not base64",
        b'Content-Type: text/plain; name="=?utf-8?q?=ff?="\r\nContent-Disposition: attachment; filename*=x\r\n\r\n',
        b'To: <<<>>>, a@, @b, ,,, "unclosed\r\nCc: group: a@example.com;\r\n\r\n',
        b"Content-ID: <\xff>\r\nContent-Type: image/png\r\n\r\n",
    ],
)
def test_nothing_makes_reading_fail(raw: bytes) -> None:
    parsed = parse_mime(raw)
    for text in (
        parsed.subject,
        parsed.text,
        parsed.html,
        *(part for pair in parsed.headers for part in pair),
    ):
        text.encode()


def test_what_cannot_be_read_is_named() -> None:
    parsed = parse_mime(b"Content-Type: text/plain; charset=nonsense\r\n\r\ntext")
    assert parsed.text == "text"
    assert any("nonsense" in defect for defect in parsed.defects)


def test_a_file_name_keeps_its_brackets_and_its_letters() -> None:
    for name in ("<a>.txt", "<a>", "účet <2>.txt", 'the "2nd".txt'):
        message = EmailMessage()
        message.set_content("x")
        message.add_attachment(b"x", maintype="application", subtype="pdf", filename=name)
        assert [a.name for a in parse_mime(message.as_bytes()).attachments] == [name]
