"""What the errors of Amazon SES mean.

Sources: botocore's model of sesv2 for those of SendEmail; docs.aws.amazon.com/ses, "Amazon SES email sending errors".
"""

from __future__ import annotations

from typing import Final

from domain.errors import (
    Misconfigured,
    ProviderError,
    ProviderUnavailable,
    RateLimited,
    Rejected,
    SenderNotVerified,
)

# By the name of the error, since SES says 400 to nearly all. AWS's common errors (docs.aws.amazon.com/ses/latest/
# APIReference-V2/CommonErrors.html) and those of the signature are of the account; InternalFailure stays a doubt.
MEANINGS: Final[dict[str, type[ProviderError]]] = {
    "TooManyRequestsException": RateLimited,
    "LimitExceededException": RateLimited,
    "Throttling": RateLimited,
    "ThrottlingException": RateLimited,
    "AccountSuspendedException": Misconfigured,
    "SendingPausedException": Misconfigured,
    "MailFromDomainNotVerifiedException": SenderNotVerified,
    "MessageRejected": Rejected,
    "BadRequestException": Rejected,
    "ValidationError": Rejected,
    "NotFoundException": Misconfigured,
    "ServiceUnavailable": ProviderUnavailable,
    "ServiceUnavailableException": ProviderUnavailable,
    **dict.fromkeys(
        (
            "AccessDenied", "AccessDeniedException", "ExpiredToken", "ExpiredTokenException", "IncompleteSignature",
            "IncompleteSignatureException", "InvalidClientTokenId", "InvalidSignatureException",
            "MissingAuthenticationToken", "MissingAuthenticationTokenException", "NotAuthorized", "OptInRequired",
            "RequestExpired", "SignatureDoesNotMatch", "UnrecognizedClientException",
        ),
        Misconfigured,
    ),
}  # fmt: skip
