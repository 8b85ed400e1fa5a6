"""SendGrid's form of an email, and HTTP's ways to fail."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest

from domain.errors import (
    Misconfigured,
    NotAccepted,
    OutcomeUnknown,
    ProviderError,
    ProviderUnavailable,
    Rejected,
    Unsupported,
)
from domain.message import Address, Attachment, Disposition, Submission, Tracking
from domain.ports import Letter, Provider
from providers import answers, exchange, registry
from providers.calls import BatchProvider
from providers.world import Timeouts
from tests.contract.certificates import Authority
from tests.contract.driver import SECRET
from tests.contract.emails import ENDLESS, PATIENT, a_rich_email_for, a_world, an_email, new_id
from tests.contract.recorded import CONTRACTS
from tests.contract.servers import Headers, Listener, SendGridServer

SAMPLES = sorted((CONTRACTS / "requests" / "sendgrid").glob("*.json"))
SPEC = CONTRACTS / "specs" / "sendgrid.json"


@pytest.fixture
def server() -> Iterator[SendGridServer]:
    running = SendGridServer(SECRET)
    yield running
    running.stop()


def build(server: Listener, timeouts: Timeouts | None = None, **config: Any) -> Provider:
    settings = {"base_url": f"http://127.0.0.1:{server.port}", **config}
    valid = registry.validate("sendgrid", settings, {"api_key": SECRET})
    return registry.build("sendgrid", "the-sendgrid", *valid, a_world(timeouts or PATIENT))


def payload_of(server: SendGridServer, submission: Submission, **config: Any) -> dict[str, Any]:
    provider = build(server, **config)
    provider.send(submission, new_id())
    provider.close()
    return server.payloads[-1]


# -- the form --------------------------------------------------------------------------------------------


def test_what_was_not_asked_for_is_not_mentioned(server: SendGridServer) -> None:
    """So that the account's own settings hold."""
    payload = payload_of(server, an_email())
    assert set(payload) == {"personalizations", "from", "subject", "content"}
    assert set(payload["personalizations"][0]) == {"to", "custom_args"}
    assert set(payload["personalizations"][0]["custom_args"]) == {"mailmux_attempt", "mailmux_email"}


@pytest.mark.parametrize(
    ("tracking", "settings"),
    [
        (Tracking(opens=True), {"open_tracking": {"enable": True}}),
        (Tracking(clicks=False), {"click_tracking": {"enable": False}}),
        (Tracking(False, True), {"open_tracking": {"enable": False}, "click_tracking": {"enable": True}}),
    ],
)
def test_tracking_is_switched_as_wished(
    server: SendGridServer, tracking: Tracking, settings: dict[str, object]
) -> None:
    assert payload_of(server, an_email(tracking=tracking))["tracking_settings"] == settings


def test_tags_become_categories_or_the_email_goes_elsewhere(server: SendGridServer) -> None:
    assert payload_of(server, an_email(tags=("a", "b")))["categories"] == ["a", "b"]
    for tags in (tuple(f"t{n}" for n in range(11)), ("x" * 256, "y"), ("första", "y")):
        with pytest.raises(Unsupported, match="tag"):
            payload_of(server, an_email(tags=tags))


def test_metadata_travels_beside_our_ids_or_the_email_goes_elsewhere(server: SendGridServer) -> None:
    def args(**metadata: str) -> dict[str, str]:
        found: dict[str, str] = payload_of(server, an_email(metadata=metadata))["personalizations"][0][
            "custom_args"
        ]
        return found

    assert args(order="17")["order"] == "17"
    for metadata in (
        {"mailmux_attempt": "forged"},
        {"Event": "delivered", "order": "17"},  # it would write over the event's own field
        {"order": "x" * 10_001},
    ):
        with pytest.raises(Unsupported, match="metadata"):
            args(**metadata)


def test_sandbox_mode_validates_and_delivers_nothing(server: SendGridServer) -> None:
    payload = payload_of(server, an_email(), sandbox_mode=True)
    assert payload["mail_settings"] == {"sandbox_mode": {"enable": True}}


@pytest.mark.parametrize(
    "submission",
    [
        an_email(to=(Address("a@recipient.example"),), cc=(Address("A@Recipient.example"),)),
        an_email(to=(), bcc=(Address("a@recipient.example"),)),
        an_email(subject=""),
        an_email(text="", html=None),
        an_email(headers=(("X-A", "1"), ("x-a", "2"))),
        an_email(headers=(("X-SG-EID", "1"),)),
        an_email(attachments=(Attachment("empty.txt", "text/plain", b""),)),
        an_email(attachments=(Attachment("", "text/plain", b"x"),)),
        an_email(attachments=(Attachment("a.txt", "text/plain; charset=latin-1", b"x"),)),
        an_email(to=tuple(Address(f"r{n}@recipient.example") for n in range(1001))),
        an_email(attachments=(Attachment("big.bin", "application/octet-stream", bytes(32_000_000)),)),
    ],
    ids=[
        "twice", "no-to", "no-subject", "no-body", "header-twice", "reserved", "empty-file", "no-name", "latin-1",
        "1001", "32MB",
    ],
)  # fmt: skip
def test_what_sendgrid_cannot_express_is_refused_before_the_wire(
    server: SendGridServer, submission: Submission
) -> None:
    provider = build(server)
    with pytest.raises(Unsupported):
        provider.send(submission, new_id())
    provider.close()
    assert server.connections == 0


# -- the official document -----------------------------------------------------------


@pytest.mark.skipif(not SPEC.exists(), reason=f"no official document in {CONTRACTS}")
@pytest.mark.parametrize(
    "submission",
    [
        an_email(),
        a_rich_email_for("sendgrid"),
        an_email(
            html="<p>x</p>", text=None, tracking=Tracking(True, False), tags=("a", "b"), metadata={"a": "b"}
        ),
        an_email(attachments=(Attachment("x.png", "image/png", b"1", Disposition.INLINE, "x"),)),
    ],
    ids=["plain", "rich", "html", "inline"],
)
@pytest.mark.parametrize("sandbox_mode", [False, True])
def test_a_request_is_valid_by_the_official_document(
    server: SendGridServer, submission: Submission, sandbox_mode: bool
) -> None:
    document = json.loads(SPEC.read_text())
    body = document["components"]["requestBodies"]["PostMailSend"]["content"]["application/json"]["schema"]
    schema = {"$ref": "#/body", "body": body, "components": document["components"]}
    payload = payload_of(server, submission, sandbox_mode=sandbox_mode)
    validator = jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker())
    assert [e.message for e in validator.iter_errors(payload)] == []
    known = set(body["properties"])
    assert set(payload) <= known
    assert set(payload["personalizations"][0]) <= set(
        body["properties"]["personalizations"]["items"]["properties"]
    )


@pytest.mark.skipif(not SPEC.exists(), reason=f"no official document in {CONTRACTS}")
def test_a_shared_call_is_valid_by_the_official_document() -> None:
    document = json.loads(SPEC.read_text())
    body = document["components"]["requestBodies"]["PostMailSend"]["content"]["application/json"]["schema"]
    schema = {"$ref": "#/body", "body": body, "components": document["components"]}
    valid = registry.validate("sendgrid", {"shared_calls": True}, {"api_key": "k"})
    provider = registry.build("sendgrid", "one", *valid, a_world())
    assert isinstance(provider, BatchProvider)
    letters = [
        Letter(
            an_email(to=(Address(f"r{n}@recipient.example", f"Röd {n}"),), html="<p>x</p>", tags=("a",)),
            new_id(),
        )
        for n in range(1001)
    ]
    (full,) = provider.pack(letters, 5000)
    assert len(full.letters) == 1000
    assert isinstance(full.request, exchange.Request)
    payload = json.loads(full.request.body)
    assert [e.message for e in jsonschema.Draft202012Validator(schema).iter_errors(payload)] == []
    assert body["properties"]["personalizations"]["maxItems"] == len(payload["personalizations"]) == 1000
    assert set(payload) <= set(body["properties"])
    known = set(body["properties"]["personalizations"]["items"]["properties"])
    for letter, own in zip(full.letters, payload["personalizations"], strict=True):
        assert set(own) <= known
        assert [p["email"] for p in own["to"]] == [
            r.address.email for r in letter.submission.envelope.recipients
        ]
        assert own["custom_args"]["mailmux_attempt"] == str(letter.attempt_id)
    provider.close()


# -- the wire ------------------------------------------------------------------------------------------------


class RawServer(Listener):
    """Reads a whole request, then does `reaction`. `seen` are the requests."""

    def __init__(self, *reactions: bytes) -> None:
        self.reactions = list(reactions)
        self.seen = 0
        super().__init__()

    def serve(self, connection: socket.socket) -> None:
        with connection.makefile("rb") as stream:
            while True:
                length = 0
                if not stream.readline():
                    return
                while (line := stream.readline()) not in (b"\r\n", b""):
                    if line.lower().startswith(b"content-length:"):
                        length = int(line.split(b":")[1])
                stream.read(length)
                self.seen += 1
                if not self.reactions:
                    return
                connection.sendall(self.reactions.pop(0))
                if not self.reactions:
                    return


def outcome(*reactions: bytes, sends: int = 1) -> tuple[list[type[ProviderError] | None], RawServer]:
    server = RawServer(*reactions)
    provider = build(server, Timeouts(1, 0.4, 1))
    outcomes: list[type[ProviderError] | None] = []
    for _ in range(sends):
        try:
            provider.send(an_email(), new_id())
            outcomes.append(None)
        except ProviderError as error:
            outcomes.append(type(error))
    provider.close()
    server.stop()
    return outcomes, server


@pytest.mark.parametrize(
    ("answer", "meaning"),
    [
        (b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n", None),
        (b"HTTP/1.1 202 Accepted\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", None),
        (b"HTTP/1.0 202 Accepted\r\n\r\n", None),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n", None),
        (b"HTTP/1.1 202 Accepted\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", OutcomeUnknown),
        (b"HTTP/1.1 202 Accepted\r\nContent-Length: 9\r\n\r\n", OutcomeUnknown),
        (b"HTTP/1.1 202 Accepted\r\nContent-Le", OutcomeUnknown),
        (b"HTTP/1.1 202", OutcomeUnknown),
        (b"SSH-2.0-OpenSSH_9.2\r\n", OutcomeUnknown),
        (b"HTTP/1.1 abc\r\n\r\n", OutcomeUnknown),
        (b"HTTP/1.1 202 Accepted\r\n" + b"X: y\r\n" * 200 + b"\r\n", None),
        (b"HTTP/1.1 202 Accepted\r\nX: " + b"y" * 100_000 + b"\r\n\r\n", None),
        (b"HTTP/1.1 202 Accepted\r\nX: " + b"y" * 2_000_000 + b"\r\n\r\n", OutcomeUnknown),
        (b"HTTP/1.1 301 Moved\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", Misconfigured),
        (b"HTTP/1.1 400 Bad\r\nContent-Length: 0\r\n\r\n", Rejected),
        (b"HTTP/1.1 400 Bad\r\nContent-Length: 5\r\n\r\n{", OutcomeUnknown),
        (b"", OutcomeUnknown),
    ],
)
def test_an_answer_counts_only_when_it_is_whole(answer: bytes, meaning: type[ProviderError] | None) -> None:
    outcomes, server = outcome(answer)
    assert outcomes == [meaning]
    assert server.seen == 1


def test_a_redirect_is_not_followed_and_the_key_goes_nowhere_else(server: SendGridServer) -> None:
    moved = f"HTTP/1.1 307 Moved\r\nLocation: http://127.0.0.1:{server.port}/v3/mail/send\r\nContent-Length: 0\r\n\r\n"
    outcomes, _ = outcome(moved.encode())
    assert outcomes == [Misconfigured]
    assert server.requests == []


def test_a_server_that_answers_without_reading_is_heard(server: SendGridServer) -> None:
    class Impatient(Listener):
        def serve(self, connection: socket.socket) -> None:
            connection.recv(100)
            body = b'{"errors":[{"message":"content too large"}]}'
            head = b"HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body)
            connection.sendall(head + body)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(65_536):
                pass

    listener = Impatient()
    provider = build(listener)
    files = (Attachment("x.bin", "application/octet-stream", bytes(8_000_000)),)
    with pytest.raises(Unsupported, match="content too large"):
        provider.send(an_email(attachments=files), new_id())
    provider.close()
    listener.stop()


def test_a_server_that_stops_reading_holds_nobody_beyond_the_total() -> None:
    class Deaf(Listener):
        def serve(self, connection: socket.socket) -> None:
            connection.recv(100)
            self.stopping.wait()

    listener = Deaf()
    provider = build(listener, Timeouts(1, 0.3, 0.6))
    files = (Attachment("x.bin", "application/octet-stream", bytes(16_000_000)),)
    began = time.monotonic()
    with pytest.raises(OutcomeUnknown):
        provider.send(an_email(attachments=files), new_id())
    assert time.monotonic() - began < ENDLESS
    provider.close()
    listener.stop()


def test_no_answer_and_a_broken_one_are_told_apart() -> None:
    for answer, told in ((b"", "closed without an answer"), (b"HTTP/1.1 202", "broke off")):
        server = RawServer(answer)
        provider = build(server)
        with pytest.raises(OutcomeUnknown, match=told):
            provider.send(an_email(), new_id())
        provider.close()
        server.stop()


def test_a_kept_connection_that_closes_as_we_write_leaves_a_doubt() -> None:
    """The server may have read the request before it went: nobody can say, so nobody sends it again."""
    accepted = b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"
    outcomes, server = outcome(accepted, b"", sends=2)
    assert outcomes == [None, OutcomeUnknown]
    assert server.connections == 1


def test_a_connection_is_not_kept_where_the_server_will_close_it() -> None:
    accepted = b"HTTP/1.1 202 Accepted\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    server = RawServer(accepted, accepted, accepted)
    provider = build(server)
    provider.send(an_email(), new_id())
    provider.send(an_email(), new_id())
    provider.close()
    server.stop()
    assert server.connections == 2


def test_a_huge_answer_costs_no_more_memory_than_its_limit() -> None:
    size = answers.LARGEST_ANSWER + 1
    outcomes, _ = outcome(b"HTTP/1.1 202 Accepted\r\nContent-Length: %d\r\n\r\n" % size + bytes(size))
    assert outcomes == [OutcomeUnknown]


def test_surroundings_do_not_redirect_the_traffic(
    server: SendGridServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A proxy or a .netrc of the machine must not see the key."""
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login x password y\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    payload_of(server, an_email())
    assert server.requests[-1][2]["authorization"] == f"Bearer {SECRET}"


def test_a_key_without_the_right_to_send_is_found_by_the_check() -> None:
    class ReadOnly(SendGridServer):
        def answer(self, *_: object) -> tuple[int, Headers, bytes]:
            return 200, {"Content-Type": "application/json"}, b'{"scopes":["alerts.read"]}'

    server = ReadOnly(SECRET)
    provider = build(server)
    with pytest.raises(Misconfigured, match=r"mail\.send"):
        provider.check()
    provider.close()
    server.stop()


def test_a_base_url_may_have_a_path_before_the_api(server: SendGridServer) -> None:
    provider = build(server, base_url=f"http://127.0.0.1:{server.port}/relay/")
    with pytest.raises(NotAccepted):
        provider.send(an_email(), new_id())
    provider.close()
    assert server.requests[-1][1] == "/relay/v3/mail/send"


def test_a_wrong_host_name_ends_before_the_email(authority: Authority) -> None:
    server = SendGridServer(SECRET, authority.server_context())
    valid = registry.validate(
        "sendgrid", {"base_url": f"https://127.0.0.2:{server.port}"}, {"api_key": SECRET}
    )
    provider = registry.build("sendgrid", "x", *valid, a_world(ca_file=authority.ca))
    with pytest.raises(ProviderUnavailable):
        provider.send(an_email(), new_id())
    provider.close()
    server.stop()
    assert server.requests == []
