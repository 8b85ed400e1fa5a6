"""Proving that Mailmux called (Standard Webhooks: github.com/standard-webhooks/standard-webhooks)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import time
from collections.abc import Mapping, Sequence
from typing import Any, cast

TOLERANCE = 300.0  # seconds that a message may be old, or ahead


class NotVerified(Exception):
    """Nothing proves that Mailmux called, or the message is too old. Answer 401, and do nothing."""


def verify_webhook(
    secrets: str | Sequence[str],
    headers: Mapping[str, str],
    body: bytes,
    *,
    tolerance: float = TOLERANCE,
    now: float | None = None,
) -> dict[str, Any]:
    """The message, once it is proved. `body`: the bytes as they came. `secrets`: one, or several while they rotate.

    A message may come twice: it then has the same `webhook-id`. Raises NotVerified.
    """
    given = {name.lower(): value for name, value in headers.items()}
    try:
        name, at = given["webhook-id"], given["webhook-timestamp"]
        signatures = given["webhook-signature"].split()
    except KeyError as missing:
        raise NotVerified(f"the header {missing.args[0]} is missing") from None
    if not at.isascii() or not at.isdigit():
        raise NotVerified("the timestamp is no number")
    if abs((time.time() if now is None else now) - int(at[:15])) > tolerance:
        raise NotVerified("too old, or from the future")
    signed = f"{name}.{at}.".encode() + body
    known = [secrets] if isinstance(secrets, str) else secrets
    wanted = [_signature(secret, signed) for secret in known]
    proofs = [s.partition(",")[2].encode() for s in signatures if s.startswith("v1,")]
    # All are compared, whichever fits: how long it takes tells nothing.
    if not any([hmac.compare_digest(proof, want) for proof in proofs for want in wanted]):  # noqa: C419
        raise NotVerified("no signature fits")
    try:
        said = json.loads(body)
    except ValueError:
        raise NotVerified("signed, but no JSON") from None
    return cast(dict[str, Any], said)


def _signature(secret: str, signed: bytes) -> bytes:
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except binascii.Error:
        raise ValueError("this is no webhook secret: it looks like whsec_…") from None
    return base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest())
