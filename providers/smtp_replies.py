"""What an SMTP server's refusal means. Sources: RFC 5321 (reply codes), RFC 3463 and the IANA registry of enhanced
codes (X.Y.Z), RFC 4954 (AUTH); and for single servers the pages named beside the rules.

A reply is the server's word that it did not take the email, whenever it comes (RFC 5321, 4.2.1); so every error here
is NotAccepted. That a reply is missing is not judged here.
"""

from __future__ import annotations

import re
from enum import Enum

from domain.errors import (
    Misconfigured,
    NotAccepted,
    ProviderUnavailable,
    RateLimited,
    Rejected,
    SenderNotVerified,
    Transient,
    Unsupported,
)
from domain.value import value


class Stage(Enum):
    CONNECT = "connecting"
    GREETING = "the greeting"
    HELLO = "EHLO"
    TLS = "STARTTLS"
    AUTH = "AUTH"
    MAIL = "MAIL"
    RCPT = "RCPT"
    DATA = "DATA"
    END = "the end of the email"


_BEFORE_ANY_EMAIL = frozenset({Stage.CONNECT, Stage.GREETING, Stage.HELLO, Stage.TLS, Stage.AUTH})
_ENHANCED = re.compile(r"([245])\.(\d{1,3})\.(\d{1,3})\b")

# Gmail: 421 4.7.0, 450 4.2.1 "receiving mail too quickly", 550 5.4.5 "Daily user sending limit exceeded"
# (support.google.com/a/answer/3726730). Microsoft: 432 4.3.2 "Concurrent connections limit exceeded"
# (learn.microsoft.com, SMTP AUTH client submission). Mailtrap: 535 5.7.8 "Too many connections".
# Amazon SES: 454 "Throttling failure: Maximum sending rate exceeded" (docs.aws.amazon.com, SES SMTP responses).
_RATE = re.compile(
    r"throttl|rate.?limit|slow down|too (?:fast|quickly|frequent)"
    r"|too many (?:\S+ ){0,3}?(?:connections|sessions|logins?|attempts|messages|e-?mails|requests)"
    r"|(?:sending|daily|hourly|monthly|messages?|relay|thread|connections?) (?:\S+ ){0,2}"
    r"(?:limit|quota|rate) (?:has been |was )?(?:exceeded|reached)",
    re.IGNORECASE,
)
_OTHER_LIMIT = re.compile(r"\bsize\b|mailbox|storage|too (?:big|large)", re.IGNORECASE)
# SendGrid: 550 "The from address does not match a verified Sender Identity". Amazon SES: 554 "Email address is not
# verified". Microsoft: 550 5.7.60 and 554 5.2.252 SendAsDenied. Postfix: 553 5.7.1 "Sender address rejected".
_SENDER = re.compile(
    r"verified sender|not verified|sender (?:address )?(?:rejected|denied|refused|not allowed|not authori[sz]ed)|"
    r"send ?as|not (?:allowed|permitted|authori[sz]ed) to send (?:as|from|on behalf)|not owned by user|"
    r"from address|domain (?:is )?not (?:verified|authori[sz]ed|allowed)|unverified",
    re.IGNORECASE,
)
_RELAY = re.compile(
    r"relay(?:ing)? (?:access )?(?:denied|not (?:permitted|allowed))|unable to relay|cannot relay",
    re.IGNORECASE,
)
_AUTH_CODES = frozenset({530, 534, 535, 538})
# Microsoft: 550 5.7.30 basic authentication refused, 530 5.7.57 not authenticated, 550 5.7.54 unable to relay.
_AUTH_ENHANCED = frozenset({(7, 30), (7, 57), (7, 54), (7, 139)})


@value
class Reply:
    """`text` is the server's, still with whatever addresses it holds."""

    code: int
    text: str = ""

    @property
    def enhanced(self) -> tuple[int, int] | None:
        """Subject and detail of the enhanced code (RFC 3463), where its class agrees with the reply's."""
        found = _ENHANCED.match(self.text.lstrip())
        if found is None or int(found[1]) != self.code // 100:
            return None
        return int(found[2]), int(found[3])


def meaning(reply: Reply, stage: Stage) -> type[NotAccepted]:
    """The class of error that a refusal (4yz, 5yz) means at this stage."""
    enhanced = reply.enhanced
    if enhanced == (5, 3) and stage is Stage.RCPT:
        return Unsupported  # more recipients than this server takes at once (RFC 3463, X.5.3)
    if _is_rate(reply, stage):
        return RateLimited
    if reply.code < 500:
        return _temporary(reply, stage)
    if stage in _BEFORE_ANY_EMAIL:
        # 554 instead of a greeting (RFC 5321, 3.1) passes by itself where it does; AUTH's 5yz never do.
        return ProviderUnavailable if stage is Stage.GREETING and reply.code == 554 else Misconfigured
    if reply.code in _AUTH_CODES or enhanced in _AUTH_ENHANCED or _RELAY.search(reply.text):
        return Misconfigured
    if _SENDER.search(reply.text):
        return SenderNotVerified
    if stage is Stage.MAIL and enhanced is not None and (enhanced[0] == 7 or enhanced in ((1, 7), (1, 8))):
        return SenderNotVerified
    if (reply.code == 552 and enhanced == (3, 4)) or enhanced == (3, 4):
        return Unsupported  # larger than this server takes (RFC 1870, 6); another may take it
    if reply.code in (500, 502, 503, 521):
        return Misconfigured  # it does not do what a mail server does (521: RFC 7504)
    return Rejected


def _is_rate(reply: Reply, stage: Stage) -> bool:
    """Whether the account is too fast. That a recipient gets too much (X.1, X.2 at RCPT) is not the account's."""
    enhanced = reply.enhanced
    if stage is Stage.RCPT and enhanced is not None and enhanced[0] in (1, 2):
        return False
    if enhanced == (4, 5) and reply.code >= 500:
        return True
    return bool(_RATE.search(reply.text)) and not _OTHER_LIMIT.search(reply.text)


def _temporary(reply: Reply, stage: Stage) -> type[NotAccepted]:
    if reply.code == 421:
        return ProviderUnavailable  # the server closes (RFC 5321, 3.8)
    if stage is Stage.AUTH and reply.code == 432:
        return Misconfigured  # a password transition is needed (RFC 4954, 4.4.1)
    if stage is Stage.MAIL and reply.enhanced is not None and reply.enhanced[0] == 1:
        return Transient  # the sender's domain cannot be looked up just now
    if stage is Stage.RCPT:
        # A full or greylisted mailbox is the recipient's, not the provider's; the system's own trouble is X.3 and X.4.
        of_system = reply.enhanced is not None and reply.enhanced[0] in (3, 4)
        return (
            ProviderUnavailable
            if of_system or (reply.code in (451, 452) and reply.enhanced is None)
            else Transient
        )
    return ProviderUnavailable
