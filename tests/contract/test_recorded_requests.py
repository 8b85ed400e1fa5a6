"""Recorded requests come out as another library has made them, and their answers mean what they say.

What differs is meant, and listed with its reason in docs/reference/providers-differences.md.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, cast

import pytest

from domain.errors import NotAccepted, Rejected, Unsupported
from domain.message import Submission
from providers import registry
from providers.base import HTTPProvider
from providers.exchange import Request
from tests.contract.emails import a_world, new_id
from tests.contract.recorded import CONTRACTS, is_ours, load, submission_of
from tests.contract.recorded_requests import Told, is_true, told_by_them, told_by_us

CREDENTIALS: dict[str, dict[str, str]] = {
    "brevo": {"api_key": "test_api_key"},
    "mailersend": {"api_token": "test_api_token"},
    "mailgun": {"api_key": "test_api_key"},
    "mailjet": {"api_key": "API-KEY-HERE", "secret_key": "SECRET-KEY-HERE"},
    "mailtrap": {"api_token": "test_api_token"},
    "postmark": {"server_token": "test_server_token"},
    "resend": {"api_key": "test_api_key"},
    "sendgrid": {"api_key": "test_api_key"},
    "ses": {"access_key_id": "AKIA", "secret_access_key": "secret"},
    "sparkpost": {"api_key": "test_api_key"},
}
ADDRESSES = {
    "brevo": "https://api.brevo.com/v3/smtp/email",
    "mailersend": "https://api.mailersend.com/v1/email",
    "mailgun": "https://api.mailgun.net/v3/example.com/messages",
    "mailjet": "https://api.mailjet.com/v3.1/send",
    "mailtrap": "https://send.api.mailtrap.io/api/send",
    "postmark": "https://api.postmarkapp.com/email",
    "resend": "https://api.resend.com/emails",
    "sendgrid": "https://api.sendgrid.com/v3/mail/send",
    "sparkpost": "https://api.sparkpost.com/api/v1/transmissions",
}
FOLDERS = {kind: "amazon_ses" if kind == "ses" else kind for kind in CREDENTIALS}
ALL = [
    (kind, path)
    for kind, folder in FOLDERS.items()
    for path in sorted((CONTRACTS / "requests" / folder).glob("*.json"))
]
pytestmark = pytest.mark.skipif(not ALL, reason=f"no recorded requests in {CONTRACTS}")
by_sample = pytest.mark.parametrize(("kind", "path"), ALL, ids=lambda p: getattr(p, "stem", p))


def adapter(kind: str) -> HTTPProvider:
    config = {"custom_headers": True} if kind == "mailersend" else {}
    valid = registry.validate(kind, config, CREDENTIALS[kind])
    return cast(HTTPProvider, registry.build(kind, f"the-{kind}", *valid, a_world()))


def sent(kind: str, sample: dict[str, Any]) -> Told | None:
    """What was told of an email that we could be given; None where there was none."""
    request = (sample["http"] or [{}])[0].get("request")
    return told_by_them(kind, request) if request and is_ours(sample["message"]) else None


def attempted(kind: str, submission: Submission) -> tuple[NotAccepted | None, Request | None]:
    try:
        return None, adapter(kind).compose(submission, new_id())
    except NotAccepted as refusal:
        return refusal, None


def is_meant(refusal: NotAccepted | None, submission: Submission) -> bool:
    """A provider without room for it; or an address that is none, which only the parser there refuses or repairs."""
    if isinstance(refusal, Unsupported):
        return is_true(refusal.detail, submission)
    people = (*submission.envelope.reply_to, *(r.address for r in submission.envelope.recipients))
    return not all(re.fullmatch(r"[^@\s]+@[A-Za-z0-9.-]+", a.email) for a in people)


@by_sample
def test_a_request_equals_the_recorded_one(kind: str, path: Path) -> None:
    sample = load(path)
    theirs = sent(kind, sample)
    if theirs is None:
        pytest.skip("no email that is sent here")
    submission = submission_of(sample["message"])
    refusal, made = attempted(kind, submission)
    if refusal is not None or made is None:
        assert is_meant(refusal, submission), refusal
        return
    if made.path.endswith(".mime") or b'"email_rfc822"' in made.body:
        pytest.skip("an email that the form cannot hold")
    mine = told_by_us(kind, made)
    assert mine.email == theirs.email
    assert mine.is_same(theirs), (mine.metadata, theirs.metadata, mine.tags, theirs.tags)
    request = sample["http"][0]["request"]
    if kind in ADDRESSES and request["url"].rstrip("/") == ADDRESSES[kind]:
        assert ADDRESSES[kind].endswith(made.path)
        fields = {n.lower(): v for n, v in request.get("headers", {}).items()}
        for name in ("authorization", "api-key", "x-postmark-server-token"):
            if name in fields and kind != "mailjet":  # whose recorded key holds blanks
                assert {n.lower(): v for n, v in made.headers.items()}[name] == fields[name]


def test_enough_of_the_recorded_requests_are_compared() -> None:
    for kind in CREDENTIALS:
        mine = [path for k, path in ALL if k == kind]
        assert sum(sent(kind, load(path)) is not None for path in mine) >= len(mine) // 3, kind


# What that library refuses, and is carried here: as MIME, or because the provider has learnt it since.
CARRIED = {
    "mailgun": ("inline",),
    "ses": ("track", "inline"),
    "sparkpost": ("inline",),
}


@by_sample
def test_what_was_refused_there_is_refused_here(kind: str, path: Path) -> None:
    sample = load(path)
    exception = sample.get("exception") or {}
    message = sample["message"]
    refused = exception.get("type") == "AnymailUnsupportedFeature" and not sample["http"]
    if not refused or not is_ours(message) or message["from_email"].count("@") > 1:
        pytest.skip("an email that is sent, or that our API has no place for")
    if any(word in exception["text"] for word in CARRIED.get(kind, ())):
        adapter(kind).compose(submission_of(message), new_id())
        return
    with pytest.raises((Unsupported, Rejected)):
        adapter(kind).compose(submission_of(message), new_id())
