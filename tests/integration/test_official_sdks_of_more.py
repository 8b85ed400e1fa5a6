"""The SDKs of SendGrid, Postmark and SparkPost, pointed at the sandbox: what they send is taken, and what it answers
they understand.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import postmark.sync
import pytest
import sendgrid
import sparkpost
from postmark import PostmarkAPIException
from python_http_client.exceptions import HTTPError
from sendgrid.helpers.mail import Category, CustomArg, Email, Mail, Personalization, ReplyTo, To
from sparkpost.exceptions import SparkPostAPIException

from tests.integration.sandbox_driver import Driver, running_accounts

pytestmark = pytest.mark.sdk
KINDS = ("sendgrid", "postmark", "sparkpost")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driver]:
    with running_accounts(tmp_path_factory.mktemp("sandbox"), *KINDS) as driver:
        yield driver


@pytest.fixture
def driver(shared: Driver) -> Iterator[Driver]:
    shared.clear()
    yield shared
    shared.heal_all()


# -- SendGrid -----------------------------------------------------------------------------------------------


def sendgrid_sdk(driver: Driver) -> Any:
    known = driver.account("sendgrid")
    return sendgrid.SendGridAPIClient(known["credentials"]["api_key"], host=known["base_url"])


def a_mail() -> Mail:
    return Mail(
        from_email=("shop@example.org", "The shop"),
        to_emails=[("ada@example.com", "Ada")],
        subject="Žluťoučký kůň",
        plain_text_content="plain",
        html_content="<p>rich</p>",
    )


def test_sendgrids_sdk_sends(driver: Driver) -> None:
    mail = a_mail()
    mail.reply_to = ReplyTo("answers@example.org")
    mail.category = Category("receipts")
    mail.custom_arg = CustomArg("order", "17")
    answer = sendgrid_sdk(driver).send(mail)
    (seen,) = driver.received()
    assert (answer.status_code, answer.headers["X-Message-Id"]) == (202, seen["message_id"])
    assert (seen["subject"], seen["text"], seen["html"]) == ("Žluťoučký kůň", "plain", "<p>rich</p>")
    assert seen["to"] == [{"email": "ada@example.com", "name": "Ada"}]
    assert (seen["categories"], seen["custom_args"]) == (["receipts"], {"order": "17"})


def test_sendgrids_sdk_sends_to_several_in_one_call(driver: Driver) -> None:
    mail = a_mail()
    for number in range(3):
        person = Personalization()
        person.add_to(To(f"reader{number}@example.com"))
        mail.add_personalization(person)
    sendgrid_sdk(driver).send(mail)
    assert len(driver.received()) == 4


@pytest.mark.parametrize(
    ("mode", "status"), [("auth", 401), ("reject", 400), ("sender", 403), ("ratelimit", 429)]
)
def test_sendgrids_sdk_understands_the_refusals(driver: Driver, mode: str, status: int) -> None:
    driver.fail("sendgrid", mode)
    with pytest.raises(HTTPError) as caught:
        sendgrid_sdk(driver).send(a_mail())
    assert caught.value.status_code == status
    assert caught.value.to_dict["errors"][0]["message"]
    assert Email("a@example.com").email == "a@example.com"


def test_sendgrids_sdk_finds_an_email_by_its_custom_argument(driver: Driver) -> None:
    mail = a_mail()
    mail.add_custom_arg(CustomArg("order", "17"))
    client = sendgrid_sdk(driver)
    message_id = client.send(mail).headers["X-Message-Id"]
    client.send(a_mail())
    query = {"limit": 10, "query": "(unique_args['order']=\"17\")"}
    found = json.loads(client.client.messages.get(query_params=query).body)["messages"]
    assert [m["to_email"] for m in found] == ["ada@example.com"]
    assert found[0]["msg_id"].startswith(message_id)
    details = json.loads(client.client.messages._(found[0]["msg_id"]).get().body)
    assert [event["event_name"] for event in details["events"]] == ["processed"]
    with pytest.raises(HTTPError):
        client.client.messages.get(query_params={"limit": 10, "query": "nonsense"})


# -- Postmark -----------------------------------------------------------------------------------------------


@pytest.fixture
def postmark_sdk(driver: Driver) -> Iterator[Any]:
    known = driver.account("postmark")
    token = known["credentials"]["server_token"]
    with postmark.sync.ServerClient(token, retries=0, base_url=known["base_url"]) as client:
        yield client


def an_email(to: str = "Ada <ada@example.com>", **more: Any) -> dict[str, Any]:
    return {
        "sender": "The shop <shop@example.org>",
        "to": to,
        "subject": "Žluťoučký kůň",
        "text_body": "plain",
        "html_body": "<p>rich</p>",
        **more,
    }


def test_postmarks_sdk_sends(driver: Driver, postmark_sdk: Any) -> None:
    answer = postmark_sdk.outbound.send(an_email(tag="receipts", metadata={"order": "17"}))
    (seen,) = driver.received()
    assert (answer.message_id, answer.error_code) == (seen["message_id"], 0)
    assert (seen["subject"], seen["text"], seen["html"]) == ("Žluťoučký kůň", "plain", "<p>rich</p>")
    assert (seen["categories"], seen["custom_args"]) == (["receipts"], {"order": "17"})


def test_postmarks_sdk_reads_the_result_of_each_email_of_a_batch(driver: Driver, postmark_sdk: Any) -> None:
    emails = [an_email(), an_email(", ".join(f"r{n}@example.com" for n in range(51))), an_email()]
    codes = [answer.error_code for answer in postmark_sdk.outbound.send_batch(emails)]
    assert codes == [0, 300, 0]
    assert len(driver.received()) == 2


def test_postmarks_sdk_finds_an_email_by_its_metadata_and_what_became_of_it(
    driver: Driver, postmark_sdk: Any
) -> None:
    sent = postmark_sdk.outbound.send(an_email("bounce-hard@example.com", metadata={"order": "17"}))
    postmark_sdk.outbound.send(an_email("delivered@example.com", metadata={"order": "18"}))
    found = postmark_sdk.outbound.list(metadata={"order": "17"})
    assert [(m.message_id, m.metadata) for m in found.items] == [(sent.message_id, {"order": "17"})]
    details = postmark_sdk.outbound.get(sent.message_id)
    assert [event.type.value for event in details.message_events] == ["Bounced"]
    (bounce,) = postmark_sdk.bounces.list(message_id=sent.message_id).items
    assert (bounce.type.value, bounce.email) == ("HardBounce", "bounce-hard@example.com")
    with pytest.raises(PostmarkAPIException) as caught:
        postmark_sdk.outbound.get("00000000-0000-4000-8000-000000000000")
    assert caught.value.error_code == 701


@pytest.mark.parametrize(("mode", "code"), [("auth", 10), ("reject", 300), ("sender", 400)])
def test_postmarks_sdk_understands_the_refusals(
    driver: Driver, postmark_sdk: Any, mode: str, code: int
) -> None:
    driver.fail("postmark", mode)
    with pytest.raises(PostmarkAPIException) as caught:
        postmark_sdk.outbound.send(an_email())
    assert caught.value.error_code == code


# -- SparkPost ----------------------------------------------------------------------------------------------


def sparkpost_sdk(driver: Driver) -> Any:
    """It speaks HTTPS only by itself."""
    known = driver.account("sparkpost")
    client = sparkpost.SparkPost(known["credentials"]["api_key"])
    client.transmissions.base_uri = f"{known['base_url']}/api/v1"
    return client


def test_sparkposts_sdk_sends(driver: Driver) -> None:
    answer = sparkpost_sdk(driver).transmissions.send(
        recipients=["ada@example.com"],
        cc=["bob@example.com"],
        from_email="The shop <shop@example.org>",
        subject="Žluťoučký kůň",
        text="plain",
        html="<p>rich</p>",
        campaign="receipts",
        metadata={"order": "17"},
    )
    (seen,) = driver.received()
    assert (answer["id"], answer["total_accepted_recipients"]) == (seen["message_id"], 2)
    assert (seen["subject"], seen["text"], seen["html"]) == ("Žluťoučký kůň", "plain", "<p>rich</p>")
    assert [person["email"] for person in seen["to"]] == ["ada@example.com"]
    assert [person["email"] for person in seen["cc"]] == ["bob@example.com"]


@pytest.mark.parametrize(("mode", "status"), [("auth", 401), ("reject", 400), ("ratelimit", 429)])
def test_sparkposts_sdk_understands_the_refusals(driver: Driver, mode: str, status: int) -> None:
    driver.fail("sparkpost", mode)
    with pytest.raises(SparkPostAPIException) as caught:
        sparkpost_sdk(driver).transmissions.send(
            recipients=["ada@example.com"], from_email="shop@example.org", subject="x", text="y"
        )
    assert caught.value.status == status
    assert caught.value.errors
