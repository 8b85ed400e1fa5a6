"""What servers' refusals mean, from the RFCs and from what known servers say."""

from __future__ import annotations

import pytest

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
from providers.smtp_replies import Reply, Stage, meaning

G, H, A, M, R, D, E = Stage.GREETING, Stage.HELLO, Stage.AUTH, Stage.MAIL, Stage.RCPT, Stage.DATA, Stage.END

CASES: list[tuple[Stage, str, type[NotAccepted]]] = [
    # Before any email
    (G, "554 No SMTP service here", ProviderUnavailable),
    (G, "421 4.3.2 try later", ProviderUnavailable),
    (G, "421 4.7.0 Too many concurrent SMTP connections; please try again later.", RateLimited),
    (G, "521 server does not accept mail", Misconfigured),
    (H, "500 5.5.1 unrecognized", Misconfigured),
    (A, "535 5.7.8 Username and Password not accepted.", Misconfigured),
    (A, "535 5.7.8 Too many connections", RateLimited),
    (A, "534-5.7.9 Application-specific password required", Misconfigured),
    (A, "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled", Misconfigured),
    (A, "550 5.7.30 Basic authentication is not supported for Client Submission.", Misconfigured),
    (A, "504 5.5.4 mechanism unknown", Misconfigured),
    (A, "454 4.7.0 Too many login attempts, please try again later.", RateLimited),
    (A, "454 4.7.0 Temporary authentication failure", ProviderUnavailable),
    # The account
    (M, "530 5.7.0 Must issue a STARTTLS command first", Misconfigured),
    (M, "530 5.7.57 Client not authenticated to send mail.", Misconfigured),
    (M, "503 5.5.1 bad sequence of commands", Misconfigured),
    (R, "554 5.7.1 <a@example.com>: Relay access denied", Misconfigured),
    (R, "550 5.7.54 SMTP; Unable to relay recipient in non-accepted domain", Misconfigured),
    (M, "452 4.4.5 Messages per second limit exceeded", RateLimited),
    (M, "550 5.4.5 Daily user sending limit exceeded.", RateLimited),
    (E, "454 Throttling failure: Maximum sending rate exceeded.", RateLimited),
    (E, "454 Throttling failure: Daily message quota exceeded.", RateLimited),
    (M, "450 4.2.1 Peak SMTP relay limit exceeded for this customer.", RateLimited),
    (M, "432 4.3.2 STOREDRV.ClientSubmit; sender thread limit exceeded", RateLimited),
    (E, "451 4.3.0 queue file write error", ProviderUnavailable),
    (D, "452 4.3.1 Insufficient system storage", ProviderUnavailable),
    (M, "451 4.1.8 Domain of sender address does not resolve", Transient),
    # The sender
    (M, "550 5.7.1 Client does not have permissions to send as this sender", SenderNotVerified),
    (M, "550 5.7.60 SMTP; Client does not have permissions to send as this sender", SenderNotVerified),
    (E, "554 5.2.252 SendAsDenied; a@example.com not allowed to send as b@example.com", SenderNotVerified),
    (R, "553 5.7.1 <b@example.com>: Sender address rejected: not owned by user a", SenderNotVerified),
    (M, "550 5.1.8 Sender address rejected: Domain not found", SenderNotVerified),
    (E, "550 The from address does not match a verified Sender Identity.", SenderNotVerified),
    (E, "554 Message rejected: Email address is not verified.", SenderNotVerified),
    # The recipient
    (R, "550 5.1.1 User unknown", Rejected),
    (R, "550 5.2.1 mailbox disabled", Rejected),
    (R, "552 5.2.2 mailbox full", Rejected),
    (R, "553 5.1.3 malformed address", Rejected),
    (R, "550 5.7.1 blocked by the recipient's policy", Rejected),
    (R, "450 4.2.0 Greylisted", Transient),
    (R, "451 4.7.1 Greylisting in action, please come back later", Transient),
    (R, "452 4.2.2 over quota", Transient),
    (R, "450 4.2.1 The user you are trying to contact is receiving mail too quickly.", Transient),
    (R, "452 4.5.3 Error: too many recipients", Unsupported),
    (R, "451 4.3.0 lookup failed", ProviderUnavailable),
    (R, "421 4.7.0 closing", ProviderUnavailable),
    (R, "552 5.2.2 Mailbox quota exceeded", Rejected),
    (R, "550 mailbox size limit exceeded", Rejected),
    (R, "552 message size limit exceeded", Rejected),
    # The message
    (E, "554 5.4.6 Too many hops", Rejected),
    (M, "552 5.3.4 Message size exceeds fixed limit", Unsupported),
    (
        E,
        "552 5.7.0 This message was blocked because its content presents a potential security issue",
        Rejected,
    ),
    (E, "550 5.7.1 our system has detected that this message is likely unsolicited mail", Rejected),
    (E, "554 5.6.0 malformed", Rejected),
]


@pytest.mark.parametrize(
    ("stage", "line", "expected"), CASES, ids=[f"{s.name}-{t[:40]}" for s, t, _ in CASES]
)
def test_a_refusal_means(stage: Stage, line: str, expected: type[NotAccepted]) -> None:
    assert meaning(Reply(int(line[:3]), line[4:]), stage) is expected


@pytest.mark.parametrize("stage", Stage)
def test_every_refusal_is_provably_not_accepted(stage: Stage) -> None:
    assert all(issubclass(meaning(Reply(code), stage), NotAccepted) for code in range(400, 600))


@pytest.mark.parametrize(
    ("code", "text", "enhanced"),
    [
        (550, "5.1.1 no", (1, 1)),
        (550, "5.1.1no", None),
        (550, "4.1.1 no", None),
        (550, "no 5.1.1", None),
        (450, "4.20.300 x", (20, 300)),
        (550, "", None),
    ],
)
def test_an_enhanced_code_counts_only_where_it_agrees(
    code: int, text: str, enhanced: tuple[int, int] | None
) -> None:
    assert Reply(code, text).enhanced == enhanced
