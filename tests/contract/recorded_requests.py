"""What another library's request and ours have in common: the email, without what each side adds for itself.

docs/reference/providers-differences.md lists with their reasons what is left out here.
"""

from __future__ import annotations

import json
import re
from base64 import b64decode
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.header import decode_header, make_header
from typing import Any

from domain.message import Address, Disposition, RecipientKind, Submission
from providers.exchange import Request
from tests.contract.http_servers import read_form

OURS = {"mailmux_attempt", "mailmux_email", "anymail_id"}


@dataclass
class Told:
    """`email` in the provider's form."""

    email: Any
    metadata: dict[str, str] = field(default_factory=dict)
    tags: list[str] = field(default_factory=list)

    def is_same(self, theirs: Told) -> bool:
        return (
            bool(self.email == theirs.email)
            # There a tag may be metadata of another name as well, by a setting of the library.
            and self.metadata
            == {n: v for n, v in theirs.metadata.items() if n in self.metadata or v not in self.tags}
            and self.tags == theirs.tags
        )


def told_by_us(kind: str, request: Request) -> Told:
    if kind == "mailgun":
        form: dict[str, list[str]] = {}
        files = []
        for name, filename, media_type, content in read_form(request.headers["Content-Type"], request.body):
            if filename is None:
                form.setdefault(name, []).append(content.decode())
            else:
                files.append((name, filename, content, plain_type(media_type or "")))
        return _of_a_form(form, files)
    body = json.loads(request.body)
    return _of_ses(body, b64decode(body["Content"]["Raw"]["Data"])) if kind == "ses" else of_json(kind, body)


def told_by_them(kind: str, request: Mapping[str, Any]) -> Told | None:
    """None where it is no email for itself."""
    if kind == "ses":
        params = request.get("params", {})
        raw = params.get("Content", {}).get("Raw")
        return _of_ses(params, b64decode(raw["Data"]["$bytes_base64"])) if raw else None
    if kind == "mailgun":
        data = request.get("data")
        if not isinstance(data, dict) or request.get("files"):
            return None  # of files only their number is recorded
        return _of_a_form({n: v if isinstance(v, list) else [v] for n, v in data.items()}, [])
    return of_json(kind, request["json"]) if isinstance(request.get("json"), dict) else None


# -- forms ---------------------------------------------------------------------------------------------------


def of_json(kind: str, body: dict[str, Any]) -> Told:
    body = json.loads(json.dumps(body))
    told = _READERS[kind](body)
    told.metadata = {
        k: v if isinstance(v, str) else json.dumps(v) for k, v in told.metadata.items() if k not in OURS
    }
    told.email = _plain(told.email)
    return told


def _brevo(body: dict[str, Any]) -> Told:
    headers = body.setdefault("headers", {})
    headers.pop("idempotencyKey", None)
    metadata = json.loads(headers.pop("X-Mailin-custom", "{}"))
    return Told(body, metadata, body.pop("tags", []))


def _mailersend(body: dict[str, Any]) -> Told:
    tags = [tag for tag in body.pop("tags", []) if not tag.startswith("mailmux_")]
    # Three headers have fields of their own. The library knows two of them, and takes other precedences for bulk.
    headers = {h["name"]: h["value"] for h in body.pop("headers", [])}
    for name in list(headers):
        match name.lower():
            case "references":
                body["references"] = headers.pop(name).split()
            case "precedence":
                body["precedence_bulk"] = headers.pop(name) in ("bulk", "junk", "list")
    return Told({**body, "headers": headers}, {}, tags)


def _mailjet(body: dict[str, Any]) -> Told:
    (message,) = body.pop("Messages")
    message = {**body.pop("Globals", {}), **message}
    message.pop("CustomID", None)
    metadata = json.loads(message.pop("EventPayload", "{}"))
    campaign = message.pop("CustomCampaign", None)
    return Told({**body, **message}, metadata, [campaign] if campaign else [])


def _mailtrap(body: dict[str, Any]) -> Told:
    category = body.pop("category", None)
    return Told(body, body.pop("custom_variables", {}), [category] if category else [])


def _postmark(body: dict[str, Any]) -> Told:
    tag = body.pop("Tag", None)
    body.pop("MessageStream", None)
    body["headers"] = {h["Name"]: h["Value"] for h in body.pop("Headers", [])}
    return Told(body, body.pop("Metadata", {}), [tag] if tag else [])


def _resend(body: dict[str, Any]) -> Told:
    """Tags and metadata in headers there, and in tags of a narrow alphabet here."""
    headers = body.setdefault("headers", {})
    tags = json.loads(headers.pop("X-Tags", "[]"))
    metadata = json.loads(headers.pop("X-Metadata", "{}"))
    labels, told = _apart({t["name"]: t["value"] for t in body.pop("tags", [])})
    return Told(body, {**metadata, **labels}, tags or told)


def _apart(labels: dict[str, str]) -> tuple[dict[str, str], list[str]]:
    """The metadata, and the tags, which are called tag, tag_2, tag_3 …"""
    tags = [value for name, value in labels.items() if re.fullmatch(r"tag(_\d+)?", name)]
    return {n: v for n, v in labels.items() if not re.fullmatch(r"tag(_\d+)?", n)}, tags


def _sendgrid(body: dict[str, Any]) -> Told:
    metadata = body.pop("custom_args", {})
    for one in body["personalizations"]:
        metadata |= one.pop("custom_args", {})
    return Told(body, metadata, body.pop("categories", []))


def _sparkpost(body: dict[str, Any]) -> Told:
    body.setdefault("options", {}).pop("transactional", None)
    campaign = body.pop("campaign_id", None)
    return Told(body, body.pop("metadata", {}), [campaign] if campaign else [])


_READERS: dict[str, Callable[[dict[str, Any]], Told]] = {
    "brevo": _brevo, "mailersend": _mailersend, "mailjet": _mailjet, "mailtrap": _mailtrap, "postmark": _postmark,
    "resend": _resend, "sendgrid": _sendgrid, "sparkpost": _sparkpost,
}  # fmt: skip


def _of_a_form(form: dict[str, list[str]], files: list[tuple[str, str, bytes, str]]) -> Told:
    metadata = {n.removeprefix("v:"): v[0] for n, v in form.items() if n.startswith("v:")}
    email = {n.lower(): v for n, v in form.items() if not n.startswith("v:") and n != "o:tag" and v != [""]}
    return Told(
        (email, files), {n: str(v) for n, v in metadata.items() if n not in OURS}, list(form.get("o:tag", []))
    )


def _of_ses(asked: Mapping[str, Any], raw: bytes) -> Told:
    """Metadata and tags in the head there, and in message tags of a narrow alphabet here."""
    parsed = message_from_bytes(raw, policy=policy.default)
    skip = {
        "message-id", "date", "mime-version", "x-mailmux-attempt", "x-mailmux-email", "x-tag", "x-metadata",
        "content-type", "content-transfer-encoding", "content-disposition",
    }  # fmt: skip
    heads = [(n.lower(), " ".join(str(v).split())) for n, v in parsed.items() if n.lower() not in skip]
    parts = [
        (
            part.get_content_type(),
            part.get_filename(),
            (part.get_content_disposition(), part["Content-ID"]),
            bytes(part.get_payload(decode=True) or b"").replace(b"\r\n", b"\n").rstrip(b"\n"),
        )
        for part in parsed.walk()
        if not part.is_multipart()
    ]
    told = [p for p in parts if p[3] or p[1]]  # an empty text beside the HTML says nothing
    heads = [h for h in heads if h != ("to", "undisclosed-recipients:;")]
    labels, tags = _apart({t["Name"]: t["Value"] for t in asked.get("EmailTags", [])})
    theirs = [str(v) for v in parsed.get_all("x-tag", [])]
    metadata = {**json.loads(str(parsed.get("x-metadata", "{}"))), **labels}
    return Told(
        (asked["Destination"], sorted(heads), told),
        {n: str(v) for n, v in metadata.items() if n not in OURS},
        theirs or tags,
    )


def plain_type(kind: str) -> str:
    """Without the character set where that is the usual one, and without quotes."""
    return re.sub(r'; *charset="?(?:utf-8|us-ascii)"?', "", kind, flags=re.IGNORECASE).replace('"', "")


def _plain(content: Any, name: str = "") -> Any:
    """Without what is empty; types without the usual character set; headers by lower-case names, decoded."""
    if isinstance(content, list):
        return [_plain(item) for item in content]
    if not isinstance(content, dict):
        return content
    found: dict[str, Any] = {}
    for key, value in content.items():
        if name.lower() == "headers":
            found[key.lower()] = " ".join(str(make_header(decode_header(str(value)))).split())
        elif key in ("type", "content_type", "ContentType") and isinstance(value, str):
            found[key] = plain_type(value)
        elif value not in ("", {}, []):
            found[key] = _plain(value, key)
    return {key: value for key, value in found.items() if value != {}}


# -- what is refused here, and not there -------------------------------------------------------------------------


def _files(submission: Submission, inline: bool | None = None) -> Iterator[Any]:
    for attachment in submission.message.attachments:
        if inline is None or (attachment.disposition is Disposition.INLINE) is inline:
            yield attachment


def _people(submission: Submission) -> Iterator[Address]:
    yield submission.envelope.sender
    yield from submission.envelope.reply_to
    yield from (r.address for r in submission.envelope.recipients)


def _is_word(text: str) -> bool:
    return re.fullmatch(r"[A-Za-z0-9_-]+", text) is not None


# The words of a refusal, and whether they are true of the email.
REFUSALS: tuple[tuple[str, Callable[[Submission], bool]], ...] = (
    ("beyond ASCII before the @", lambda s: not all(a.email.isascii() for a in _people(s))),
    ("recipients", lambda s: s.recipient_count >= 50),
    ("without a To recipient", lambda s: not s.envelope.of(RecipientKind.TO)),
    ("without a subject", lambda s: not s.message.subject),
    ("empty body", lambda s: not (s.message.text or s.message.html)),
    ("an address named twice", lambda s: s.recipient_count > len(
        {r.address.email.lower() for r in s.envelope.recipients})),
    ("reply-to addresses", lambda s: len(s.envelope.reply_to) > 1),
    ("reply-to name", lambda s: not all(a.name.isascii() for a in s.envelope.reply_to)),
    ("tags", lambda s: len(s.tags) > 1),
    ("a tag that is not", lambda s: not all(map(_is_word, s.tags))),
    ("metadata whose", lambda s: not all(_is_word(n) and _is_word(v) for n, v in s.metadata.items())),
    ("tracking", lambda s: s.tracking.opens is not None or s.tracking.clicks is not None),
    ("header value", lambda s: not all(v.isascii() for _, v in s.message.headers)),
    ("the headers", lambda s: bool(s.message.headers)),
    ("recipient's name", lambda s: any(c in r.address.name for r in s.envelope.recipients for c in ",;")),
    ("inline images", lambda s: any(_files(s, inline=True))),
    ("extension", lambda s: any(_files(s))),
    ("parameters", lambda s: any(";" in a.content_type for a in _files(s))),
    ("character set", lambda s: any("charset" in a.content_type for a in _files(s))),
    ("without a content id", lambda s: any(not a.content_id for a in _files(s, inline=True))),
    ("content id on a file", lambda s: any(a.content_id for a in _files(s, inline=False))),
    ("two opening braces", lambda s: "{{" in f"{s.message.text}{s.message.html}{s.message.subject}"),
    ("precedence", lambda s: any(n.lower() == "precedence" for n, _ in s.message.headers)),
)  # fmt: skip


def is_true(refusal: str, submission: Submission) -> bool:
    """Whether every reason of a refusal is one that is listed, and is so."""
    said = refusal.split(": ", 1)[-1].removeprefix("cannot carry ")
    reasons = [said] if "; or ," in said else said.split("; ")
    return all(any(words in reason and holds(submission) for words, holds in REFUSALS) for reason in reasons)
