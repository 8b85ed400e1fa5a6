"""Whatever is sent, the answer is a 4xx that names what is wrong, and never a 5xx."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from tests.integration.api.world import EMAIL, Caller, World, fields


def assert_problem(answer: Any, status: int) -> None:
    assert answer.status_code == status, answer.text
    assert answer.content_type == "application/problem+json"
    body = answer.get_json()
    assert body["status"] == status
    assert body["type"].startswith("/problems/")
    assert body["request_id"] == answer.headers["X-Request-Id"]


WRONG_FIELDS: list[tuple[dict[str, Any], set[str]]] = [
    # line breaks and control characters in what becomes a header
    ({"headers": {"X-A\r\nBcc: eve@example.com": "x"}}, {"/headers/X-A\r\nBcc: eve@example.com"}),
    ({"headers": {"X-A\n": "x"}}, {"/headers/X-A\n"}),
    ({"headers": {"X-A": "x\r\nBcc: eve@example.com"}}, {"/headers/X-A"}),
    ({"headers": {"X-A": "x\n y"}}, {"/headers/X-A"}),
    ({"headers": {"X-A": "x\ry"}}, {"/headers/X-A"}),
    ({"headers": {"X-A": "x\u2028y"}}, {"/headers/X-A"}),
    ({"headers": {"X-A": "x\u0085y"}}, {"/headers/X-A"}),
    ({"headers": {"X-A": "x\x0by"}}, {"/headers/X-A"}),
    ({"headers": {"X A": "x", "X:B": "x", "": "x", "X-Ü": "x"}},
     {"/headers/X A", "/headers/X:B", "/headers/", "/headers/X-Ü"}),
    ({"headers": {"Bcc": "eve@example.com"}}, {"/headers/Bcc"}),
    ({"headers": {"bCC": "x", "Content-Type": "x", "X-Mailmux-Attempt": "x", "DKIM-Signature": "x"}},
     {"/headers/bCC", "/headers/Content-Type", "/headers/X-Mailmux-Attempt", "/headers/DKIM-Signature"}),
    ({"headers": {"X-SMTPAPI": '{"to":["eve@example.com"]}', "X-MSYS-API": "{}"}},
     {"/headers/X-SMTPAPI", "/headers/X-MSYS-API"}),
    ({"headers": {"X-A": "1", "x-a": "2"}}, {"/headers"}),
    ({"headers": {f"X-{n}": "x" for n in range(51)}}, {"/headers"}),
    ({"headers": {"X" * 77: "x"}}, {"/headers/" + "X" * 77}),
    ({"headers": {"X-A": "x" * 999}}, {"/headers/X-A"}),
    ({"headers": {"X-A": 1, "X-B": None, "X-C": ["x"]}}, {"/headers/X-A", "/headers/X-B", "/headers/X-C"}),
    ({"headers": [["X-A", "x"]]}, {"/headers"}),
    ({"subject": "Hi\r\nBcc: eve@example.com"}, {"/subject"}),
    ({"subject": "Hi\0"}, {"/subject"}),
    ({"subject": ""}, {"/subject"}),
    ({"subject": "x" * 999}, {"/subject"}),
    # encoded words that a reader would decode into something else
    ({"subject": "=?utf-8?q?=0D=0ABcc:_eve@example.com?="}, {"/subject"}),
    ({"subject": "=?utf-8?b?DQpCY2M6IGV2ZQ==?="}, {"/subject"}),
    ({"subject": "=?utf 8?Q?a?b?="}, {"/subject"}),
    ({"subject": "x=?utf-8*en?q?=0A"}, {"/subject"}),
    ({"headers": {"X-A": "=?utf-8?Q?=0AX:1?="}}, {"/headers/X-A"}),
    ({"from": {"email": "a@example.com", "name": "=?utf-8?q?=0AX:1?="}}, {"/from/name"}),
    ({"from": "=?utf-8?q?=0AX:1?= <a@example.com>"}, {"/from"}),
    # addresses
    ({"from": "nobody"}, {"/from"}),
    ({"from": None}, {"/from"}),
    ({"from": ["a@example.com"]}, {"/from"}),
    ({"from": {"email": "a@example.com", "nick": "x"}}, {"/from/nick"}),
    ({"from": {"name": "x"}}, {"/from/email"}),
    ({"from": {"email": "nobody", "name": "a\nb"}}, {"/from/email", "/from/name"}),
    ({"from": "a@example.com\r\nBcc: eve@example.com"}, {"/from"}),
    ({"from": "A\r\nBcc: eve <a@example.com>"}, {"/from"}),
    ({"from": '"A\nB" <a@example.com>'}, {"/from"}),
    ({"from": "A <a@example.com> <b@example.com>"}, {"/from"}),
    ({"from": "a@example.com, b@example.com"}, {"/from"}),
    ({"from": "x" * 201 + " <a@example.com>"}, {"/from"}),
    ({"to": []}, {"/to"}),
    ({"to": "ada@example.org"}, {"/to"}),
    ({"to": ["ada@example.org", "", "@example.org", "ada@", "ada@localhost"]},
     {"/to/1", "/to/2", "/to/3", "/to/4"}),
    ({"to": [1, None, {}, [], True]}, {"/to/0", "/to/1", "/to/2/email", "/to/3", "/to/4"}),
    ({"to": ["jürgen@example.org"]}, {"/to/0"}),
    ({"to": ["a" * 65 + "@example.org", "a@" + "b" * 64 + ".org", "a@" + "b." * 160 + "org"]},
     {"/to/0", "/to/1", "/to/2"}),
    ({"to": ["a@[127.0.0.1]", "a@exa mple.org", "a@example..org", "a@-example.org"]},
     {"/to/0", "/to/1", "/to/2", "/to/3"}),
    ({"to": ["a@xn--zzzzzzzzz99999.org"]}, {"/to/0"}),
    ({"to": ["ada@example.org", "ADA@EXAMPLE.ORG"]}, {"/to"}),
    ({"cc": ["ada@example.org"]},
     {"/cc"}),
    ({"bcc": ["bob@example.org", "ada@example.org"]}, {"/bcc"}),
    ({"to": [f"u{n}@example.org" for n in range(900)], "cc": [f"v{n}@example.org" for n in range(101)]},
     {"/cc"}),
    ({"reply_to": ["x"]}, {"/reply_to/0"}),
    ({"reply_to": [f"u{n}@example.org" for n in range(26)]}, {"/reply_to"}),
    # bodies
    ({"text": None}, {"/html"}),
    ({"text": ""}, {"/text"}),
    ({"text": 7, "html": ["x"]}, {"/text", "/html"}),
    ({"text": "a\0b"}, {"/text"}),
    ({"html": "\udcff"}, {"/html"}),
    # labels
    ({"tags": ["a", "a"]}, {"/tags"}),
    ({"tags": ["x" * 129, "", "a\nb", 5]}, {"/tags/0", "/tags/1", "/tags/2", "/tags/3"}),
    ({"tags": [str(n) for n in range(11)]}, {"/tags"}),
    ({"metadata": {"k": 1, "n": None, "d": {}}}, {"/metadata/k", "/metadata/n", "/metadata/d"}),
    ({"metadata": {"k" * 65: "v", "": "v"}}, {"/metadata/" + "k" * 65, "/metadata/"}),
    ({"metadata": {"k": "v" * 501}}, {"/metadata/k"}),
    ({"metadata": {"a\0": "v", "b": "\0"}}, {"/metadata/a\0", "/metadata/b"}),
    ({"metadata": {"a/b~c": 1}}, {"/metadata/a~1b~0c"}),
    ({"metadata": {str(n): "v" for n in range(21)}}, {"/metadata"}),
    # times
    ({"send_at": "tomorrow"}, {"/send_at"}),
    ({"send_at": "2030-01-01"}, {"/send_at"}),
    ({"send_at": "2030-01-01T10:00:00"}, {"/send_at"}),
    ({"send_at": "2030-02-30T10:00:00Z"}, {"/send_at"}),
    ({"send_at": "2030-01-01T24:61:00Z"}, {"/send_at"}),
    ({"send_at": "2030-01-01T10:00:00+99:99"}, {"/send_at"}),
    ({"send_at": "0001-01-01T00:00:00+14:00"}, {"/send_at"}),
    ({"send_at": "9999-12-31T23:59:59-14:00"}, {"/send_at"}),
    ({"send_at": "٢٠٣٠-01-01T10:00:00Z"}, {"/send_at"}),
    ({"send_at": 1893456000}, {"/send_at"}),
    ({"send_at": True}, {"/send_at"}),
    ({"send_at": "2027-01-02T00:00:00Z", "expires_at": "2027-01-01T00:00:00Z"}, {"/expires_at"}),
    # treatment
    ({"email_type": ""}, {"/email_type"}),
    ({"email_type": "x" * 51}, {"/email_type"}),
    ({"email_type": 5}, {"/email_type"}),
    ({"on_unknown": "guess"}, {"/on_unknown"}),
    ({"routing": {"max_cost": 1}}, {"/routing/max_cost"}),
    ({"routing": {"max_cost": "0,1", "pinned": "a", "policy": "cheap"}},
     {"/routing/max_cost", "/routing/pinned", "/routing/policy"}),
    ({"routing": {"pinned": ["a"], "excluded": ["a"]}}, {"/routing/excluded"}),
    ({"routing": None}, {"/routing"}),
    ({"track": {"opens": "yes", "clicks": 1}}, {"/track/opens", "/track/clicks"}),
    # what is not offered yet, or never
    ({"template": "x", "attachments": [{}], "campaign_id": "x", "variables": {}},
     {"/template", "/attachments/0/content", "/campaign_id", "/subject", "/text"}),
    ({"sender": "a@example.com"}, {"/sender"}),
    ({"__proto__": {}, "user_id": "x", "a\udc80": 1}, {"/__proto__", "/user_id", "/a?"}),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "wrong"), WRONG_FIELDS)
def test_every_wrong_field_of_an_email_is_named(
    world: World, member: Caller, changes: dict[str, Any], wrong: set[str]
) -> None:
    raw = json.dumps({**EMAIL, **changes})
    answer = member.post("/v1/emails", data=raw, content_type="application/json")
    assert_problem(answer, 422)
    assert fields(answer) == wrong
    assert all(error["code"] and error["detail"] for error in answer.get_json()["errors"])
    assert world.count("email_jobs", member) == 0


def test_all_that_is_wrong_is_said_at_once(member: Caller) -> None:
    answer = member.post(
        "/v1/emails",
        {
            "to": ["x"],
            "subject": "a\nb",
            "tags": ["a", "a"],
            "metadata": {"k": 1},
            "surprise": "\0",
            "cc": ["y"],
            # These are right in themselves; the database knows better.
            "email_type": "undeclared",
            "send_at": "2020-01-01T00:00:00Z",
            "routing": {"pinned": ["nowhere"]},
        },
        headers={"Idempotency-Key": "with blank"},
    )
    assert answer.status_code == 422
    assert fields(answer) == {
        "/from", "/to/0", "/subject", "/html", "/tags", "/metadata/k", "/surprise", "/cc/0", "Idempotency-Key",
        "/email_type", "/send_at", "/routing/pinned",
    }  # fmt: skip


def test_wrong_providers_and_rules_are_told_all_at_once_too(member: Caller) -> None:
    provider = {
        "kind": "sendgrid",
        "config": {"base_url": "nonsense"},
        "base_cost": 1,
        "quota": {"daily": -1},
    }
    answer = member.post("/v1/providers", provider)
    assert fields(answer) == {
        "/name", "/base_cost", "/quota/daily", "/config/base_url", "/credentials/api_key",
    }  # fmt: skip
    member.provider("a")
    rule = {
        "email_type": "undeclared",
        "default_provider": "a",
        "fallback_providers": ["a", 7, "b\0"],
        "priority": "1",
    }
    answer = member.post("/v1/routing-rules", rule)
    assert fields(answer) == {
        "/email_type", "/fallback_providers/0", "/fallback_providers/1", "/fallback_providers/2", "/priority",
    }  # fmt: skip


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"nonsense",
        b'{"a":1,}',
        b'{"a":1}{',
        b"{'a':1}",
        b'{"subject":"\xff"}',
        b'{"subject":"\xed\xa0\x80"}',
        b"\xef\xbb\xbf{}",
        '{"a":1}'.encode("utf-16"),
        b'{"subject":"a","subject":"b"}',
        b'{"metadata":{"a":"1","a":"2"}}',
        b'{"priority":NaN}',
        b'{"priority":-Infinity}',
        b'{"priority":1e999}',
        b'{"priority":' + b"9" * 5000 + b"}",
        b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"a":' * 33 + b"1" + b"}" * 33,
        b'{"a":' + b"[" * 40 + b"]" * 40 + b"}",
        b'{"subject":"a\nb"}',
        b'{"subject":"\\x"}',
    ],
)  # fmt: skip
def test_what_is_no_strict_json_is_400(member: Caller, raw: bytes) -> None:
    answer = member.post("/v1/emails", data=raw, content_type="application/json")
    assert_problem(answer, 400)
    assert answer.get_json()["type"] == "/problems/malformed-json"


@pytest.mark.parametrize(
    "raw",
    [b"[]", b"null", b"1", b'"{}"', b"true", b'"' + json.dumps(json.dumps(EMAIL))[1:-1].encode() + b'"'],
)
def test_json_that_is_no_object_is_422(member: Caller, raw: bytes) -> None:
    answer = member.post("/v1/emails", data=raw, content_type="application/json")
    assert_problem(answer, 422)
    assert answer.get_json()["errors"][0]["code"] == "not_an_object"


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "multipart/form-data; boundary=x"},
        {"Content-Type": ""},
        {"Content-Type": "application/json; charset=latin-1"},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
    ],
)
def test_what_does_not_say_it_is_plain_json_is_415(member: Caller, headers: dict[str, str]) -> None:
    answer = member.post("/v1/emails", data=json.dumps(EMAIL), headers=headers)
    assert_problem(answer, 415)


class Endless(io.RawIOBase):
    """A body that counts how much of it was read."""

    def __init__(self, size: int) -> None:
        self.left, self.read_bytes = size, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        count = min(len(buffer), self.left)
        buffer[:count] = b" " * count
        self.left -= count
        self.read_bytes += count
        return count


@pytest.mark.parametrize("announced", [True, False])
def test_sixty_megabytes_are_413_and_not_read(world: World, member: Caller, announced: bool) -> None:
    body = Endless(60_000_000)
    environ: dict[str, Any] = {"wsgi.input": body, "wsgi.input_terminated": not announced}
    if announced:
        environ["CONTENT_LENGTH"] = "60000000"
    answer = member.post("/v1/emails", content_type="application/json", environ_overrides=environ)
    assert_problem(answer, 413)
    limit = world.deps.limits.max_body_bytes
    assert body.read_bytes <= (0 if announced else limit + 1_000_000)


def test_the_limit_of_recipients_can_be_set(world: World, member: Caller) -> None:
    strict = Caller(world.with_limits(max_recipients=2), member.user_id, member.public_id, member.key)
    answer = strict.post("/v1/emails", {**EMAIL, "cc": ["b@example.org", "c@example.org"]})
    assert fields(answer) == {"/cc"}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/v1", 404),
        ("GET", "/v1/emails/", 404),
        ("GET", "//v1/emails", 404),
        ("GET", "/v1/emails/7", 404),
        ("GET", "/v1/emails/%00", 404),
        ("GET", "/v1/emails/../../etc/passwd", 404),
        ("GET", "/v1/%ff%fe", 404),
        ("PUT", "/v1/emails", 405),
        ("DELETE", "/healthz", 405),
        ("TRACE", "/v1/emails", 405),
        ("BREW", "/v1/emails", 405),
    ],
)
def test_unknown_paths_and_methods_are_problems_too(
    member: Caller, method: str, path: str, status: int
) -> None:
    answer = member.ask(method, path)
    assert_problem(answer, status)
    if status == 405:
        assert answer.headers["Allow"]


@pytest.mark.parametrize(
    ("given", "kept"), [("abc-1.2_3", True), ("a b", False), ("x" * 65, False), ("a;b", False), ("", False)]
)
def test_a_request_id_is_kept_where_it_is_harmless(member: Caller, given: str, kept: bool) -> None:
    answer = member.get("/v1/emails", headers={"X-Request-Id": given})
    assert (answer.headers["X-Request-Id"] == given) == kept
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_a_defect_is_a_problem_with_an_id_and_says_nothing_of_the_inside(
    world: World, member: Caller, capfd: pytest.CaptureFixture[str]
) -> None:
    world.sql("ALTER TABLE email_queue RENAME TO gone")
    answer = member.post("/v1/emails", {**EMAIL, "subject": "a secret subject"})
    world.sql("ALTER TABLE gone RENAME TO email_queue")
    assert_problem(answer, 500)
    assert "email_queue" not in answer.text
    logged = "".join(capfd.readouterr())
    assert answer.get_json()["request_id"] in logged
    assert "a secret subject" not in logged
    assert "ada@example.org" not in logged
