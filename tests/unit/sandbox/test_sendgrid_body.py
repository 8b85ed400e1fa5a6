"""What SendGrid's documents say is wrong with a body of POST /v3/mail/send."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from sandbox.messages import Received
from sandbox.sendgrid_body import read_messages
from sandbox.sendgrid_fields import InvalidBody, Problem

RECORDED = Path(__file__).parents[4] / "shared" / "contracts" / "requests" / "sendgrid"
TO = [{"email": "ada@example.com"}]
PLAIN = {"type": "text/plain", "value": "plain"}
HTML = {"type": "text/html", "value": "<p>rich</p>"}


def body(**changes: Any) -> dict[str, Any]:
    """A body that is right but for the changes; a change to None leaves the field out."""
    whole = {
        "personalizations": [{"to": TO}],
        "from": {"email": "shop@example.org"},
        "subject": "Your order",
        "content": [PLAIN],
        **changes,
    }
    return {name: value for name, value in whole.items() if value is not None}


def one(**changes: Any) -> dict[str, Any]:
    """A body with these changes to its only personalization."""
    return body(personalizations=[{"to": TO, **changes}])


def read(value: Any) -> list[Received]:
    return read_messages(json.dumps(value).encode(), account="one", message_id="id")


def problems(value: Any) -> list[Problem]:
    with pytest.raises(InvalidBody) as invalid:
        read(value)
    return invalid.value.problems


def attachment(**changes: Any) -> dict[str, Any]:
    whole = {"content": "eA==", "filename": "x.txt", **changes}
    return body(attachments=[{name: value for name, value in whole.items() if value is not None}])


def people(count: int, domain: str = "example.com") -> list[dict[str, str]]:
    return [{"email": f"{number}@{domain}"} for number in range(count)]


@pytest.mark.parametrize(
    "right",
    [
        body(),
        body(content=[PLAIN, HTML]),
        body(content=[HTML]),
        body(content=[PLAIN, {"type": "text/calendar", "value": "BEGIN"}]),
        body(content=None, subject=None, template_id="d-1"),
        body(subject=None, personalizations=[{"to": TO, "subject": "own"}]),
        body(categories=["a"] * 1 + [str(n) for n in range(9)]),
        body(reply_to={"email": "help@example.org", "name": "Help"}),
        body(reply_to_list=people(2)),
        body(send_at=int(time.time()) + 71 * 3600),
        body(send_at=0),
        body(asm={"group_id": 1, "groups_to_display": [1, 2]}),
        body(tracking_settings={"click_tracking": {"enable": False, "enable_text": False}}),
        body(from_=None) | {"headers": {"X-One": "1", "Message-ID": "<a@b>"}},
        one(cc=people(2), bcc=people(2, "example.net"), custom_args={"a": "b"}, send_at=1),
        one(to=people(1000)),
        attachment(type="application/pdf", disposition="inline", content_id="x"),
        attachment(filename=""),
    ],
)
def test_what_is_right_is_read(right: dict[str, Any]) -> None:
    right.pop("from_", None)
    assert len(read(right)) == len(right["personalizations"])


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        (body(personalizations=None), "personalizations"),
        (body(personalizations=[]), "personalizations"),
        (body(personalizations={}), "personalizations"),
        (body(personalizations=["x"]), "personalizations.0"),
        (body(personalizations=[{"to": [p]} for p in people(1001)]), "personalizations"),
        (one(to=[]), "personalizations.0.to"),
        (body(personalizations=[{"cc": TO}]), "personalizations.0.to"),
        (one(to=["ada@example.com"]), "personalizations.0.to.0"),
        (one(to=[{"name": "Ada"}]), "personalizations.0.to.0.email"),
        (one(to=[{"email": "Ada <ada@example.com>"}]), "personalizations.0.to.0.email"),
        (one(to=[{"email": "ada@localhost"}]), "personalizations.0.to.0.email"),
        (one(to=[{"email": "ada@example.com\r\nBcc: x@example.com"}]), "personalizations.0.to.0.email"),
        (one(to=people(600), cc=people(401, "example.net")), "personalizations"),
        (one(cc=[{"email": "ADA@example.com"}]), "personalizations.0"),
        (one(to=TO * 2), "personalizations.0"),
        (body(personalizations=[{"to": TO}, {"to": TO}]), "personalizations"),
        (one(subject=""), "personalizations.0.subject"),
        (one(headers={"Subject": "x"}), "personalizations.0.headers.Subject"),
        (one(custom_args={"a": 1}), "personalizations.0.custom_args.a"),
        (one(custom_args={"a": "x" * 10_000}), "personalizations.0.custom_args"),
        (one(substitutions={"a": 1}), "personalizations.0.substitutions"),
        (one(send_at=int(time.time()) + 73 * 3600), "personalizations.0.send_at"),
        (one(**{"from": {"email": "x"}}), "personalizations.0.from.email"),
        (one(too="x"), "personalizations.0.too"),
        (body(**{"from": None}), "from"),
        (body(**{"from": "shop@example.org"}), "from"),
        (body(**{"from": {}}), "from.email"),
        (body(subject=None), "subject"),
        (body(subject=""), "subject"),
        (body(subject=1), "subject"),
        (body(content=None), "content"),
        (body(content=[]), "content"),
        (body(content="x"), "content"),
        (body(content=[HTML, PLAIN]), "content"),
        (body(content=[PLAIN, PLAIN]), "content"),
        (body(content=[{"type": "text/x-amp-html", "value": "x"}, HTML]), "content"),
        (body(content=[{"type": "text/plain", "value": ""}]), "content.0.value"),
        (body(content=[{"value": "x"}]), "content.0.type"),
        (body(content=[{"type": "text/plain; charset=utf-8", "value": "x"}]), "content.0.type"),
        (body(reply_to={"email": "a@b.cz"}, reply_to_list=[{"email": "a@b.cz"}]), "reply_to_list"),
        (body(reply_to_list=[{"email": "a@b.cz"}, {"email": "A@b.cz"}]), "reply_to_list"),
        (body(reply_to={"name": "x"}), "reply_to.email"),
        (attachment(content="not base64!"), "attachments.0.content"),
        (attachment(content=""), "attachments.0.content"),
        (attachment(filename=None), "attachments.0.filename"),
        (attachment(filename="a\r\nb"), "attachments.0.filename"),
        (attachment(disposition="inside"), "attachments.0.disposition"),
        (attachment(type=""), "attachments.0.type"),
        (body(categories=[str(n) for n in range(11)]), "categories"),
        (body(categories=["a", "a"]), "categories"),
        (body(categories=["x" * 256]), "categories"),
        (body(categories=["ů"]), "categories"),
        (body(categories=[1]), "categories"),
        (body(headers={"X One": "1"}), "headers.X One"),
        (body(headers={"X-One": 1}), "headers.X-One"),
        (body(headers={"X-One": "1\r\nBcc: x@example.com"}), "headers.X-One"),
        (body(headers={"X-One": "1", "x-one": "2"}), "headers"),
        (body(headers={"reply-to": "x"}), "headers.reply-to"),
        (body(custom_args="{}"), "custom_args"),
        (body(custom_args={"a": None}), "custom_args.a"),
        (body(send_at="tomorrow"), "send_at"),
        (body(send_at=True), "send_at"),
        (
            body(tracking_settings={"click_tracking": {"enable": "yes"}}),
            "tracking_settings.click_tracking.enable",
        ),
        (body(tracking_settings={"clicks": {}}), "tracking_settings.clicks"),
        (body(mail_settings={"footer": True}), "mail_settings.footer"),
        (body(asm={}), "asm.group_id"),
        (body(asm={"group_id": 1, "groups_to_display": ["x"]}), "asm.groups_to_display"),
        (body(ip_pool_name="x"), "ip_pool_name"),
        (body(attachment=[]), "attachment"),
    ],
)
def test_what_is_wrong_is_named(wrong: dict[str, Any], field: str) -> None:
    assert [problem.field for problem in problems(wrong)] == [field]


def test_everything_that_is_wrong_is_named_at_once() -> None:
    fields = {problem.field for problem in problems({"subject": 1, "content": [HTML, PLAIN]})}
    assert fields == {"personalizations", "from", "subject", "content"}


def test_a_duplicate_is_told_in_sendgrids_words() -> None:
    (problem,) = problems(one(cc=TO))
    assert problem.message == (
        "Each email address in the personalization block should be unique between to, cc, and bcc. We found the "
        "first duplicate instance of [ada@example.com] in the personalizations.0.cc field."
    )


def test_a_personalization_overrides_the_request() -> None:
    (message,) = read(
        body(
            personalizations=[
                {
                    "to": TO,
                    "subject": "own",
                    "from": {"email": "own@example.org"},
                    "headers": {"X-A": "own"},
                    "custom_args": {"a": "own"},
                }
            ],
            headers={"X-A": "all", "X-B": "all"},
            custom_args={"a": "all", "b": "all"},
        )
    )
    assert (message.subject, message.sender.email) == ("own", "own@example.org")
    assert message.envelope.sender == "own@example.org"
    assert dict(message.headers) == {"X-A": "own", "X-B": "all"}
    assert message.custom_args == {"a": "own", "b": "all"}


@pytest.mark.skipif(not RECORDED.exists(), reason="the recorded requests are not here")
def test_recorded_requests_of_another_client_are_accepted() -> None:
    accepted = 0
    for path in sorted(RECORDED.glob("*.json")):
        for exchange in json.loads(path.read_text())["http"]:
            request = exchange.get("request")
            if request and "null" not in json.dumps(request["json"]):  # it may send null where text is due
                accepted += len(read(request["json"]))
    assert accepted
