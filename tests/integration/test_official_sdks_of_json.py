"""The SDKs of Brevo, Mailjet, MailerSend and Mailtrap, pointed at the sandbox: what they send is taken, and what it
answers they understand.
"""

from __future__ import annotations

import base64
import gc
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import brevo
import httpx
import mailersend
import mailjet_rest
import mailtrap
import pytest
from brevo.core.api_error import ApiError
from mailjet_rest.errors import MailjetApiError

from tests.contract.certificates import Authority, make_authority
from tests.integration.sandbox_driver import Driver, running_accounts

pytestmark = pytest.mark.sdk
KINDS = ("brevo", "mailersend", "mailjet", "mailtrap")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driver]:
    with running_accounts(tmp_path_factory.mktemp("sandbox"), *KINDS) as driver:
        yield driver


@pytest.fixture
def driver(shared: Driver) -> Iterator[Driver]:
    shared.clear()
    yield shared
    shared.heal_all()


# -- Brevo --------------------------------------------------------------------------------------------------


@pytest.fixture
def brevo_sdk(driver: Driver) -> Iterator[brevo.Brevo]:
    known = driver.account("brevo")
    with httpx.Client(timeout=3) as client:
        yield brevo.Brevo(
            api_key=known["credentials"]["api_key"],
            base_url=f"{known['base_url']}/v3",
            max_retries=0,
            httpx_client=client,
        )


def send_by_brevo(sdk: brevo.Brevo, **more: Any) -> Any:
    from brevo.transactional_emails import (
        SendTransacEmailRequestSender,
        SendTransacEmailRequestToItem,
    )

    return sdk.transactional_emails.send_transac_email(
        sender=SendTransacEmailRequestSender(email="shop@example.org", name="The shop"),
        to=[SendTransacEmailRequestToItem(email="ada@example.com", name="Ada")],
        subject="Žluťoučký kůň",
        text_content="plain",
        html_content="<p>rich</p>",
        **more,
    )


def test_brevos_sdk_sends(driver: Driver, brevo_sdk: brevo.Brevo) -> None:
    from brevo.transactional_emails import SendTransacEmailRequestAttachmentItem

    file = SendTransacEmailRequestAttachmentItem(name="účet.pdf", content=base64.b64encode(b"%PDF").decode())
    answer = send_by_brevo(brevo_sdk, attachment=[file], tags=["one", "two"], headers={"X-One": "1"})
    (seen,) = driver.received()
    assert seen["message_id"] == answer.message_id
    assert (seen["subject"], seen["text"], seen["html"]) == ("Žluťoučký kůň", "plain", "<p>rich</p>")
    assert seen["to"] == [{"email": "ada@example.com", "name": "Ada"}]
    assert (seen["categories"], seen["headers"]) == (["one", "two"], [["X-One", "1"]])
    assert [a["name"] for a in seen["attachments"]] == ["účet.pdf"]


def test_brevos_sdk_hears_of_a_key_that_was_used(driver: Driver, brevo_sdk: brevo.Brevo) -> None:
    headers = {"idempotencyKey": "0197b2c4-0000-7000-8000-000000000001"}
    send_by_brevo(brevo_sdk, headers=headers)
    with pytest.raises(ApiError) as caught:
        send_by_brevo(brevo_sdk, headers=headers)
    assert (caught.value.status_code, code_of(caught.value)) == (400, "duplicate_parameter")
    assert len(driver.received()) == 1


def test_brevos_sdk_understands_the_refusals(driver: Driver, brevo_sdk: brevo.Brevo) -> None:
    wanted = {
        "auth": (401, "unauthorized"),
        "reject": (400, "invalid_parameter"),
        "ratelimit": (429, "too_many_requests"),
    }
    for mode, (status, code) in wanted.items():
        driver.fail("brevo", mode)
        with pytest.raises(ApiError) as caught:
            send_by_brevo(brevo_sdk)
        assert (caught.value.status_code, code_of(caught.value)) == (status, code)


def code_of(error: ApiError) -> str:
    body = error.body
    return str(body["code"] if isinstance(body, dict) else body.code)


def test_brevos_sdk_reads_the_account(brevo_sdk: brevo.Brevo) -> None:
    assert brevo_sdk.account.get_account().plan[0].credits == 300
    (domain,) = brevo_sdk.domains.get_domains().domains or []
    assert (domain.domain_name, domain.authenticated) == ("example.com", True)


# -- Mailjet ------------------------------------------------------------------------------------------------


@pytest.fixture
def mailjet_sdk(driver: Driver) -> Iterator[mailjet_rest.Client]:
    known = driver.account("mailjet")
    keys = known["credentials"]
    with mailjet_rest.Client(
        auth=(keys["api_key"], keys["secret_key"]), version="v3.1", api_url=f"{known['base_url']}/", timeout=3
    ) as client:
        yield client


def a_message(**more: Any) -> dict[str, Any]:
    return {
        "From": {"Email": "shop@example.org", "Name": "The shop"},
        "To": [{"Email": "ada@example.com", "Name": "Ada"}],
        "Subject": "Žluťoučký kůň",
        "TextPart": "plain",
        "CustomID": "attempt-1",
        **more,
    }


def test_mailjets_sdk_finds_a_message_by_its_custom_id(
    driver: Driver, mailjet_sdk: mailjet_rest.Client
) -> None:
    mailjet_sdk.send.create(data={"Messages": [a_message(), a_message(CustomID="attempt-2")]})
    known = driver.account("mailjet")
    keys = known["credentials"]
    with mailjet_rest.Client(
        auth=(keys["api_key"], keys["secret_key"]), version="v3", api_url=f"{known['base_url']}/", timeout=3
    ) as client:
        filters = {"CustomID": "attempt-2", "ShowCustomID": "true", "ShowContactAlt": "true"}
        found = client.message.get(filters=filters).json()
    assert [(m["CustomID"], m["ContactAlt"], m["Status"]) for m in found["Data"]] == [
        ("attempt-2", "ada@example.com", "queued")
    ]


def test_mailjets_sdk_sends_several_and_hears_of_each(
    driver: Driver, mailjet_sdk: mailjet_rest.Client
) -> None:
    wrong = a_message(Headers={"List-Id": "<x>"})
    answer = mailjet_sdk.send.create(data={"Messages": [a_message(), wrong]})
    first, second = answer.json()["Messages"]
    assert (first["Status"], first["CustomID"]) == ("success", "attempt-1")
    assert (second["Status"], second["Errors"][0]["ErrorCode"]) == ("error", "send-0011")
    (seen,) = driver.received()
    assert seen["message_id"] == str(first["To"][0]["MessageID"])
    assert (seen["subject"], seen["to"]) == ("Žluťoučký kůň", [{"email": "ada@example.com", "name": "Ada"}])


def test_mailjets_sdk_understands_the_refusals(driver: Driver, mailjet_sdk: mailjet_rest.Client) -> None:
    for mode, status in {"auth": 401, "reject": 400, "sender": 403, "ratelimit": 429}.items():
        driver.fail("mailjet", mode)
        with pytest.raises(MailjetApiError) as caught:
            mailjet_sdk.send.create(data={"Messages": [a_message()]})
        assert caught.value.status_code == status
    assert driver.received() == []


# -- MailerSend ---------------------------------------------------------------------------------------------


@pytest.fixture
def mailersend_sdk(driver: Driver) -> Iterator[mailersend.MailerSendClient]:
    known = driver.account("mailersend")
    with mailersend.MailerSendClient(
        api_key=known["credentials"]["api_token"],
        base_url=f"{known['base_url']}/v1/",
        timeout=3,
        max_retries=0,
    ) as client:
        yield client


def built() -> mailersend.EmailBuilder:
    return (
        mailersend.EmailBuilder()
        .from_email("shop@example.org", "The shop")
        .to("ada@example.com", "Ada")
        .subject("Žluťoučký kůň")
        .text("plain")
        .html("<p>rich</p>")
    )


def test_mailersends_sdk_sends(driver: Driver, mailersend_sdk: mailersend.MailerSendClient) -> None:
    email = built().tag("one").attach_content(b"%PDF", "účet.pdf").track_opens(False).build()
    answer = mailersend_sdk.emails.send(email)
    (seen,) = driver.received()
    assert seen["message_id"] == answer.data["id"]
    assert (seen["subject"], seen["categories"]) == ("Žluťoučký kůň", ["one"])
    assert [a["name"] for a in seen["attachments"]] == ["účet.pdf"]


def test_mailersends_sdk_understands_the_refusals(
    driver: Driver, mailersend_sdk: mailersend.MailerSendClient
) -> None:
    from mailersend.exceptions import AuthenticationError, BadRequestError, MailerSendError

    # Of a 429 it says only that it has given up.
    wanted = {"auth": AuthenticationError, "reject": BadRequestError, "ratelimit": MailerSendError}
    for mode, kind in wanted.items():
        driver.fail("mailersend", mode)
        with pytest.raises(kind):
            mailersend_sdk.emails.send(built().build())
    assert driver.received() == []


def test_mailersends_sdk_reads_the_domains(mailersend_sdk: mailersend.MailerSendClient) -> None:
    (domain,) = mailersend_sdk.domains.list_domains().data["data"]
    assert (domain["name"], domain["is_verified"]) == ("example.com", True)


# -- Mailtrap: its SDK speaks https only ----------------------------------------------------------------------


class Encrypted:
    """Takes TLS off before the sandbox."""

    def __init__(self, authority: Authority, port: int) -> None:
        self._to, self._context = port, authority.server_context()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                plain, _ = self._socket.accept()
                threading.Thread(target=self._join, args=(plain,), daemon=True).start()

    def _join(self, plain: socket.socket) -> None:
        with (
            suppress(OSError),
            self._context.wrap_socket(plain, server_side=True) as outer,
            socket.create_connection(("127.0.0.1", self._to)) as inner,
        ):
            back = threading.Thread(target=_pump, args=(inner, outer), daemon=True)
            back.start()
            _pump(outer, inner)
            back.join(5)

    def stop(self) -> None:
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError, ssl.SSLError):
        while data := source.recv(65_536):
            sink.sendall(data)
    with suppress(OSError):
        socket.socket.shutdown(sink, socket.SHUT_RDWR)


@pytest.fixture
def mailtrap_sdk(
    driver: Driver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[mailtrap.MailtrapClient]:
    authority = make_authority(tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority.ca))
    known = driver.account("mailtrap")
    relay = Encrypted(authority, known["port"])
    yield mailtrap.MailtrapClient(token=known["credentials"]["api_token"], api_host=f"127.0.0.1:{relay.port}")
    relay.stop()
    gc.collect()  # it closes none of its sessions: let that be here, where it is expected


never_closed = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)


def a_mail(**more: Any) -> mailtrap.Mail:
    return mailtrap.Mail(
        sender=mailtrap.Address(email="shop@example.org", name="The shop"),
        to=[mailtrap.Address(email="ada@example.com", name="Ada")],
        subject="Žluťoučký kůň",
        text="plain",
        **more,
    )


@never_closed
def test_mailtraps_sdk_sends(driver: Driver, mailtrap_sdk: mailtrap.MailtrapClient) -> None:
    file = mailtrap.Attachment(
        content=base64.b64encode(b"%PDF"), filename="účet.pdf", mimetype="application/pdf"
    )
    answer = mailtrap_sdk.send(
        a_mail(category="receipt", custom_variables={"order": "17"}, attachments=[file])
    )
    (seen,) = driver.received()
    assert answer["message_ids"] == [seen["message_id"]]
    assert (seen["categories"], seen["custom_args"]) == (["receipt"], {"order": "17"})
    assert [a["name"] for a in seen["attachments"]] == ["účet.pdf"]


@never_closed
def test_mailtraps_sdk_sends_a_batch(driver: Driver, mailtrap_sdk: mailtrap.MailtrapClient) -> None:
    batch = mailtrap.BatchSendEmailParams(
        base=mailtrap.BatchMail(sender=mailtrap.Address("shop@example.org"), subject="x", text="y"),
        requests=[
            mailtrap.BatchEmailRequest(to=[mailtrap.Address(email="ada@example.com")]),
            mailtrap.BatchEmailRequest(to=[mailtrap.Address(email="no address")]),
        ],
    )
    answer: Any = mailtrap_sdk.batch_send(batch)
    results = answer["responses"] if isinstance(answer, dict) else answer.responses
    assert len(results) == 2
    assert len(driver.received()) == 1


@never_closed
def test_mailtraps_sdk_understands_the_refusals(
    driver: Driver, mailtrap_sdk: mailtrap.MailtrapClient
) -> None:
    driver.fail("mailtrap", "auth")
    with pytest.raises(mailtrap.AuthorizationError):
        mailtrap_sdk.send(a_mail())
    driver.fail("mailtrap", "reject")
    with pytest.raises(mailtrap.APIError) as caught:
        mailtrap_sdk.send(a_mail())
    assert (caught.value.status, caught.value.errors) == (400, ["'to' address is invalid"])
