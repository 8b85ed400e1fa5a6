"""Amazon SES's events, as Amazon SNS posts them: an envelope that is signed, and in it the event as text.

Sources: docs.aws.amazon.com/sns, "Verifying the signatures of Amazon SNS messages" (the string to sign, versions 1 and
2, the certificate's address) and "Message delivery retries" (an HTTP endpoint is tried for six hours).

Only messages of the topics that are set are taken: anybody can have AWS sign messages of a topic of their own.
"""

from __future__ import annotations

import binascii
import re
import threading
from base64 import b64decode
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from domain.errors import ProviderUnavailable
from domain.events import Forged, Notice, Unreadable, Verified, WebhookRequest
from providers.exchange import Origin, Request
from providers.ses_events import read
from providers.webhooks import SKEW, SignedWebhook, canonical, inbound, instant, loads, word
from providers.world import World

_OLDEST = timedelta(hours=7)
_HOST = re.compile(r"sns\.[a-z0-9-]+\.amazonaws\.com(?:\.cn)?")
_CERTIFICATE = re.compile(r"/SimpleNotificationService-[0-9A-Za-z]{1,64}\.pem")
_KEPT_CERTIFICATES = 16
_SIGNED = {
    "Notification": ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    "SubscriptionConfirmation": (
        "Message",
        "MessageId",
        "SubscribeURL",
        "Timestamp",
        "Token",
        "TopicArn",
        "Type",
    ),
    "UnsubscribeConfirmation": (
        "Message",
        "MessageId",
        "SubscribeURL",
        "Timestamp",
        "Token",
        "TopicArn",
        "Type",
    ),
}
Fetch = Callable[[str], bytes]


def _readable(pem: str | None) -> str | None:
    if pem is not None:
        from cryptography.x509 import load_pem_x509_certificate

        try:
            load_pem_x509_certificate(pem.encode())
        except ValueError:
            raise ValueError("not a PEM certificate") from None
    return pem


class WebhookSecret(BaseModel):
    """A topic that may tell events. `certificate_pem`: the one that signs, where it is not to be fetched from AWS."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    topic_arn: Annotated[
        str, Field(pattern=r"^arn:aws[a-z-]*:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_.-]{1,256}$")
    ]
    certificate_pem: Annotated[str | None, Field(max_length=65_536), AfterValidator(_readable)] = None


class Webhook(SignedWebhook[WebhookSecret]):
    def __init__(self, secrets: Sequence[WebhookSecret], fetch: Fetch) -> None:
        super().__init__(secrets)
        self._fetch = fetch
        self._lock = threading.Lock()
        self._certificates: dict[str, bytes] = {}

    def prove(self, request: WebhookRequest, secret: WebhookSecret, now: datetime) -> Verified:
        envelope = _envelope(request, Forged)
        if envelope.get("TopicArn") != secret.topic_arn:
            raise Forged("of another topic")
        at = instant(envelope.get("Timestamp"))
        if at is None or not now - _OLDEST <= at <= now + SKEW:
            raise Forged("the signed time is missing or too far from now")
        pem = secret.certificate_pem.encode() if secret.certificate_pem else self._certificate(envelope)
        _check_signature(envelope, pem, now)
        return Verified()

    def _certificate(self, envelope: Mapping[str, Any]) -> bytes:
        url = word(envelope.get("SigningCertURL")) or ""
        if not _is_amazons(url) or not _CERTIFICATE.fullmatch(urlsplit(url).path) or urlsplit(url).query:
            raise Forged("the certificate's address is not Amazon's")
        with self._lock:
            kept = self._certificates.get(url)
        if kept is None:
            kept = self._fetch(url)
            with self._lock:
                if len(self._certificates) >= _KEPT_CERTIFICATES:
                    self._certificates.clear()
                self._certificates[url] = kept
        return kept

    def parse(self, request: WebhookRequest) -> Notice:
        envelope = _envelope(request, Unreadable)
        match envelope.get("Type"):
            case "SubscriptionConfirmation":
                url = word(envelope.get("SubscribeURL")) or ""
                if not _is_amazons(url):
                    raise Unreadable("the subscription's address is not Amazon's")
                return Notice(confirm=url)
            case "Notification":
                return self._notice(envelope)
        return Notice()

    @staticmethod
    def _notice(envelope: Mapping[str, Any]) -> Notice:
        try:
            event = loads(str(envelope["Message"]).encode("utf-8", "replace"))
        except (ValueError, LookupError):
            return Notice()  # "Successfully validated SNS topic …" is no event
        if not isinstance(event, dict) or not (
            kind := event.get("eventType") or event.get("notificationType")
        ):
            return Notice()
        if kind in ("Received", "AmazonSnsSubscriptionSucceeded"):  # of emails that come in, and of nothing
            return Notice()
        try:
            return Notice(tuple(inbound(read(str(kind), event, envelope), canonical(envelope))))
        except (ValueError, TypeError, LookupError, AttributeError) as reason:
            raise Unreadable(f"not in the documented form: {type(reason).__name__}") from reason


def _envelope(request: WebhookRequest, error: type[Forged] | type[Unreadable]) -> dict[str, Any]:
    try:
        envelope = loads(request.body)
    except ValueError:
        envelope = None
    if not isinstance(envelope, dict):
        raise error("not an SNS message")
    return envelope


def _is_amazons(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme == "https" and _HOST.fullmatch(parts.netloc) is not None and not parts.fragment
    except ValueError:
        return False


def _check_signature(envelope: Mapping[str, Any], pem: bytes, now: datetime) -> None:
    """Raise Forged unless the certificate's owner has signed the envelope."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from cryptography.hazmat.primitives.hashes import SHA1, SHA256
    from cryptography.x509 import load_pem_x509_certificate

    names = _SIGNED.get(str(envelope.get("Type")))
    algorithm = {"1": SHA1(), "2": SHA256()}.get(str(envelope.get("SignatureVersion")))  # noqa: S303  # AWS's choice
    if names is None or algorithm is None:
        raise Forged("of no known type or version of signature")
    signed = "".join(f"{name}\n{envelope[name]}\n" for name in names if isinstance(envelope.get(name), str))
    try:
        certificate = load_pem_x509_certificate(pem)
        key = certificate.public_key()
        signature = b64decode(str(envelope.get("Signature")), validate=True)
    except (ValueError, binascii.Error) as error:
        raise Forged("the signature or its certificate cannot be read") from error
    if not certificate.not_valid_before_utc <= now.astimezone(UTC) <= certificate.not_valid_after_utc:
        raise Forged("the certificate is not valid now")
    if not isinstance(key, RSAPublicKey):
        raise Forged("the certificate's key is of another kind")
    try:
        key.verify(signature, signed.encode("utf-8", "replace"), PKCS1v15(), algorithm)
    except InvalidSignature:
        raise Forged("the signature is wrong") from None


def fetching(name: str, world: World) -> Fetch:
    """Gets a certificate from Amazon. Raises ProviderError where that fails."""

    def fetch(url: str) -> bytes:
        parts = urlsplit(url)
        origin = Origin(name, f"https://{parts.netloc}", world)
        try:
            response = origin.perform(Request("GET", parts.path))
        finally:
            origin.close()
        if response.status != 200:
            raise ProviderUnavailable(name, f"the signing certificate: answered {response.status}")
        return response.body

    return fetch


def webhook(name: str, _config: Any, secrets: Sequence[WebhookSecret], world: World) -> Webhook:
    return Webhook(secrets, fetching(name, world))
