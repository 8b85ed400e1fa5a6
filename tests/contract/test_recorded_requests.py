"""Recorded requests for Amazon SES, Mailgun and Resend come out as another library has made them.

What differs is meant, and listed with its reason in docs/reference/providers-differences.md.
"""

from __future__ import annotations

import json
from base64 import b64decode
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any, cast

import pytest

from domain.errors import Misconfigured, OutcomeUnknown, ProviderError, Rejected, Unsupported
from providers import registry
from providers.base import HTTPProvider
from providers.exchange import Request, Response
from tests.contract.emails import a_world, new_id
from tests.contract.http_servers import read_form
from tests.contract.recorded import CONTRACTS, is_ours, load, submission_of

OURS = {"mailmux_attempt", "mailmux_email"}


def samples(provider: str) -> list[Path]:
    return sorted((CONTRACTS / "requests" / provider).glob("*.json"))


ALL = [*samples("amazon_ses"), *samples("mailgun"), *samples("resend")]
pytestmark = pytest.mark.skipif(not ALL, reason=f"no recorded requests in {CONTRACTS}")


def build(kind: str, credentials: dict[str, str], **config: Any) -> HTTPProvider:
    valid = registry.validate(kind, config, credentials)
    return cast(HTTPProvider, registry.build(kind, f"the-{kind}", *valid, a_world()))


def resend(**config: Any) -> HTTPProvider:
    return build("resend", {"api_key": "test_api_key"}, **config)


def mailgun(**config: Any) -> HTTPProvider:
    return build("mailgun", {"api_key": "test_api_key"}, **config)


def ses(**config: Any) -> HTTPProvider:
    return build("ses", {"access_key_id": "AKIA", "secret_access_key": "secret"}, **config)


def composed(provider: HTTPProvider, sample: dict[str, Any]) -> Request:
    return provider.compose(submission_of(sample["message"]), new_id())


def recorded(sample: dict[str, Any]) -> dict[str, Any] | None:
    """The request, where this email was sent and is one that we could be given."""
    if not is_ours(sample["message"]) or not sample["http"]:
        return None
    found: dict[str, Any] = sample["http"][0].get("request") or {}
    return found or None


def ids(path: Path) -> str:
    return path.stem.split(".", 1)[-1]


# -- Resend -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", samples("resend"), ids=ids)
def test_resends_request_equals_the_recorded_one(path: Path) -> None:
    sample = load(path)
    request = recorded(sample)
    if request is None or not sample["message"].get("to"):
        pytest.skip("no email that is sent by Resend here")
    made = composed(resend(), sample)
    mine, theirs = json.loads(made.body), dict(request["json"])
    tags = {tag["name"]: tag["value"] for tag in mine.pop("tags")}
    assert tags.keys() >= OURS
    headers = dict(theirs.pop("headers", {}))
    headers.pop("X-Tags", None)
    headers.pop("X-Metadata", None)
    assert mine.pop("headers", {}) == headers
    assert mine == theirs
    assert made.headers["Authorization"] == request["headers"]["Authorization"]


# -- Mailgun ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", samples("mailgun"), ids=ids)
def test_mailguns_request_equals_the_recorded_one(path: Path) -> None:
    sample = load(path)
    request = recorded(sample)
    if (
        request is None
        or not sample["message"].get("to")
        or "MAILGUN_API_URL" in sample["settings"]["ANYMAIL"]
    ):
        pytest.skip("no email that is sent by Mailgun's form here")
    made = composed(mailgun(), sample)
    mine: dict[str, list[str]] = {}
    files: list[tuple[str, str, bytes]] = []
    for name, filename, _, content in read_form(made.headers["Content-Type"], made.body):
        if filename is None:
            mine.setdefault(name.lower(), []).append(content.decode())
        else:
            files.append((name, filename, content))
    theirs = {n.lower(): v if isinstance(v, list) else [v] for n, v in request["data"].items()}
    for name in OURS:
        assert mine.pop(f"v:{name}")
    assert mine == theirs
    assert files == []
    assert made.path == request["url"].removeprefix("https://api.mailgun.net")
    assert made.headers["Authorization"] == request["headers"]["Authorization"]


# -- Amazon SES ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", samples("amazon_ses"), ids=ids)
def test_amazon_ses_request_equals_the_recorded_one(path: Path) -> None:
    sample = load(path)
    request = recorded(sample)
    settings = sample["settings"].get("ANYMAIL", {})
    if request is None or request.get("operation") != "send_email":
        pytest.skip("no email that is sent by SES here")
    config = {}
    if "AMAZON_SES_MESSAGE_TAG_NAME" in settings:
        config["tag_name"] = settings["AMAZON_SES_MESSAGE_TAG_NAME"]
    mine = json.loads(composed(ses(**config), sample).body)
    theirs = request["params"]
    assert mine["Destination"] == theirs["Destination"]
    tags = {t["Name"]: t["Value"] for t in mine["EmailTags"] if t["Name"] not in OURS}
    recorded_tags = {t["Name"]: t["Value"] for t in theirs.get("EmailTags", [])}
    assert recorded_tags.items() <= tags.items()
    raw = theirs["Content"]["Raw"]["Data"]["$bytes_base64"]
    assert content_of(b64decode(mine["Content"]["Raw"]["Data"])) == content_of(b64decode(raw))


def content_of(raw: bytes) -> dict[str, Any]:
    """What a reader sees of an email, without what each maker adds."""
    parsed = message_from_bytes(raw, policy=policy.default)
    skip = {
        "message-id", "date", "mime-version", "x-mailmux-attempt", "x-mailmux-email", "x-tag", "x-metadata",
        "content-type", "content-transfer-encoding", "content-disposition",
    }  # fmt: skip
    headers = sorted((n.lower(), str(v)) for n, v in parsed.items() if n.lower() not in skip)
    parts = [
        (
            part.get_content_type(),
            part.get_filename(),
            (part.get_payload(decode=True) or b"").replace(b"\r\n", b"\n").rstrip(b"\n"),  # type: ignore[union-attr]
        )
        for part in parsed.walk()
        if not part.is_multipart()
    ]
    return {"headers": headers, "parts": parts}


# -- what was refused, by whom, and what it was taken for ------------------------------------------------------

UNSUPPORTED = {
    "MailgunBackendStandardEmailTests.test_eai_from_email_unsupported": mailgun,
    "ResendBackendStandardEmailTests.test_mismatched_attachment_extension": resend,
}


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_what_cannot_be_expressed_is_refused_as_it_was(name: str) -> None:
    path = next((p for p in ALL if p.stem == name), None)
    if path is None:
        pytest.skip("not among the samples here")
    assert load(path)["exception"]["type"] == "AnymailUnsupportedFeature"
    with pytest.raises(Unsupported):
        composed(UNSUPPORTED[name](), load(path))


def answers() -> list[tuple[str, Any, dict[str, Any]]]:
    return [
        (path.stem, make, exchange["response"])
        for provider, make in (("mailgun", mailgun), ("resend", resend))
        for path in samples(provider)
        for exchange in load(path)["http"]
        if exchange.get("response", {}).get("status")
    ]


@pytest.mark.parametrize(("name", "make", "answer"), answers())
def test_a_recorded_answer_means_what_it_says(name: str, make: Any, answer: dict[str, Any]) -> None:
    provider: HTTPProvider = make()
    headers = {n.lower(): v for n, v in answer["headers"].items()}
    response = Response(answer["status"], headers, answer["body"].encode())
    error: ProviderError | None = provider.judge(response)
    if answer["status"] >= 500:
        assert type(error) is OutcomeUnknown
    elif answer["status"] >= 400:
        of_the_key = "API key" in answer["body"]
        assert type(error) is (Misconfigured if of_the_key else Rejected), name
    elif "Magnificent" in answer["body"]:
        with pytest.raises(Misconfigured):
            provider.parse(response)
    else:
        assert provider.parse(response).provider_message_id in answer["body"].replace("\\", "")


def test_enough_of_the_recorded_requests_are_compared() -> None:
    comparable = [p for p in ALL if recorded(load(p)) is not None]
    assert len(comparable) >= len(ALL) // 3
