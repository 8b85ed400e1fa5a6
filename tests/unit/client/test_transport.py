"""What the client does when a service is slow, busy or away: against a real HTTP server that answers as told."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from mailmux_client import Mailmux, MailmuxError, NotVerified, Unreachable, verify_webhook
from standardwebhooks.webhooks import Webhook

from domain.webhooks import new_secret, sign

OK: Any = (202, {}, {"id": "1", "status": "queued"})
KEY = "mx_live_x"


@dataclass
class Answering:
    """Gives the answers in turn, the last one again and again; None: hangs up."""

    answers: list[Any]
    got: list[tuple[str, str, dict[str, str], Any]] = field(default_factory=list)
    slept: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def _answer(self) -> None:
                size = int(self.headers.get("content-length", 0))
                body = json.loads(self.rfile.read(size)) if size else None
                outer.got.append((self.command, self.path, dict(self.headers.items()), body))
                answer = outer.answers.pop(0) if len(outer.answers) > 1 else outer.answers[0]
                if answer is None:
                    self.close_connection = True
                    return
                status, headers, said = answer
                payload = b"" if said is None else json.dumps(said).encode()
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(payload))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(payload)

            do_GET = do_POST = do_DELETE = do_PATCH = _answer  # noqa: N815

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.mailmux = Mailmux(
            f"http://127.0.0.1:{self.server.server_port}", KEY, timeout=5, sleep=self.slept.append
        )
        self.mailmux._transport._session.trust_env = False  # no proxy of this machine

    def send(self, **more: Any) -> Any:
        return self.mailmux.emails.send(
            sender="a@x.example", to=["b@x.example"], subject="s", text="t", **more
        )


Answers = Callable[..., Answering]


@pytest.fixture
def answering() -> Iterator[Answers]:
    made: list[Answering] = []

    def make(*answers: Any) -> Answering:
        made.append(one := Answering(list(answers)))
        return one

    yield make
    for one in made:
        one.server.shutdown()
        one.server.server_close()


def test_whatever_an_id_is_it_reaches_no_other_route(answering: Answers) -> None:
    service = answering((404, {}, {"title": "no"}))
    for ask in (service.mailmux.emails.get, service.mailmux.campaigns.get):
        with pytest.raises(MailmuxError):
            ask("../keys?x#y")
    assert [path for _, path, _, _ in service.got] == [
        "/v1/emails/..%2Fkeys%3Fx%23y",
        "/v1/campaigns/..%2Fkeys%3Fx%23y",
    ]


def test_a_lost_answer_is_asked_for_again_with_the_same_key(answering: Answers) -> None:
    service = answering(None, (503, {}, {"title": "away"}), OK)
    assert service.send() == {"id": "1", "status": "queued"}
    keys = [headers["Idempotency-Key"] for _, _, headers, _ in service.got]
    assert len(keys) == 3
    assert len(set(keys)) == 1
    assert service.send(idempotency_key="mine") == OK[2]
    assert service.got[-1][2]["Idempotency-Key"] == "mine"


def test_it_waits_as_long_as_the_service_asks(answering: Answers) -> None:
    service = answering((429, {"Retry-After": "7"}, {}), OK)
    service.send()
    assert service.slept == [7.0]


def test_a_request_that_the_service_is_still_at_work_on_is_asked_for_again(answering: Answers) -> None:
    """Its answer was lost, and the repeat came before the first one was through."""
    busy: Any = (409, {"Retry-After": "1"}, {"type": "/problems/request-in-flight"})
    service = answering(None, busy, OK)
    assert service.send() == OK[2]
    assert service.slept[1:] == [1.0]
    assert len({headers["Idempotency-Key"] for _, _, headers, _ in service.got}) == 1


def test_what_cannot_be_done_is_not_asked_for_again(answering: Answers) -> None:
    service = answering((409, {}, {"type": "/problems/conflict"}))
    with pytest.raises(MailmuxError):
        service.send()
    assert len(service.got) == 1


def test_what_changes_something_without_a_key_is_asked_for_once(answering: Answers) -> None:
    service = answering((503, {}, {"title": "away"}))
    with pytest.raises(MailmuxError):
        service.mailmux.rules.create(email_type="x")
    assert len(service.got) == 1


def test_giving_up_names_the_key_to_go_on_with(answering: Answers) -> None:
    service = answering(None)
    with pytest.raises(Unreachable) as gone:
        service.send()
    assert len(service.got) == 5
    assert gone.value.idempotency_key == service.got[0][2]["Idempotency-Key"]


def test_a_refusal_names_every_wrong_field(answering: Answers) -> None:
    problem = {
        "type": "/problems/validation-failed",
        "title": "Wrong",
        "errors": [
            {"pointer": "/to", "code": "missing", "detail": "no"},
            {"parameter": "limit", "detail": "x"},
        ],
    }
    service = answering((422, {"X-Request-Id": "r1"}, problem))
    with pytest.raises(MailmuxError) as refused:
        service.send()
    error = refused.value
    assert (error.status, error.type, error.request_id) == (422, "/problems/validation-failed", "r1")
    assert [e.where for e in error.errors] == ["/to", "limit"]
    assert "/to: no" in str(error)


def test_lists_are_read_page_by_page_as_far_as_wanted(answering: Answers) -> None:
    first: Any = (200, {}, {"data": [{"id": "1"}, {"id": "2"}], "has_more": True, "next_cursor": "c"})
    last: Any = (200, {}, {"data": [{"id": "3"}], "has_more": False, "next_cursor": None})
    service = answering(first, last)
    found = service.mailmux.emails.list(tag="a b", created_after=datetime(2030, 1, 1, tzinfo=UTC))
    assert [next(found)["id"], next(found)["id"]] == ["1", "2"]
    assert len(service.got) == 1
    assert next(found)["id"] == "3"
    assert "cursor=c" in service.got[1][1]
    assert "tag=a+b" in service.got[0][1]


def test_a_redirect_is_not_followed_with_the_key(answering: Answers) -> None:
    elsewhere = answering(OK)
    service = answering((307, {"Location": f"http://127.0.0.1:{elsewhere.server.server_port}/"}, None))
    with pytest.raises(MailmuxError):
        service.send()
    assert elsewhere.got == []


@pytest.mark.parametrize("url", ["", "x", "ftp://a", "127.0.0.1:8025"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="http"):
        Mailmux(url, KEY)


def test_a_time_without_a_zone_is_refused(answering: Answers) -> None:
    with pytest.raises(ValueError, match="send_at"):
        answering(OK).send(send_at=datetime(2030, 1, 1))  # noqa: DTZ001


# Webhooks

NEW, OLD = new_secret(b"n" * 32), new_secret(b"o" * 32)


def test_what_we_sign_is_verified_with_either_secret() -> None:
    headers = dict(sign([NEW, OLD], "msg_1", 1000, b'{"type":"x"}'))
    for secrets in (NEW, OLD, [OLD, new_secret(b"x" * 32)]):
        assert verify_webhook(secrets, headers, b'{"type":"x"}', now=1100) == {"type": "x"}


def test_what_the_official_library_signs_is_verified() -> None:
    now = datetime.now(UTC)
    signature = Webhook(NEW).sign("msg_1", now, '{"a": 1}')
    headers = {
        "Webhook-Id": "msg_1",
        "Webhook-Timestamp": str(int(now.timestamp())),
        "Webhook-Signature": signature,
    }
    assert verify_webhook(NEW, headers, b'{"a": 1}') == {"a": 1}


@pytest.mark.parametrize(
    ("change", "body", "now"),
    [
        ({}, b'{"type":"y"}', 1000),
        ({}, b'{"type":"x"}', 1301),
        ({}, b'{"type":"x"}', 699),
        ({"webhook-id": "msg_2"}, b'{"type":"x"}', 1000),
        ({"webhook-timestamp": "1001"}, b'{"type":"x"}', 1000),
        ({"webhook-timestamp": "-1"}, b'{"type":"x"}', 1000),
        ({"webhook-signature": ""}, b'{"type":"x"}', 1000),
        ({"webhook-signature": "v1,AAAA v2,BBBB"}, b'{"type":"x"}', 1000),
    ],
)
def test_what_is_forged_or_old_is_not(change: dict[str, str], body: bytes, now: float) -> None:
    headers = {**sign([NEW], "msg_1", 1000, b'{"type":"x"}'), **change}
    with pytest.raises(NotVerified):
        verify_webhook(NEW, headers, body, now=now)
    with pytest.raises(NotVerified):
        verify_webhook(NEW, {}, body, now=now)
