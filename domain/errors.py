"""What a provider's refusal means: whose fault, and could the email have been accepted?

    ProviderError
    ├─ NotAccepted          provably not taken: another provider may try
    │  ├─ Transient         the provider cannot now
    │  │  ├─ ProviderUnavailable
    │  │  └─ RateLimited    says when to come back
    │  ├─ Misconfigured     bad key, account suspended: nothing goes through this account
    │  ├─ SenderNotVerified this sender domain only; the account is fine
    │  ├─ Unsupported       this provider cannot carry the email (a feature, its size): another may
    │  └─ Rejected          the message's or the recipient's fault: no provider would take it
    │     └─ RecipientSuppressed   on a list of the provider's: it writes to none of the recipients any more
    └─ OutcomeUnknown       it may have been accepted: it must not be moved elsewhere by itself

`code` is the stable name that the API, the ledger and the metrics show.
"""

from __future__ import annotations

from typing import ClassVar

from domain.attempt import Outcome


class ProviderError(Exception):
    """A send did not end in a clear acceptance.

    `provider` is the name of the adapter; `detail` is for operators: what the provider said, without
    credentials, addresses or bodies of ours.
    """

    code: ClassVar[str] = "provider_error"
    outcome: ClassVar[Outcome] = Outcome.UNKNOWN

    def __init__(self, provider: str, detail: str) -> None:
        super().__init__(f"{provider}: {detail}")
        self.provider = provider
        self.detail = detail


class NotAccepted(ProviderError):
    code = "not_accepted"
    outcome = Outcome.NOT_SENT


class Transient(NotAccepted):
    code = "transient"


class ProviderUnavailable(Transient):
    code = "provider_unavailable"


class RateLimited(Transient):
    """`retry_after`: seconds, where the provider said it."""

    code = "rate_limited"

    def __init__(self, provider: str, detail: str, retry_after: float | None = None) -> None:
        super().__init__(provider, detail)
        self.retry_after = retry_after


class Misconfigured(NotAccepted):
    code = "misconfigured"


class SenderNotVerified(NotAccepted):
    code = "sender_not_verified"


class Unsupported(NotAccepted):
    code = "unsupported"


class Rejected(NotAccepted):
    code = "rejected"


class RecipientSuppressed(Rejected):
    code = "recipient_suppressed"


class OutcomeUnknown(ProviderError):
    code = "outcome_unknown"


class StorageUnavailable(Exception):
    """The database did not answer. What was not committed did not happen; a commit's own answer may be lost."""


class Unstorable(Exception):
    """What was given is no data that the database can hold, however often it is tried."""
