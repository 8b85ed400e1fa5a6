"""The sandbox's SendGrid dialect, on real sockets."""

import gzip
import hashlib
import http.client
import json
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.sandbox_driver import Driver, base64_text, eventually, mail, running


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driver]:
    with running(tmp_path_factory.mktemp("sandbox")) as driver:
        yield driver


@pytest.fixture
def driver(shared: Driver) -> Iterator[Driver]:
    """The shared sandbox, empty and healthy."""
    shared.control("DELETE", "/messages")
    yield shared
    for account in shared.known["accounts"]:
        shared.heal(account["name"])


def test_an_accepted_message_is_answered_with_202_no_body_and_an_id(driver: Driver) -> None:
    answer = driver.send()
    assert (answer.status, answer.body) == (202, b"")
    assert len(answer.headers["X-Message-Id"]) == 22
    assert [m["message_id"] for m in driver.received()] == [answer.headers["X-Message-Id"]]


def test_all_that_was_sent_is_recorded(driver: Driver) -> None:
    content = b"%PDF-1.7 \x00\xff"
    driver.send(
        {
            "personalizations": [
                {
                    "to": [{"email": "Ada@example.com", "name": "Ada"}],
                    "cc": [{"email": "bob@example.com"}],
                    "bcc": [{"email": "eve@example.com"}],
                    "headers": {"X-One": "1"},
                    "custom_args": {"mailmux_attempt": "a-1"},
                }
            ],
            "from": {"email": "shop@example.org", "name": "The shop"},
            "reply_to_list": [{"email": "help@example.org"}],
            "subject": "Žluťoučký kůň",
            "content": [
                {"type": "text/plain", "value": "plain"},
                {"type": "text/html", "value": "<p>rich</p>"},
            ],
            "attachments": [
                {
                    "content": base64_text(content),
                    "filename": "bill.pdf",
                    "type": "application/pdf",
                    "disposition": "attachment",
                }
            ],
            "headers": {"X-Two": "2"},
            "categories": ["orders"],
            "custom_args": {"mailmux_attempt": "overridden", "mailmux_email": "e-1"},
        }
    )
    (message,) = driver.received()
    assert message["from"] == {"email": "shop@example.org", "name": "The shop"}
    assert message["to"] == [{"email": "Ada@example.com", "name": "Ada"}]
    assert [m["email"] for m in message["cc"] + message["bcc"]] == ["bob@example.com", "eve@example.com"]
    assert message["envelope"]["to"] == ["Ada@example.com", "bob@example.com", "eve@example.com"]
    assert (message["subject"], message["text"], message["html"]) == ("Žluťoučký kůň", "plain", "<p>rich</p>")
    assert message["headers"] == [["X-Two", "2"], ["X-One", "1"]]
    assert (message["attempt_id"], message["email_id"]) == ("a-1", "e-1")
    assert message["categories"] == ["orders"]
    (attachment,) = message["attachments"]
    assert (attachment["name"], attachment["type"], attachment["size"]) == ("bill.pdf", "application/pdf", 11)
    assert attachment["sha256"] == hashlib.sha256(content).hexdigest()


def test_each_personalization_is_a_message_of_its_own(driver: Driver) -> None:
    driver.send(mail(personalizations=[{"to": [{"email": f"{n}@example.com"}]} for n in "abc"]))
    messages = driver.received()
    assert [m["envelope"]["to"] for m in messages] == [
        ["c@example.com"],
        ["b@example.com"],
        ["a@example.com"],
    ]
    assert len({m["message_id"] for m in messages}) == 1


def test_the_message_is_in_the_file_when_the_answer_comes(driver: Driver) -> None:
    answer = driver.send()
    last = (driver.sandbox.directory / "received.jsonl").read_bytes().splitlines()[-1]
    assert json.loads(last)["message_id"] == answer.headers["X-Message-Id"]


@pytest.mark.parametrize("key", ["", "SG.wrong", "Ünicode"])
def test_a_wrong_key_is_refused_in_sendgrids_shape(driver: Driver, key: str) -> None:
    answer = driver.send(key=key.encode().decode("latin-1"))
    assert answer.status == 401
    (error,) = answer.json["errors"]
    assert set(error) == {"message", "field", "help"}
    assert driver.received() == []


def test_one_accounts_key_does_not_open_another(driver: Driver) -> None:
    other = driver.account("sandbox-sendgrid-eu")["credentials"]["api_key"]
    assert driver.send(key=other).status == 401
    assert driver.send(account="sandbox-sendgrid-eu").status == 202


def test_an_invalid_body_names_its_fields_and_is_not_recorded(driver: Driver) -> None:
    answer = driver.send(mail(subject="", content=[], categories=["x"] * 11))
    assert answer.status == 400
    assert {error["field"] for error in answer.json["errors"]} == {"subject", "content", "categories"}
    assert driver.received() == []


def test_scopes_answer_a_connection_check(driver: Driver) -> None:
    account = driver.account("sandbox-sendgrid")
    right: dict[str, Any] = {"Authorization": f"Bearer {account['credentials']['api_key']}"}
    answer = driver.call(account["port"], "GET", "/v3/scopes", **right)
    assert answer.status == 200
    assert "mail.send" in answer.json["scopes"]
    assert driver.call(account["port"], "GET", "/v3/scopes").status == 401
    assert driver.call(account["port"], "GET", "/v3/nothing", **right).status == 404
    assert driver.call(account["port"], "GET", "/v3/mail/send", **right).status == 405


def test_what_is_no_json_is_refused(driver: Driver) -> None:
    assert driver.send(b"{", Content_Type="application/json").status == 400
    assert driver.send(b'{"subject": "\xff"}', Content_Type="application/json").status == 400
    assert driver.send(b'{"subject": "\\ud800"}', Content_Type="application/json").status == 400
    assert driver.send(b"[" * 100_000, Content_Type="application/json").status == 400
    assert driver.send(b"{}", Content_Type="text/plain").status == 415
    assert driver.send([]).status == 400


def test_a_message_over_30_mb_is_refused(driver: Driver) -> None:
    large = mail(content=[{"type": "text/plain", "value": "x" * (31 << 20)}])
    answer = driver.send(large, timeout=10)
    assert (answer.status, answer.json["errors"][0]["message"]) == (413, "content too large")
    bomb = gzip.compress(json.dumps(large).encode())
    assert (
        driver.send(bomb, Content_Type="application/json", Content_Encoding="gzip", timeout=10).status == 413
    )


def test_a_gzipped_body_is_read(driver: Driver) -> None:
    body = gzip.compress(json.dumps(mail()).encode())
    assert driver.send(body, Content_Type="application/json", Content_Encoding="gzip").status == 202
    assert driver.send(body[:-9], Content_Type="application/json", Content_Encoding="gzip").status == 400


def test_sendgrids_own_sandbox_mode_validates_only(driver: Driver) -> None:
    answer = driver.send(mail(mail_settings={"sandbox_mode": {"enable": True}}))
    assert answer.status == 200
    assert driver.received() == []


def test_a_connection_serves_many_requests(driver: Driver) -> None:
    account = driver.account("sandbox-sendgrid")
    connection = http.client.HTTPConnection("127.0.0.1", account["port"], timeout=2)
    connection.connect()
    first_socket = connection.sock
    for _ in range(20):
        headers = {
            "Authorization": f"Bearer {account['credentials']['api_key']}",
            "Content-Type": "application/json",
        }
        connection.request("POST", "/v3/mail/send", json.dumps(mail()), headers)
        response = connection.getresponse()
        assert (response.status, response.read()) == (202, b"")
    assert connection.sock is first_socket
    connection.close()
    assert len(driver.received()) == 20


def test_a_caller_that_breaks_off_has_sent_nothing(driver: Driver) -> None:
    account = driver.account("sandbox-sendgrid")
    with socket.create_connection(("127.0.0.1", account["port"])) as half:
        head = f"Authorization: Bearer {account['credentials']['api_key']}\r\nContent-Type: application/json"
        half.sendall(f"POST /v3/mail/send HTTP/1.1\r\n{head}\r\nContent-Length: 500\r\n\r\n{{".encode())
    assert driver.send().status == 202
    assert len(driver.received()) == 1


# Faults


def test_refuse_is_a_refused_connection_and_heal_listens_on_the_same_port(driver: Driver) -> None:
    driver.fail("sandbox-sendgrid", "refuse")
    with pytest.raises(ConnectionRefusedError):
        driver.send()
    assert driver.send(account="sandbox-sendgrid-eu").status == 202
    driver.heal("sandbox-sendgrid")
    assert driver.send().status == 202


def test_refuse_hangs_up_on_waiting_connections(driver: Driver) -> None:
    port = driver.account("sandbox-sendgrid")["port"]
    with socket.create_connection(("127.0.0.1", port), timeout=2) as waiting:
        assert eventually(lambda: driver.send().status == 202)
        driver.fail("sandbox-sendgrid", "refuse")
        assert waiting.recv(1) == b""


@pytest.mark.parametrize(
    ("mode", "status"), [("unavailable", 503), ("auth", 401), ("reject", 400), ("sender", 403)]
)
def test_a_refusal_is_in_sendgrids_shape_and_not_recorded(driver: Driver, mode: str, status: int) -> None:
    driver.fail("sandbox-sendgrid", mode)
    answer = driver.send()
    assert answer.status == status
    assert answer.json["errors"][0]["message"]
    assert driver.received() == []


def test_the_sender_fault_says_what_sendgrid_says(driver: Driver) -> None:
    driver.fail("sandbox-sendgrid", "sender")
    (error,) = driver.send().json["errors"]
    assert error["message"].startswith("The from address does not match a verified Sender Identity")
    assert error["field"] == "from"


def test_ratelimit_tells_when_it_resets(driver: Driver) -> None:
    driver.fail("sandbox-sendgrid", "ratelimit", delay=30)
    before = time.time()
    answer = driver.send()
    assert answer.status == 429
    assert answer.headers["X-RateLimit-Remaining"] == "0"
    assert answer.headers["X-RateLimit-Limit"]
    assert before + 30 <= int(answer.headers["X-RateLimit-Reset"]) <= time.time() + 31
    assert driver.received() == []


def test_timeout_records_and_never_answers(driver: Driver) -> None:
    driver.fail("sandbox-sendgrid", "timeout")
    with pytest.raises(TimeoutError):
        driver.send()
    assert len(driver.received()) == 1


def test_hang_neither_records_nor_answers(driver: Driver) -> None:
    driver.fail("sandbox-sendgrid", "hang")
    with pytest.raises(TimeoutError):
        driver.send()
    assert driver.received() == []


def test_drop_records_and_closes(driver: Driver) -> None:
    driver.fail("sandbox-sendgrid", "drop")
    with pytest.raises(http.client.RemoteDisconnected):
        driver.send()
    assert len(driver.received()) == 1


def test_bare500_says_nothing_and_does_not_record(driver: Driver) -> None:
    driver.fail("sandbox-sendgrid", "bare500")
    answer = driver.send()
    assert (answer.status, answer.body, answer.headers["Content-Type"]) == (500, b"", None)
    assert driver.received() == []


def test_garbage_records_and_answers_html_without_an_id(driver: Driver) -> None:
    driver.fail("sandbox-sendgrid", "garbage")
    answer = driver.send()
    assert (answer.status, answer.headers["Content-Type"]) == (202, "text/html")
    assert "X-Message-Id" not in answer.headers
    assert b"<html>" in answer.body
    assert len(driver.received()) == 1


def test_slow_records_at_once_and_answers_late(driver: Driver) -> None:
    driver.fail("sandbox-sendgrid", "slow", delay=0.25)
    began = time.monotonic()
    answer = driver.send(timeout=3)
    assert answer.status == 202
    assert time.monotonic() - began >= 0.25
    assert len(driver.received()) == 1


def test_slow_past_the_callers_patience_is_recorded_all_the_same(driver: Driver) -> None:
    driver.fail("sandbox-sendgrid", "slow", delay=30)
    with pytest.raises(TimeoutError):
        driver.send()
    assert len(driver.received()) == 1


def test_a_counted_fault_ends_by_itself(driver: Driver) -> None:
    driver.fail("sandbox-sendgrid", "unavailable", count=2)
    assert [driver.send().status for _ in range(3)] == [503, 503, 202]
    accounts = driver.get("/control/accounts").json["accounts"]
    assert accounts[0]["fault"] is None


def test_an_invalid_message_does_not_use_up_a_fault_that_takes_messages(driver: Driver) -> None:
    driver.fail("sandbox-sendgrid", "drop", count=1)
    assert driver.send({}).status == 400
    assert driver.send(key="SG.wrong").status == 401
    with pytest.raises(http.client.RemoteDisconnected):
        driver.send()
    assert driver.send().status == 202


def test_a_connection_check_meets_the_fault_without_using_it_up(driver: Driver) -> None:
    account = driver.account("sandbox-sendgrid")
    right: dict[str, Any] = {"Authorization": f"Bearer {account['credentials']['api_key']}"}
    driver.fail("sandbox-sendgrid", "unavailable", count=1)
    assert driver.call(account["port"], "GET", "/v3/scopes", **right).status == 503
    assert driver.send().status == 503
    driver.fail("sandbox-sendgrid", "reject")
    assert driver.call(account["port"], "GET", "/v3/scopes", **right).status == 200


def test_hanging_calls_block_neither_this_account_nor_others(driver: Driver) -> None:
    account = driver.account("sandbox-sendgrid")
    driver.fail("sandbox-sendgrid", "hang")
    hanging = []
    for _ in range(50):
        connection = http.client.HTTPConnection("127.0.0.1", account["port"], timeout=5)
        connection.request(
            "POST",
            "/v3/mail/send",
            json.dumps(mail()),
            {
                "Authorization": f"Bearer {account['credentials']['api_key']}",
                "Content-Type": "application/json",
            },
        )
        hanging.append(connection)
    assert driver.send(account="sandbox-sendgrid-eu", timeout=2).status == 202
    assert eventually(lambda: driver.sandbox.board.struck("sandbox-sendgrid") >= 50)
    driver.heal("sandbox-sendgrid")
    assert driver.send(timeout=2).status == 202
    for connection in hanging:
        connection.close()
