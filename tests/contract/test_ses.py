"""Amazon SES: what boto3 makes of an email, and what SES's errors mean."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from base64 import b64decode
from collections.abc import Iterator
from email import message_from_bytes
from typing import Any

import boto3
import botocore.session
import pytest
from moto.server import ThreadedMotoServer

from domain.checkup import Allowance, Checkup, SenderIdentity
from domain.errors import (
    Misconfigured,
    OutcomeUnknown,
    ProviderError,
    ProviderUnavailable,
    RateLimited,
    Rejected,
    SenderNotVerified,
    Unsupported,
)
from domain.labels import fitting
from domain.message import Address, Attachment, Disposition, Submission, Tracking
from domain.ports import Provider
from providers import registry
from providers.exchange import Response
from providers.registry import InvalidSettings
from providers.world import Timeouts
from tests.contract.adapters import CREDENTIALS, adapter, composed, judged, payload
from tests.contract.emails import a_rich_email_for, a_world, an_email, new_id
from tests.contract.http_servers import SESServer

MODEL = botocore.session.get_session().get_service_model("sesv2")


def raw(submission: Submission, **config: Any) -> bytes:
    return b64decode(payload("ses", submission, **config)["Content"]["Raw"]["Data"])


# -- the form ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "url"),
    [
        ({}, "https://email.us-east-1.amazonaws.com"),
        ({"region": "eu-central-1"}, "https://email.eu-central-1.amazonaws.com"),
        ({"region": "us-gov-west-1"}, "https://email.us-gov-west-1.amazonaws.com"),
        ({"region": "eu-west-1", "base_url": "https://vpce-1.email.example"}, "https://vpce-1.email.example"),
    ],
)
def test_the_region_says_where(config: dict[str, str], url: str) -> None:
    assert adapter("ses", **config).base_url == url


@pytest.mark.parametrize(
    "region", ["", "evil.example/", "eu-west", "EU-WEST-1", "eu-west-1.x.example", "eu-west-1\n"]
)
def test_a_region_that_is_none_is_refused(region: str) -> None:
    with pytest.raises(InvalidSettings, match=r"config\.region"):
        registry.validate("ses", {"region": region}, CREDENTIALS["ses"])


def test_the_request_is_signed_for_the_region_and_by_the_key() -> None:
    request = composed("ses", an_email(), region="eu-west-1")
    assert (request.method, request.path) == ("POST", "/v2/email/outbound-emails")
    assert request.headers["Authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKIA/")
    assert "/eu-west-1/ses/aws4_request" in request.headers["Authorization"]
    assert "secret" not in str(request)


def test_temporary_credentials_bring_their_token() -> None:
    valid = registry.validate("ses", {}, {**CREDENTIALS["ses"], "session_token": "t" * 1000})
    provider = registry.build("ses", "x", *valid, a_world())
    request = provider.compose(an_email(), new_id())  # type: ignore[attr-defined]
    assert request.headers["X-Amz-Security-Token"] == "t" * 1000


def test_a_base_url_may_have_a_path_before_the_api() -> None:
    request = composed("ses", an_email(), base_url="https://relay.example/aws/")
    assert request.path == "/v2/email/outbound-emails"


def test_what_was_not_asked_for_is_not_mentioned() -> None:
    found = payload("ses", an_email())
    assert set(found) == {"Destination", "EmailTags", "Content"}
    assert {t["Name"] for t in found["EmailTags"]} == {"mailmux_attempt", "mailmux_email"}


def test_a_configuration_set_is_named() -> None:
    assert payload("ses", an_email(), configuration_set="events")["ConfigurationSetName"] == "events"


def test_tracking_is_switched_for_this_email() -> None:
    found = payload("ses", an_email(tracking=Tracking(opens=True, clicks=False)))
    assert found["ConfigurationOverrides"] == {
        "Tracking": {"OpenTrackingEnabled": "ENABLED", "ClickTrackingEnabled": "DISABLED"}
    }


def test_metadata_and_tags_travel_or_the_email_goes_elsewhere() -> None:
    def tags(**email: Any) -> dict[str, str]:
        found = payload("ses", an_email(**email), tag_name="campaign")["EmailTags"]
        return {t["Name"]: t["Value"] for t in found if not t["Name"].startswith("mailmux_")}

    assert tags(metadata={"order": "17"}, tags=("spring",)) == {"order": "17", "campaign": "spring"}
    several = tuple(f"t{n}" for n in range(1, 13))
    assert list(tags(tags=several).items())[::11] == [("campaign", "t1"), ("campaign_12", "t12")]
    for wrong in (
        {"metadata": {"order": "no. 17"}},
        {"metadata": {f"k{n}": "v" for n in range(29)}},
        {"metadata": {"campaign_2": "x"}, "tags": ("a", "b")},
        {"tags": ("första",)},
    ):
        with pytest.raises(Unsupported, match=r"tag|metadata"):
            tags(**wrong)


@pytest.mark.parametrize("kind", ["ses", "resend"])
def test_metadata_that_is_named_as_the_tags_are_keeps_no_email_from_going(kind: str) -> None:
    """It stays here, and the provider gets the tag."""
    metadata = {"campaign": "x", "campaign_2": "y", "campaigns": "z", "campaign_b": "z"}
    email = an_email(metadata=metadata, tags=("spring",))
    told = fitting(adapter(kind, tag_name="campaign").capabilities, email)
    assert (dict(told.metadata), told.tags) == ({"campaigns": "z", "campaign_b": "z"}, ("spring",))
    assert composed(kind, told, tag_name="campaign").body


@pytest.mark.parametrize("kind", ["ses", "resend"])
def test_the_tags_cannot_be_named_as_our_ids_are(kind: str) -> None:
    for name in ("mailmux_attempt", "mailmux_email", "Mailmux_x"):
        with pytest.raises(InvalidSettings, match="ours"):
            registry.validate(kind, {"tag_name": name}, CREDENTIALS[kind])


def test_the_content_is_7_bit_and_names_nobody_hidden() -> None:
    content = raw(a_rich_email_for("ses"))
    assert content.isascii()
    assert b"secret@" not in content
    assert message_from_bytes(content)["X-Mailmux-Attempt"]


@pytest.mark.parametrize("content", ["raw", "simple"])
def test_boto3_makes_no_request_of_its_own(content: str) -> None:
    """It composes and signs; nothing listens at the address, and nothing is opened."""
    request = composed("ses", a_rich_email_for("ses"), content=content, base_url="http://127.0.0.1:1")
    assert json.loads(request.body)


def test_the_machines_aws_settings_have_no_part_in_it(tmp_path: Any) -> None:
    """A profile that is not there, another endpoint, other keys: they are those of other programs."""
    code = (
        "from tests.contract.adapters import composed, adapter\n"
        "from tests.contract.emails import an_email\n"
        "request = composed('ses', an_email())\n"
        "assert 'Credential=AKIA/' in request.headers['Authorization']\n"
        "assert 'X-Amz-Security-Token' not in request.headers\n"
        "print(adapter('ses').base_url)\n"
    )
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "config").write_text(
        "[default]\nregion = eu-north-1\nendpoint_url = http://127.0.0.1:2\n"
    )
    surroundings = {
        **os.environ,
        "HOME": str(tmp_path),
        "AWS_PROFILE": "not-there",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:3",
        "AWS_ACCESS_KEY_ID": "OTHER",
        "AWS_SECRET_ACCESS_KEY": "other",
        "AWS_SESSION_TOKEN": "other",
        "AWS_DEFAULT_REGION": "eu-north-1",
    }
    done = subprocess.run(
        [sys.executable, "-c", code], env=surroundings, capture_output=True, text=True, check=False
    )
    assert (done.stdout.strip(), done.stderr) == ("https://email.us-east-1.amazonaws.com", "")


def test_a_hanging_ses_is_called_once() -> None:
    """boto3 by itself would have called three times."""
    from tests.contract.servers import Does

    server = SESServer("AKIA")
    server.does = Does.HANG
    config = {"base_url": f"http://127.0.0.1:{server.port}"}
    valid = registry.validate("ses", config, CREDENTIALS["ses"])
    provider = registry.build("ses", "x", *valid, a_world(Timeouts(1, 0.2, 0.5)))
    with pytest.raises(OutcomeUnknown):
        provider.send(an_email(), new_id())
    provider.close()
    assert len(server.requests) == 1
    server.stop()


@pytest.mark.parametrize(
    "submission",
    [
        an_email(to=tuple(Address(f"r{n}@recipient.example") for n in range(51))),
        an_email(attachments=(Attachment("big.bin", "application/octet-stream", bytes(31_000_000)),)),
    ],
    ids=["51", "40MB"],
)
def test_what_ses_cannot_express_is_refused_before_the_wire(submission: Submission) -> None:
    with pytest.raises(Unsupported):
        composed("ses", submission)


@pytest.mark.parametrize(
    "submission",
    [
        an_email(headers=tuple((f"X-{n}", "v") for n in range(16))),
        an_email(headers=(("X-A", "ü" * 900),)),
        an_email(attachments=(Attachment("x" * 256, "text/plain", b"x"),)),
        an_email(attachments=(Attachment("a", "text/plain; name=" + "x" * 80, b"x"),)),
        an_email(attachments=(Attachment("a", "text/plain", b"x", Disposition.INLINE, "c" * 79),)),
    ],
    ids=["16-headers", "long-header", "long-name", "long-type", "long-id"],
)
def test_what_its_parts_cannot_hold_goes_as_raw_only(submission: Submission) -> None:
    with pytest.raises(Unsupported):
        composed("ses", submission, content="simple")
    assert raw(submission)


# -- the errors of botocore's model, and AWS's common ones -----------------------------------------------------

NOT_VERIFIED = (
    "Email address is not verified. The following identities failed the check in region EU-WEST-1: a@b.c"
)
MEANINGS: list[tuple[int, str, str, type[ProviderError]]] = [
    (429, "TooManyRequestsException", "Too many requests", RateLimited),
    (400, "LimitExceededException", "Daily message quota exceeded", RateLimited),
    (400, "AccountSuspendedException", "permanently restricted", Misconfigured),
    (400, "SendingPausedException", "Sending is paused", Misconfigured),
    (400, "MessageRejected", "Sending suspended for this account.", Misconfigured),
    (400, "MessageRejected", NOT_VERIFIED, SenderNotVerified),
    (400, "MessageRejected", "Address blacklisted.", Rejected),
    (400, "MailFromDomainNotVerifiedException", "not verified", SenderNotVerified),
    (404, "NotFoundException", "Configuration set events does not exist.", Misconfigured),
    (400, "BadRequestException", "Missing final '@domain'", Rejected),
    (400, "BadRequestException", "Configuration set <x> does not exist", Misconfigured),
    (400, "BadRequestException", "Message length is more than 41943040 bytes long: '41943041'.", Unsupported),
    (400, "ThrottlingException", "Maximum sending rate exceeded.", RateLimited),
    (400, "Throttling", "Daily message quota exceeded.", RateLimited),
    (400, "ValidationError", "Value at 'content' failed to satisfy constraint", Rejected),
    (403, "AccessDeniedException", "not authorized to perform ses:SendEmail", Misconfigured),
    (403, "InvalidSignatureException", "does not match", Misconfigured),
    (403, "UnrecognizedClientException", "token is invalid", Misconfigured),
    (403, "ExpiredTokenException", "has expired", Misconfigured),
    (400, "RequestExpired", "more than 15 minutes", Misconfigured),
    (400, "OptInRequired", "needs a subscription", Misconfigured),
    (413, "RequestEntityTooLargeException", "too large", Unsupported),
    (500, "InternalFailure", "unknown error", OutcomeUnknown),
    (500, "InternalServiceErrorException", "failed", OutcomeUnknown),
    (503, "ServiceUnavailableException", "temporary failure", ProviderUnavailable),
    (400, "SomethingNewException", "x", Rejected),
]


def test_every_error_of_the_model_is_in_the_table() -> None:
    stated = {shape.name for shape in MODEL.operation_model("SendEmail").error_shapes}
    assert stated <= {code for _, code, _, _ in MEANINGS}
    for shape in MODEL.operation_model("SendEmail").error_shapes:
        status = shape.metadata["error"]["httpStatusCode"]
        assert status in {s for s, code, _, _ in MEANINGS if code == shape.name}


@pytest.mark.parametrize(("status", "code", "message", "meaning"), MEANINGS)
def test_an_error_means_the_same_wherever_it_is_named(
    status: int, code: str, message: str, meaning: type[ProviderError]
) -> None:
    forms = (
        judged("ses", status, {"message": message}, x_amzn_errortype=f"{code}:http://internal.amazon.com/"),
        judged("ses", status, {"__type": f"com.amazonaws.sesv2#{code}", "Message": message}),
        judged("ses", status, {"code": code, "message": message}),
    )
    assert {type(error) for error in forms} == {meaning}


def test_a_spent_quota_is_not_asked_again_at_once() -> None:
    rate = judged(
        "ses", 429, {"message": "Maximum sending rate exceeded."}, x_amzn_errortype="TooManyRequestsException"
    )
    day = judged(
        "ses", 400, {"message": "Daily message quota exceeded."}, x_amzn_errortype="ThrottlingException"
    )
    assert isinstance(rate, RateLimited)
    assert isinstance(day, RateLimited)
    assert (rate.retry_after, day.retry_after) == (None, 600)


@pytest.mark.parametrize("body", [b"", b"null", b"{}", b'{"MessageId":""}', b'{"MessageId":5}', b"<html>"])
def test_a_success_without_an_id_is_a_doubt(body: bytes) -> None:
    with pytest.raises((ValueError, TypeError, LookupError)):
        adapter("ses").parse(Response(200, {}, body))


# -- what the account tells ----------------------------------------------------------------------------------


@pytest.fixture
def server() -> Iterator[SESServer]:
    running = SESServer("AKIA")
    yield running
    running.stop()


def at(server: Any, **config: Any) -> Provider:
    valid = registry.validate(
        "ses", {"base_url": f"http://127.0.0.1:{server.port}", **config}, CREDENTIALS["ses"]
    )
    return registry.build("ses", "the-ses", *valid, a_world())


def checked(server: Any) -> Checkup:
    provider = at(server)
    try:
        return provider.check()
    finally:
        provider.close()


def test_the_check_tells_quota_rate_and_identities(server: SESServer) -> None:
    told = checked(server)
    assert told.allowance == Allowance(50_000, 120, 24)
    assert told.rate_per_second == 14
    assert told.identities == (SenderIdentity("sender.example", True),)
    assert told.notes == ()


def test_an_account_in_the_sandbox_and_one_without_a_limit_are_told(server: SESServer) -> None:
    server.account["ProductionAccessEnabled"] = False
    server.account["SendQuota"]["Max24HourSend"] = -1.0
    told = checked(server)
    assert told.allowance == Allowance(None, 120, 24)
    assert "sandbox" in told.notes[0]


@pytest.mark.parametrize("change", [{"SendingEnabled": False}, {"EnforcementStatus": "SHUTDOWN"}])
def test_an_account_that_may_not_send_is_found(server: SESServer, change: dict[str, Any]) -> None:
    server.account |= change
    with pytest.raises(Misconfigured, match="stopped or paused"):
        checked(server)


def test_keys_that_may_only_send_are_good_keys() -> None:
    class SendsOnly(SESServer):
        def answer(self, method: str, path: str, headers: Any, body: bytes) -> Any:
            if method == "GET":
                return self._error(403, "AccessDeniedException", "not authorized to perform: ses:GetAccount")
            return super().answer(method, path, headers, body)

    server = SendsOnly("AKIA")
    told = checked(server)
    assert (told.allowance, len(told.notes)) == (None, 1)
    server.stop()


# -- another's Amazon ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def moto() -> Iterator[Any]:
    running: Any = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    running.start()
    running.port = running.get_host_and_port()[1]
    client = boto3.client(
        "sesv2",
        region_name="us-east-1",
        endpoint_url=f"http://127.0.0.1:{running.port}",
        aws_access_key_id="AKIA",
        aws_secret_access_key="secret",
    )
    client.create_email_identity(EmailIdentity="sender.example")
    yield running
    running.stop()


@pytest.mark.parametrize("content", ["raw", "simple"])
@pytest.mark.parametrize("submission", [an_email(), a_rich_email_for("ses")], ids=["plain", "rich"])
def test_moto_takes_what_we_send(moto: Any, content: str, submission: Submission) -> None:
    provider = at(moto, content=content)
    assert provider.send(submission, new_id()).provider_message_id
    provider.close()


def test_moto_refuses_a_sender_that_it_does_not_know(moto: Any) -> None:
    """In words of its own: Amazon says that the address is not verified."""
    provider = at(moto)
    with pytest.raises(Rejected, match="MessageRejected"):
        provider.send(an_email(sender=Address("shop@stranger.example")), new_id())
    provider.close()


def test_a_header_that_is_empty_goes_elsewhere_with_a_reason() -> None:
    with pytest.raises(Unsupported, match="an empty header"):
        composed("ses", an_email(headers=(("X-Nothing", ""),)), content="simple")
    composed("ses", an_email(headers=(("X-Nothing", ""),)), content="raw")
