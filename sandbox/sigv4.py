"""Verifies AWS Signature Version 4 of a request, for a service that signs whole bodies.

Source: docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html.
"""

import hashlib
import hmac
import re
import time
from calendar import timegm
from dataclasses import dataclass
from urllib.parse import parse_qsl, quote

from sandbox.dialect import Call

_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/,\s]+)/(\d{8})/([a-z0-9-]+)/([a-z0-9-]+)/aws4_request, ?"
    r"SignedHeaders=([a-z0-9;-]+), ?Signature=([0-9a-f]{64})"
)
_SKEW = 300  # seconds; AWS allows five minutes


@dataclass
class BadSignature(Exception):
    """`code` and `message` as AWS says them."""

    code: str
    message: str


def verify(call: Call, access_key_id: str, secret: str, service: str) -> None:
    """Raises BadSignature."""
    given = call.headers.get("Authorization")
    if not given:
        raise BadSignature("MissingAuthenticationTokenException", "Missing Authentication Token")
    found = _AUTHORIZATION.fullmatch(given)
    if found is None:
        raise BadSignature(
            "IncompleteSignatureException", "The Authorization header is not of the known form."
        )
    key_id, day, region, signed_service, names, signature = found.groups()
    if key_id != access_key_id:
        words = "The security token included in the request is invalid."
        raise BadSignature("UnrecognizedClientException", words)
    moment = call.headers.get("X-Amz-Date") or ""
    _check_moment(moment, day)
    if signed_service != service:
        raise BadSignature(
            "SignatureDoesNotMatch", f"Credential should be scoped to correct service: '{service}'."
        )
    canonical = _canonical_request(call, names.split(";"))
    scope = f"{day}/{region}/{service}/aws4_request"
    to_sign = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    signing = f"AWS4{secret}".encode()
    for part in (day, region, service, "aws4_request"):
        signing = hmac.digest(signing, part.encode(), "sha256")
    if not hmac.compare_digest(hmac.new(signing, to_sign.encode(), "sha256").hexdigest(), signature):
        words = (
            "The request signature we calculated does not match the signature you provided. Check your AWS Secret "
            "Access Key and signing method. Consult the service documentation for details."
        )
        raise BadSignature("InvalidSignatureException", words)


def _check_moment(moment: str, day: str) -> None:
    try:
        signed_at = timegm(time.strptime(moment, "%Y%m%dT%H%M%SZ"))
    except ValueError as error:
        raise BadSignature("IncompleteSignatureException", "X-Amz-Date is missing or malformed.") from error
    if abs(time.time() - signed_at) > _SKEW or not moment.startswith(day):
        raise BadSignature("InvalidSignatureException", f"Signature expired: {moment} is not about now.")


def _canonical_request(call: Call, names: list[str]) -> str:
    if "host" not in names or names != sorted(names):
        raise BadSignature("InvalidSignatureException", "'Host' must be a signed header, and all be sorted.")
    path = quote(call.path, safe="/-_.~")  # what was sent is encoded once already
    pairs = sorted(
        (quote(name, safe="-_.~"), quote(value, safe="-_.~"))
        for name, value in parse_qsl(call.query, keep_blank_values=True)
    )
    query = "&".join(f"{name}={value}" for name, value in pairs)
    lines = [call.method, path, query]
    for name in names:
        values = call.headers.get_all(name)
        if values is None:
            raise BadSignature("InvalidSignatureException", f"{name} is signed, but not sent.")
        lines.append(f"{name}:{','.join(' '.join(value.split()) for value in values)}")
    body = call.headers.get("X-Amz-Content-SHA256") or hashlib.sha256(call.body).hexdigest()
    if body != hashlib.sha256(call.body).hexdigest():
        raise BadSignature("InvalidSignatureException", "The body is not the one that was signed.")
    return "\n".join([*lines, "", ";".join(names), body])
