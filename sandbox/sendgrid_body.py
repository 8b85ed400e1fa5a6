"""The body of SendGrid's POST /v3/mail/send: what is wrong with it, and the messages it stands for.

Sources: SendGrid's OpenAPI document for Mail Send and its page "Errors" (mail-send/errors), whose wording the
problems keep. Where the two disagree the stricter one holds. Stricter than both: a field that neither
knows is refused, since silence about a misspelt field would hide it.
"""

import base64
import binascii
import hashlib
import json
import re
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sandbox import sendgrid_wording as wording
from sandbox.messages import Envelope, Mailbox, Received, ReceivedAttachment
from sandbox.sendgrid_fields import (
    ADDRESS,
    ATTACHMENT,
    CONTENT,
    MAIL_SETTINGS,
    PERSONALIZATION,
    RESERVED_HEADERS,
    TOP,
    TRACKING_SETTINGS,
    Checks,
    InvalidBody,
    Json,
    Problem,
)

# An address as RFC 5321 writes the usual ones; a domain needs a dot, non-ASCII letters may stand in it.
_EMAIL = re.compile(r"[^\s@<>(),;:\\\"\[\]\x00-\x1f\x7f]{1,64}@(?:[\w-]{1,63}\.)+[\w-]{2,63}")
_CONTENT_ORDER = {"text/plain": 0, "text/html": 1}
_MAX_RECIPIENTS = 1000
_MAX_CUSTOM_ARGS = 10_000
_MAX_AHEAD = 72 * 3600


def read_messages(body: bytes, *, account: str, message_id: str) -> list[Received]:
    """One message per personalization; none in SendGrid's own sandbox mode, which only validates.

    Raises InvalidBody with everything that is wrong.
    """
    try:
        data = json.loads(body.decode())
        if re.search(rb"\\u[dD][89a-fA-F]", body):
            json.dumps(data, ensure_ascii=False).encode()  # half a surrogate pair is no text
    except UnicodeError as error:
        raise InvalidBody([Problem("Invalid UTF8 in request.", None)]) from error
    except (ValueError, RecursionError) as error:
        raise InvalidBody([Problem("Bad Request", None)]) from error
    checks = Checks()
    top = checks.object(data, "", TOP)
    if not isinstance(data, dict):
        raise InvalidBody([Problem("Bad Request", None)])
    personalizations = _personalizations(checks, data, top)
    text, html = _content(checks, data, top)
    common = Received(
        account=account,
        dialect="sendgrid",
        message_id=message_id,
        sender=_sender(checks, data, top),
        reply_to=_reply_to(checks, top),
        subject=top.get("subject", ""),
        attachments=_attachments(checks, top),
        categories=_categories(checks, top),
        headers=_headers(checks, top.get("headers", {}), "headers"),
        custom_args=_strings(checks, top.get("custom_args", {}), "custom_args"),
        size=len(body),
        text=text,
        html=html,
    )
    _options(checks, top)
    _subjects(checks, data, top, personalizations)
    messages = [_message(checks, one, common) for one in personalizations]
    if checks.problems:
        raise InvalidBody(checks.problems)
    only_validate = top.get("mail_settings", {}).get("sandbox_mode", {}).get("enable")
    return [] if only_validate else messages


def _mailbox(checks: Checks, value: Any, where: str, kind: str) -> Mailbox:
    mailbox = checks.object(value, where, ADDRESS)
    email = mailbox.get("email", "")
    if isinstance(value, dict) and not _EMAIL.fullmatch(email):
        if email:
            checks.wrong(f"{where}.email", "Does not contain a valid address.")
        else:
            checks.wrong(f"{where}.email", wording.ADDRESS.format(kind=kind))
    return Mailbox(email, mailbox.get("name", ""))


def _sender(checks: Checks, data: Json, top: Json) -> Mailbox:
    if data.get("from") is None:
        checks.wrong("from", wording.FROM_REQUIRED)
        return Mailbox("")
    return _mailbox(checks, top["from"], "from", "from") if "from" in top else Mailbox("")


def _reply_to(checks: Checks, top: Json) -> tuple[Mailbox, ...]:
    if "reply_to" in top and "reply_to_list" in top:
        checks.wrong(
            "reply_to_list",
            "You can use either the reply_to property or reply_to_list property but not both.",
        )
    if "reply_to" in top:
        return (_mailbox(checks, top["reply_to"], "reply_to", "reply_to"),)
    listed = tuple(
        _mailbox(checks, entry, f"reply_to_list.{n}", "reply_to_list")
        for n, entry in enumerate(top.get("reply_to_list", []))
    )
    if len(listed) > 1000:
        checks.wrong("reply_to_list", "The reply_to_list is limited to 1000 addresses.")
    if len({mailbox.email.lower() for mailbox in listed}) < len(listed):
        checks.wrong("reply_to_list", "Each email address in the reply_to_list should be unique.")
    return listed


def _personalizations(checks: Checks, data: Json, top: Json) -> list[Json]:
    entries = top.get("personalizations", [])
    if not entries and ("personalizations" in top or "personalizations" not in data):
        checks.wrong("personalizations", "You must have at least one personalization.")
    if len(entries) > 1000:
        checks.wrong("personalizations", wording.TOO_MANY_PERSONALIZATIONS.format(count=len(entries)))
        return []
    read: list[Json] = []
    seen: set[str] = set()
    total = 0
    for index, entry in enumerate(entries):
        where = f"personalizations.{index}"
        known = checks.object(entry, where, PERSONALIZATION)
        if not isinstance(entry, dict):
            continue
        one: Json = {**known, "where": where}
        here: set[str] = set()
        for kind in ("to", "cc", "bcc"):
            mailboxes = tuple(
                _mailbox(checks, value, f"{where}.{kind}.{n}", kind)
                for n, value in enumerate(known.get(kind, []))
            )
            one[kind] = mailboxes
            total += len(mailboxes)
            for mailbox in mailboxes:
                _check_duplicate(checks, mailbox.email, where, kind, here, seen)
        seen |= here
        if not one["to"] and ("to" in known or "to" not in entry):
            checks.wrong(f"{where}.to", wording.TO_REQUIRED)
        read.append(one)
    if total > _MAX_RECIPIENTS:
        checks.wrong(
            "personalizations", "There is a limit of 1000 total recipients (to + cc + bcc) per request."
        )
    return read


def _check_duplicate(
    checks: Checks, email: str, where: str, kind: str, here: set[str], seen: set[str]
) -> None:
    key = email.lower()
    if key and key in here:
        checks.wrong(where, wording.DUPLICATE_IN_PERSONALIZATION.format(email=email, where=f"{where}.{kind}"))
    elif key and key in seen:
        checks.wrong("personalizations", wording.DUPLICATE_IN_REQUEST.format(email=email))
    here.add(key)


def _content(checks: Checks, data: Json, top: Json) -> tuple[str, str]:
    blocks = top.get("content", [])
    if not blocks and not top.get("template_id") and not isinstance(data.get("content"), dict | str):
        checks.wrong("content", wording.CONTENT_REQUIRED)
    types, values = [], []
    for n, entry in enumerate(blocks):
        block = checks.object(entry, f"content.{n}", CONTENT)
        kind, value = block.get("type", ""), block.get("value", "")
        if not kind:
            checks.wrong(
                f"content.{n}.type",
                "Your content type must be a string with length of at least one character.",
            )
        elif re.search(r"[;\r\n]", kind):
            checks.wrong(f"content.{n}.type", "The content type cannot contain ';', or CRLF characters.")
        if not value:
            checks.wrong(
                f"content.{n}.value", "The content value must be a string at least one character in length."
            )
        types.append(kind.lower())
        values.append(value)
    order = [_CONTENT_ORDER.get(kind, 2) for kind in types]
    if order != sorted(order) or order.count(0) > 1:
        checks.wrong("content", wording.CONTENT_ORDER)
    found = dict(zip(reversed(types), reversed(values), strict=True))
    return found.get("text/plain", ""), found.get("text/html", "")


def _attachments(checks: Checks, top: Json) -> tuple[ReceivedAttachment, ...]:
    read = []
    for n, entry in enumerate(top.get("attachments", [])):
        where = f"attachments.{n}"
        attachment = checks.object(entry, where, ATTACHMENT)
        content = b""
        if not attachment.get("content"):
            checks.wrong(
                f"{where}.content",
                "The attachment content must be a string at least one character in length.",
            )
        else:
            try:
                content = base64.b64decode(attachment["content"], validate=True)
            except (binascii.Error, ValueError):
                checks.wrong(f"{where}.content", "The attachment content must be base64 encoded.")
        if "filename" not in attachment:
            checks.wrong(f"{where}.filename", "filename is required.")
        # The document forbids ";" in the type too, but clients in wide use send "text/plain; charset=…".
        for name in ("filename", "type", "content_id"):
            if re.search(r"[\r\n]", attachment.get(name, "")):
                checks.wrong(
                    f"{where}.{name}", f"The {name} of your attachment cannot contain CRLF characters."
                )
        if attachment.get("type") == "":
            checks.wrong(
                f"{where}.type", "The attachment type must be a string and at least one character in length."
            )
        disposition = attachment.get("disposition", "attachment")
        if disposition not in ("inline", "attachment"):
            checks.wrong(
                f"{where}.disposition",
                'The disposition of your attachment can be either "inline" or "attachment". '
                f"You provided {disposition}.",
            )
        read.append(
            ReceivedAttachment(
                name=attachment.get("filename", ""),
                type=attachment.get("type", "application/octet-stream"),
                size=len(content),
                sha256=hashlib.sha256(content).hexdigest(),
                disposition=disposition,
                content_id=attachment.get("content_id", ""),
            )
        )
    return tuple(read)


def _categories(checks: Checks, top: Json) -> tuple[str, ...]:
    categories = top.get("categories", [])
    if any(not isinstance(category, str) for category in categories):
        checks.wrong("categories", "Categories must be an array of strings.")
        return ()
    if len(categories) > 10:
        checks.wrong("categories", wording.TOO_MANY_CATEGORIES.format(count=len(categories)))
        return ()
    for category in categories:
        if len(category) > 255:
            checks.wrong(
                "categories",
                f"Each category must not be longer than 255 characters. {category} exceeds this limit.",
            )
        if not category.isascii():
            checks.wrong("categories", "Categories can not contain non-ASCII characters.")
    for category in {category for category in categories if categories.count(category) > 1}:
        checks.wrong(
            "categories",
            f"The categories must be a unique list, and you have included {category} more than once.",
        )
    return tuple(categories)


def _headers(checks: Checks, headers: Json, where: str) -> tuple[tuple[str, str], ...]:
    for name, value in headers.items():
        if not isinstance(value, str):
            checks.wrong(f"{where}.{name}", "The header values must be strings.")
        elif re.search(r"[\r\n]", value):
            checks.wrong(f"{where}.{name}", "The header values cannot contain CRLF characters.")
        if not re.fullmatch(r"[!-9;-~]+", name):
            checks.wrong(
                f"{where}.{name}", "Header keys cannot contain non-ASCII characters and empty spaces."
            )
        if name.lower() in RESERVED_HEADERS:
            checks.wrong(f"{where}.{name}", "Header can not be one of the reserved keys.")
    if len({name.lower() for name in headers}) < len(headers):
        checks.wrong(where, "The headers cannot contain duplicate keys.")
    return tuple((name, value) for name, value in headers.items() if isinstance(value, str))


def _strings(checks: Checks, args: Json, where: str) -> dict[str, str]:
    for name, value in args.items():
        if not isinstance(value, str):
            checks.wrong(f"{where}.{name}", "All values of custom arguments object must be strings")
    return {name: value for name, value in args.items() if isinstance(value, str)}


def _send_at(checks: Checks, send_at: int | None, where: str) -> None:
    if send_at is not None and send_at > time.time() + _MAX_AHEAD:
        checks.wrong(where, "Scheduling more than 72 hours in advance is forbidden.")


def _settings(checks: Checks, settings: Json, where: str, known: Mapping[str, Mapping[str, type]]) -> None:
    for name, value in checks.object(settings, where, dict.fromkeys(known, dict)).items():
        checks.object(value, f"{where}.{name}", known[name])


def _options(checks: Checks, top: Json) -> None:
    _send_at(checks, top.get("send_at"), "send_at")
    _settings(checks, top.get("mail_settings", {}), "mail_settings", MAIL_SETTINGS)
    _settings(checks, top.get("tracking_settings", {}), "tracking_settings", TRACKING_SETTINGS)
    if "asm" in top:
        _asm(checks, top["asm"])
    if not 2 <= len(top.get("ip_pool_name", "--")) <= 64:
        checks.wrong("ip_pool_name", "The length of ip_pool_name must be from 2 to 64 characters.")


def _asm(checks: Checks, asm: Json) -> None:
    groups = checks.object(asm, "asm", {"group_id": int, "groups_to_display": list})
    if "group_id" not in groups:
        checks.wrong("asm.group_id", "The ASM group ID must be an integer.")
    shown = groups.get("groups_to_display", [])
    if any(isinstance(group, bool) or not isinstance(group, int) for group in shown):
        checks.wrong("asm.groups_to_display", "The ASM Group IDs to display must be an array of integers.")
    if len(shown) > 25:
        checks.wrong(
            "asm.groups_to_display",
            "There is a limit of 25 unsubscribe groups that can be displayed to a user at a time.",
        )


def _subjects(checks: Checks, data: Json, top: Json, personalizations: list[Json]) -> None:
    for where, holder in (("subject", top), *((f"{one['where']}.subject", one) for one in personalizations)):
        if holder.get("subject") == "":
            checks.wrong(
                where, "The subject of your email must be a string at least one character in length."
            )
    everywhere = bool(personalizations) and all("subject" in one for one in personalizations)
    if "subject" not in data and not top.get("template_id") and not everywhere:
        checks.wrong("subject", wording.SUBJECT_REQUIRED)


def _message(checks: Checks, one: Json, common: Received) -> Received:
    where = one["where"]
    sender = _mailbox(checks, one["from"], f"{where}.from", "from") if "from" in one else common.sender
    args = common.custom_args | _strings(checks, one.get("custom_args", {}), f"{where}.custom_args")
    if len(json.dumps(args, ensure_ascii=False).encode("utf-8", "replace")) > _MAX_CUSTOM_ARGS:
        checks.wrong(f"{where}.custom_args", wording.CUSTOM_ARGS_TOO_LARGE)
    headers = dict(common.headers) | dict(_headers(checks, one.get("headers", {}), f"{where}.headers"))
    _send_at(checks, one.get("send_at"), f"{where}.send_at")
    if any(not isinstance(value, str) for value in one.get("substitutions", {}).values()):
        checks.wrong(
            f"{where}.substitutions",
            "The substitution values must be an object of key/value pairs, where the values are all strings.",
        )
    recipients = (*one["to"], *one["cc"], *one["bcc"])
    return replace(
        common,
        sender=sender,
        to=one["to"],
        cc=one["cc"],
        bcc=one["bcc"],
        envelope=Envelope(sender.email, tuple(mailbox.email for mailbox in recipients)),
        subject=one.get("subject", common.subject),
        headers=tuple(headers.items()),
        custom_args=args,
    )
