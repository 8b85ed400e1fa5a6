"""Composes the bytes of an email (RFC 5322, 2045–2049, 2231) for providers that take MIME.

Written by hand, because Python's `email` package lets a header name with a line break through and takes an
encoded subject apart again into a new header (CVE-2024-6923), loses the quotes of folded display names, and is slow.
The output holds ASCII only, lines of at most 998 characters that end with CRLF, and no bare CR or LF.

`compose` is the only door: what is behind it may change.
"""

from __future__ import annotations

import re
from binascii import b2a_base64, b2a_qp
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from email.utils import format_datetime
from functools import lru_cache
from hashlib import sha256
from urllib.parse import quote
from uuid import UUID

from domain.headers import header_problem
from domain.message import Address, Attachment, Disposition, RecipientKind, Submission

_LINE = 76  # characters; the length at which we fold and encode
_LONGEST_LINE = 998  # characters without CRLF, RFC 5322, 2.1.1
_LINE_END = re.compile(r"\r\n|\r|\n")
_ATOMS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~ -]*\Z")
_ENCODED_WORD_BYTES = 45  # of UTF-8 in one encoded word: =?utf-8?b?…?= is then 72 characters long (limit 75)
_PARAMETER_BYTES = 54  # characters of one RFC 2231 segment
_UNSAFE_IN_7BIT = re.compile(r"[^\t\n\x20-\x7e]")

Part = tuple[list[str], bytes]  # header lines, and an encoded body


def message_id(submission: Submission, attempt_id: UUID) -> str:
    """The Message-ID of one attempt: a bounce or an event that quotes it names the attempt."""
    return f"<{attempt_id}@{submission.envelope.sender.domain}>"


def compose(submission: Submission, attempt_id: UUID, now: datetime) -> bytes:
    """The email as it goes on the wire, without dot-stuffing and without any trace of Bcc.

    Raises ValueError where a header is not safe: the callers have refused that before (`guard`).
    """
    message, envelope = submission.message, submission.envelope
    lines = [_from(envelope.sender.email, envelope.sender.name)]
    to, cc = envelope.of(RecipientKind.TO), envelope.of(RecipientKind.CC)
    if to:
        lines.append(_addresses("To", to))
    elif not cc:
        lines.append("To: undisclosed-recipients:;")
    if cc:
        lines.append(_addresses("Cc", cc))
    if envelope.reply_to:
        lines.append(_addresses("Reply-To", envelope.reply_to))
    lines.append(_text("Subject", message.subject))
    lines.append(f"Date: {_date(now.replace(microsecond=0))}")
    lines.append(f"Message-ID: {message_id(submission, attempt_id)}")
    for name, value in message.headers:
        if problem := header_problem(name, value):
            raise ValueError(problem)
        lines.append(_text(name, value))
    lines += [f"X-Mailmux-Attempt: {attempt_id}", f"X-Mailmux-Email: {submission.id}", "MIME-Version: 1.0"]
    if message.attachments:
        content = _whole(_with_files(submission, attempt_id))
    else:
        content = _bodies(message.text, message.html)
    lines.append("")
    return "\r\n".join(lines).encode("ascii") + content


# -- the tree of parts ---------------------------------------------------------------------------------------


@lru_cache(maxsize=2)
def _date(now: datetime) -> str:
    return format_datetime(now)


@lru_cache(maxsize=8)  # the emails of a campaign share their bodies
def _bodies(text: str | None, html: str | None) -> bytes:
    """The email from its Content-Type on, where it has no files."""
    known = sha256(f"{text}\0{html}".encode("utf-8", "surrogatepass")).hexdigest()[:32]
    return _whole(_versions(text, html, (), _boundaries(known)))


def _boundaries(secret: str) -> Iterator[str]:
    """`secret`: an id that nobody can guess, or a digest of the parts, which so cannot hold it. "=_" occurs in neither
    encoding.
    """
    return (f"=_{secret}_{n}" for n in range(3))


def _whole(part: Part) -> bytes:
    headers, body = part
    end = b"" if body.endswith(b"\r\n") else b"\r\n"
    return "\r\n".join([*headers, "", ""]).encode("ascii") + body + end


def _with_files(submission: Submission, attempt_id: UUID) -> Part:
    """mixed( alternative( text, related( html, inline images )), attachments ), each level only where needed."""
    message, boundaries = submission.message, _boundaries(attempt_id.hex)
    embedded = [
        a for a in message.attachments
        if a.disposition is Disposition.INLINE and a.content_id and message.html is not None
    ]  # fmt: skip
    attached = [a for a in message.attachments if a not in embedded]
    content = _versions(message.text, message.html, embedded, boundaries)
    if attached:
        content = _multipart("mixed", next(boundaries), [content, *map(_file_part, attached)])
    return content


def _versions(
    text: str | None, html: str | None, embedded: Sequence[Attachment], boundaries: Iterator[str]
) -> Part:
    versions: list[Part] = []
    if text is not None:
        versions.append(_text_part("plain", text))
    if html is not None:
        part = _text_part("html", html)
        if embedded:
            part = _multipart(
                "related", next(boundaries), [part, *map(_file_part, embedded)], '; type="text/html"'
            )
        versions.append(part)
    return versions[0] if len(versions) == 1 else _multipart("alternative", next(boundaries), versions)


def _multipart(kind: str, boundary: str, parts: Iterable[Part], more: str = "") -> Part:
    pieces: list[bytes] = []
    for headers, body in parts:
        pieces.append("\r\n".join([f"--{boundary}", *headers, "", ""]).encode("ascii"))
        pieces += (body, b"\r\n")  # this line end belongs to the boundary (RFC 2046, 5.1.1)
    pieces.append(f"--{boundary}--".encode("ascii"))
    return [f'Content-Type: multipart/{kind}; boundary="{boundary}"{more}'], b"".join(pieces)


@lru_cache(maxsize=8)  # the emails of a campaign share their bodies
def _text_part(kind: str, text: str) -> Part:
    """The text with its line ends made one. 7bit where it is, else the shorter of the two encodings."""
    text = _LINE_END.sub("\n", text)
    if text.isascii() and not _UNSAFE_IN_7BIT.search(text) and _longest_line(text) <= _LONGEST_LINE:
        return _text_headers(kind, "us-ascii", "7bit"), text.replace("\n", "\r\n").encode("ascii")
    raw = text.encode("utf-8")
    if sum(map(len, _NON_ASCII.findall(text))) * 8 > len(raw):
        return _text_headers(kind, "utf-8", "base64"), _base64_lines(raw.replace(b"\n", b"\r\n"))
    # b2a_qp breaks long lines with the line end that it sees first: give it LF only, and end all lines after.
    quoted = b2a_qp(raw, quotetabs=False, istext=True, header=False)
    return _text_headers(kind, "utf-8", "quoted-printable"), quoted.replace(b"\n", b"\r\n")


_NON_ASCII = re.compile(r"[^\x00-\x7f]+")


def _longest_line(text: str) -> int:
    return max(map(len, text.split("\n")))


def _text_headers(kind: str, charset: str, encoding: str) -> list[str]:
    return [f"Content-Type: text/{kind}; charset={charset}", f"Content-Transfer-Encoding: {encoding}"]


def _file_part(attachment: Attachment) -> Part:
    kind = attachment.content_type
    if kind.lower().startswith(("message/", "multipart/")):
        kind = (
            "application/octet-stream"  # those may not be base64 (RFC 2045, 6.4), and the bytes are to stay
        )
    headers = [
        _fold(f"Content-Type: {kind}" + _parameter("name", attachment.filename)),
        "Content-Transfer-Encoding: base64",
        _fold(f"Content-Disposition: {attachment.disposition}" + _parameter("filename", attachment.filename)),
    ]
    if attachment.content_id:
        headers.append(f"Content-ID: <{attachment.content_id}>")
    return headers, _base64_lines(attachment.content)


def _base64_lines(raw: bytes) -> bytes:
    encoded = b2a_base64(raw, newline=False)
    return b"\r\n".join([encoded[i : i + _LINE] for i in range(0, len(encoded), _LINE)])


# -- header fields -------------------------------------------------------------------------------------------


def _text(name: str, value: str) -> str:
    """An unstructured field. Encoded words (RFC 2047) where the value is not ASCII, or cannot be folded."""
    value = value.strip(" \t")
    if value.isascii() and len(name) + 2 + len(value) <= _LINE:
        return f"{name}: {value}"
    if value.isascii() and all(
        len(word) < _LONGEST_LINE - len(name) - 2 for word in re.split(r"[ \t]", value)
    ):
        return _fold(f"{name}: {value}")
    return f"{name}: " + "\r\n ".join(_encoded_words(value))


@lru_cache(maxsize=256)  # senders are few
def _from(email: str, name: str) -> str:
    return _addresses("From", [Address(email, name)])


def _addresses(name: str, addresses: Sequence[Address]) -> str:
    return f"{name}: " + ",\r\n ".join([_mailbox(a) for a in addresses])


def _mailbox(address: Address) -> str:
    name = address.name and address.name.strip()
    if not name:
        return address.email
    if not name.isascii() or len(name) > _LONGEST_LINE // 2:
        phrase = "\r\n ".join(_encoded_words(name))
    elif _ATOMS.match(name):
        phrase = name
    else:
        escaped = name.replace("\\", "\\\\").replace('"', '\\"')
        phrase = f'"{escaped}"'
    return (
        f"{phrase}\r\n <{address.email}>"
        if len(phrase) + len(address.email) > _LINE
        else f"{phrase} <{address.email}>"
    )


def encoded_value(value: str) -> str:
    """The value of an unstructured field on one line: as it is where ASCII, else as encoded words."""
    return value if value.isascii() else " ".join(_encoded_words(value))


def _encoded_words(value: str) -> list[str]:
    """Whole characters per word (RFC 2047, 5), base64, so that nothing of the value is left to be read twice."""
    words, chunk = [], b""
    for character in value:
        encoded = character.encode("utf-8")
        if len(chunk) + len(encoded) > _ENCODED_WORD_BYTES:
            words.append(chunk)
            chunk = b""
        chunk += encoded
    words.append(chunk)
    return [f"=?utf-8?b?{b2a_base64(word, newline=False).decode('ascii')}?=" for word in words]


def _fold(line: str) -> str:
    """Break a long ASCII field before blanks (RFC 5322, 2.2.3); a line is never only blanks."""
    if len(line) <= _LINE:
        return line
    lines, current = [], ""
    for piece in re.findall(r"[ \t]*[^ \t]+|[ \t]+\Z", line):
        if (
            current
            and not current.endswith(":")
            and len(current) + len(piece) > _LINE
            and piece[0] in " \t"
            and piece.strip()
        ):
            lines.append(current)
            current = piece
        else:
            current += piece
    return "\r\n".join([*lines, current])


def _parameter(name: str, value: str) -> str:
    """A parameter of a MIME field: quoted where it is plain ASCII, else RFC 2231, in segments where it is long."""
    if not value:
        return ""
    if value.isascii() and len(value) <= _PARAMETER_BYTES:
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'; {name}="{escaped}"'
    encoded = "utf-8''" + quote(value, safe="", encoding="utf-8")
    if len(encoded) <= _PARAMETER_BYTES:
        return f"; {name}*={encoded}"
    segments = re.findall(rf"(?:%[0-9A-F]{{2}}|[^%]){{1,{_PARAMETER_BYTES // 3}}}", encoded)
    return "".join(f"; {name}*{n}*={segment}" for n, segment in enumerate(segments))
