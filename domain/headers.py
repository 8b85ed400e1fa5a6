"""Which header fields a user may set. One rule for the API and for everything that composes a message.

A header name or value that carries a line break becomes a header of its own on the wire; Python's `email`
package lets some of them through (CVE-2024-6923, header *names* with CRLF), so the rule is ours.
"""

from __future__ import annotations

import re

_NAME = re.compile(r"[A-Za-z0-9-]{1,76}\Z")
# Readers are lenient (blanks in the charset, `?` in the text, no end), so the beginning is enough to refuse it.
_ENCODED_WORD = re.compile(r"=\?[^?]*\?[bqBQ]\?")
_CONTROL = re.compile("[\x00-\x08\x0a-\x1f\x7f\x85\u2028\u2029]")
_SURROGATE = re.compile("[\ud800-\udfff]")
# Where nothing of this is found the others need not look: one search for most texts.
_SUSPICIOUS = re.compile("[\x00-\x08\x0a-\x1f\x7f\x85\u2028\u2029\ud800-\udfff]|=\\?")
MAX_VALUE = 998  # characters of a line, RFC 5322, 2.1.1

RESERVED = frozenset(
    {
        "from", "sender", "to", "cc", "bcc", "reply-to", "subject", "date", "message-id", "return-path", "received",
        "mime-version", "content-type", "content-transfer-encoding", "content-disposition", "content-id",
        "dkim-signature", "arc-seal", "arc-message-signature", "arc-authentication-results",
        "authentication-results", "resent-from", "resent-to", "resent-cc", "resent-bcc", "resent-date",
        "resent-message-id", "resent-sender", "x-mailmux-attempt", "x-mailmux-email",
        # SendGrid's and SparkPost's SMTP relays take recipients from these, past To, Cc and Bcc.
        "x-smtpapi", "x-msys-api",
    }
)  # fmt: skip


def header_problem(name: str, value: str) -> str | None:
    """Say what is wrong with a header field that a user set, or None."""
    if not _NAME.match(name):
        return "a header name has 1 to 76 characters of A-Z, a-z, 0-9 and -"
    if name.lower() in RESERVED:
        return f"the header {name} is set by the service"
    return value_problem(value)


def value_problem(value: str) -> str | None:
    """Say what is wrong with a text that becomes a header's value (a subject, a display name), or None."""
    if len(value) <= MAX_VALUE and not _SUSPICIOUS.search(value):
        return None
    if _CONTROL.search(value):
        return "control characters and line breaks are not allowed"
    if _SURROGATE.search(value):
        return "lone surrogates are not text"
    if _ENCODED_WORD.search(value):
        return "encoded words (=?charset?…?=) are not allowed: give plain Unicode"
    if len(value) > MAX_VALUE:
        return f"longer than {MAX_VALUE} characters"
    return None
