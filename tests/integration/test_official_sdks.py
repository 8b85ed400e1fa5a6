"""The providers' own SDKs, pointed at the sandbox: what they send is taken, and what it answers they understand."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from email.message import EmailMessage
from typing import Any

import boto3
import mailgun.client
import pytest
import resend
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.integration.sandbox_driver import Driver, running_accounts

pytestmark = pytest.mark.sdk


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driver]:
    with running_accounts(tmp_path_factory.mktemp("sandbox"), *("mailgun", "resend", "ses")) as driver:
        yield driver


@pytest.fixture
def driver(shared: Driver) -> Iterator[Driver]:
    shared.clear()
    yield shared
    shared.heal_all()


# -- Amazon SES: boto3 --------------------------------------------------------------------------------------


def ses(driver: Driver, **credentials: str) -> Any:
    known = driver.account("ses")
    keys = {**known["credentials"], **credentials}
    return boto3.client(
        "sesv2",
        region_name="eu-west-1",
        endpoint_url=known["base_url"],
        aws_access_key_id=keys["access_key_id"],
        aws_secret_access_key=keys["secret_access_key"],
        config=Config(retries={"total_max_attempts": 1}, connect_timeout=2, read_timeout=2),
    )


def test_boto3_sends_in_parts(driver: Driver) -> None:
    answer = ses(driver).send_email(
        FromEmailAddress="The shop <shop@example.org>",
        Destination={"ToAddresses": ["Ada <ada@example.com>"], "BccAddresses": ["eve@example.com"]},
        ReplyToAddresses=["help@example.org"],
        EmailTags=[{"Name": "campaign", "Value": "spring"}],
        Content={
            "Simple": {
                "Subject": {"Data": "Žluťoučký kůň"},
                "Body": {"Text": {"Data": "plain"}, "Html": {"Data": "<p>rich</p>"}},
                "Headers": [{"Name": "X-One", "Value": "1"}],
                "Attachments": [
                    {"RawContent": b"%PDF", "FileName": "a.pdf", "ContentType": "application/pdf"}
                ],
            }
        },
    )
    (seen,) = driver.received()
    assert seen["message_id"] == answer["MessageId"]
    assert (seen["subject"], seen["text"], seen["html"]) == ("Žluťoučký kůň", "plain", "<p>rich</p>")
    assert seen["envelope"]["to"] == ["ada@example.com", "eve@example.com"]
    assert seen["custom_args"] == {"campaign": "spring"}
    assert [a["name"] for a in seen["attachments"]] == ["a.pdf"]


def test_boto3_sends_raw(driver: Driver) -> None:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "shop@example.org", "ada@example.com", "Hej"
    message.set_content("hällo", cte="quoted-printable")
    ses(driver).send_email(Content={"Raw": {"Data": message.as_bytes()}})
    (seen,) = driver.received()
    assert (seen["subject"], seen["text"].strip(), seen["envelope"]["to"]) == (
        "Hej",
        "hällo",
        ["ada@example.com"],
    )


def test_boto3_understands_the_refusals(driver: Driver) -> None:
    wanted = {
        "ratelimit": "TooManyRequestsException",
        "sender": "MessageRejected",
        "reject": "BadRequestException",
        "auth": "UnrecognizedClientException",
    }
    client = ses(driver)
    for mode, code in wanted.items():
        driver.fail("ses", mode)
        with pytest.raises(ClientError) as caught:
            client.send_email(
                FromEmailAddress="a@example.org",
                Destination={"ToAddresses": ["b@example.com"]},
                Content={"Simple": {"Subject": {"Data": "x"}, "Body": {"Text": {"Data": "y"}}}},
            )
        assert caught.value.response["Error"]["Code"] == code
    driver.heal("ses")
    with pytest.raises(ClientError, match="InvalidSignatureException"):
        ses(driver, secret_access_key="another").get_account()
    with pytest.raises(ClientError, match="UnrecognizedClientException"):
        ses(driver, access_key_id="AKIAANOTHER").get_account()


def test_boto3_reads_the_account(driver: Driver) -> None:
    client = ses(driver)
    assert client.get_account()["SendQuota"]["Max24HourSend"] == 50_000
    assert client.list_email_identities()["EmailIdentities"][0]["IdentityName"] == "example.com"
    assert client.get_email_identity(EmailIdentity="example.com")["VerifiedForSendingStatus"] is True


# -- Mailgun ------------------------------------------------------------------------------------------------


@pytest.fixture
def mailgun_client(driver: Driver) -> Iterator[mailgun.client.Client]:
    known = driver.account("mailgun")
    with mailgun.client.Client(
        auth=("api", known["credentials"]["api_key"]), api_url=known["base_url"]
    ) as client:
        yield client


def test_mailguns_sdk_sends_a_form(driver: Driver, mailgun_client: mailgun.client.Client) -> None:
    answer = mailgun_client.messages.create(
        domain="example.org",
        data={
            "from": "The shop <shop@example.org>",
            "to": ["Ada <ada@example.com>", "bob@example.com"],
            "subject": "Žluťoučký kůň",
            "text": "plain",
            "o:tag": ["one", "two"],
            "v:order": "17",
        },
        files=[("attachment", ("účet.pdf", b"%PDF"))],
    )
    assert answer.json()["message"] == "Queued. Thank you."
    (seen,) = driver.received()
    assert seen["message_id"] == answer.json()["id"]
    assert seen["envelope"]["to"] == ["ada@example.com", "bob@example.com"]
    assert (seen["subject"], seen["categories"], seen["custom_args"]) == (
        "Žluťoučký kůň",
        ["one", "two"],
        {"order": "17"},
    )
    assert [a["name"] for a in seen["attachments"]] == ["účet.pdf"]


def test_mailguns_sdk_sends_without_files(driver: Driver, mailgun_client: mailgun.client.Client) -> None:
    data = {"from": "shop@example.org", "to": "ada@example.com", "subject": "Hej", "html": "<p>hej</p>"}
    assert mailgun_client.messages.create(domain="example.org", data=data).status_code == 200
    (seen,) = driver.received()
    assert seen["html"] == "<p>hej</p>"


def test_mailguns_sdk_reads_the_events_of_a_recipient(
    driver: Driver, mailgun_client: mailgun.client.Client
) -> None:
    for to in ("delivered@example.com", "bob@example.com"):
        data = {"from": "shop@example.org", "to": to, "subject": "x", "text": "y", "v:order": "17"}
        mailgun_client.messages.create(domain="example.org", data=data)
    asked = {"recipient": "delivered@example.com", "ascending": "yes", "begin": "0"}
    found = mailgun_client.events.get(domain="example.org", filters=asked).json()["items"]
    assert [(e["event"], e["user-variables"]) for e in found] == [
        ("accepted", {"order": "17"}),
        ("delivered", {"order": "17"}),
    ]


def test_mailguns_sdk_reads_a_domain(driver: Driver, mailgun_client: mailgun.client.Client) -> None:
    assert driver.received() == []
    found = mailgun_client.domains.get(domain_name="example.com").json()
    assert found["domain"]["state"] == "active"


# -- Resend -------------------------------------------------------------------------------------------------


@pytest.fixture
def resend_sdk(driver: Driver) -> Iterator[None]:
    known = driver.account("resend")
    before = resend.api_key, resend.api_url
    resend.api_key, resend.api_url = known["credentials"]["api_key"], known["base_url"]
    yield
    resend.api_key, resend.api_url = before


def an_email(**more: Any) -> Any:
    return {
        "from": "The shop <shop@example.org>",
        "to": ["Ada <ada@example.com>"],
        "subject": "Žluťoučký kůň",
        "text": "plain",
        **more,
    }


@pytest.mark.usefixtures("resend_sdk")
def test_resends_sdk_sends_once_per_key(driver: Driver) -> None:
    file: Any = {
        "filename": "a.txt",
        "content": base64.b64encode(b"hej").decode(),
        "content_type": "text/plain",
    }
    email = an_email(
        attachments=[file], tags=[{"name": "campaign", "value": "spring"}], reply_to="h@example.org"
    )
    first = resend.Emails.send(email, {"idempotency_key": "k-1"})
    again = resend.Emails.send(email, {"idempotency_key": "k-1"})
    assert first["id"] == again["id"]
    (seen,) = driver.received()
    assert (seen["message_id"], seen["custom_args"]) == (first["id"], {"campaign": "spring"})
    assert seen["to"] == [{"email": "ada@example.com", "name": "Ada"}]


@pytest.mark.usefixtures("resend_sdk")
def test_resends_sdk_sends_a_batch(driver: Driver) -> None:
    sent = resend.Batch.send([an_email(subject=f"no. {n}") for n in range(3)])
    assert [m["message_id"] for m in reversed(driver.received())] == [entry["id"] for entry in sent["data"]]


@pytest.mark.usefixtures("resend_sdk")
def test_resends_sdk_understands_the_refusals(driver: Driver) -> None:
    assert resend.Domains.list()["data"][0]["status"] == "verified"
    wanted = {
        "ratelimit": "rate_limit_exceeded",
        "auth": "invalid_api_key",
        "sender": "validation_error",
        "reject": "validation_error",
    }
    for mode, name in wanted.items():
        driver.fail("resend", mode)
        with pytest.raises(resend.exceptions.ResendError) as caught:
            resend.Emails.send(an_email())
        assert caught.value.error_type == name
    driver.heal("resend")
    with pytest.raises(resend.exceptions.ResendError):
        resend.Emails.send(an_email(tags=[{"name": "spaces are", "value": "refused"}]))
