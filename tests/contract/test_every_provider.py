"""What every provider promises. An adapter that passes this can be sent through."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from domain.attempt import Outcome
from domain.errors import (
    OutcomeUnknown,
    ProviderError,
    ProviderUnavailable,
    RateLimited,
    Rejected,
    Unsupported,
)
from domain.message import Address, Attachment, Submission
from domain.ports import Provider
from providers.registry import KINDS
from providers.world import Timeouts
from tests.contract.certificates import Authority
from tests.contract.driver import MEANINGS, SECRET, Driver
from tests.contract.drivers import DRIVERS
from tests.contract.emails import ENDLESS, PATIENT, QUICK, a_world, an_email, new_id
from tests.contract.servers import Does


@pytest.fixture
def provider(driver: Driver) -> Iterator[Provider]:
    built = driver.provider(a_world(PATIENT))
    yield built
    built.close()


def failure_of(provider: Provider, submission: Submission | None = None) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        provider.send(submission or an_email(), new_id())
    provider.close()
    return caught.value


# -- an email arrives as it was given ------------------------------------------------------------------------


def test_every_part_of_an_email_arrives_as_it_was_given(driver: Driver, provider: Provider) -> None:
    submission, attempt = driver.rich_email(), new_id()
    result = provider.send(submission, attempt)
    (received,) = driver.received()
    message, envelope = submission.message, submission.envelope
    assert result.provider_message_id
    assert (received.attempt, received.email) == (str(attempt), str(submission.id))
    assert received.sender == (envelope.sender.email, envelope.sender.name)
    assert received.to == [(r.address.email, r.address.name) for r in envelope.recipients if r.kind == "to"]
    assert received.cc == [(r.address.email, r.address.name) for r in envelope.recipients if r.kind == "cc"]
    assert received.reply_to == [(a.email, a.name) for a in envelope.reply_to]
    assert received.envelope == {r.address.email for r in envelope.recipients}
    assert received.subject.strip() == message.subject.strip()
    assert (received.text or "").rstrip("\n") == (message.text or "").rstrip("\n")
    assert (received.html or "").rstrip("\n") == (message.html or "").rstrip("\n")
    for name, value in message.headers:
        assert received.headers[name] == value
    assert sorted(received.files) == sorted(
        (a.filename, driver.told(a.content_type), a.content, a.content_id) for a in message.attachments
    )


def test_a_hidden_recipient_stands_nowhere_in_what_others_see(wired: Driver) -> None:
    provider = wired.provider(a_world())
    provider.send(wired.rich_email(), new_id())
    provider.close()
    (received,) = wired.received()
    assert "secret@recipient.example" in received.envelope
    shown = repr((received.headers, received.to, received.cc, received.text, received.html))
    assert "secret@" not in shown
    assert "Nobody knows" not in shown


@pytest.mark.parametrize("size", [0, 1, 56, 57, 58, 4096, 700_001])
def test_an_attachment_of_any_size_stays_byte_for_byte(driver: Driver, provider: Provider, size: int) -> None:
    content = (bytes(range(256)) * (size // 256 + 1))[:size]
    submission = an_email(attachments=(Attachment("x.pdf", "application/pdf", content),))
    try:
        provider.send(submission, new_id())
    except Unsupported:
        assert size == 0  # an adapter may say that its provider has no empty files
        assert driver.attempts_on_the_wire == 0
        return
    assert driver.received()[0].files == [("x.pdf", "application/pdf", content, None)]


def test_twenty_threads_share_a_provider(driver: Driver, provider: Provider) -> None:
    attempts = [new_id() for _ in range(100)]
    with ThreadPoolExecutor(20) as pool:
        results = list(pool.map(lambda attempt: provider.send(an_email(), attempt), attempts))
    assert sorted(r.attempt for r in driver.received()) == sorted(map(str, attempts))
    assert len({r.provider_message_id for r in results}) == len(attempts)


def test_connections_are_reused(wired: Driver) -> None:
    provider = wired.provider(a_world())
    for _ in range(10):
        provider.send(an_email(), new_id())
    provider.close()
    assert wired.server.connections == 1
    assert len(wired.received()) == 10


# -- what went wrong, and could it have been accepted? -------------------------------------------------------


@pytest.mark.parametrize("does", MEANINGS, ids=lambda d: d.name.lower())
def test_a_failure_means_what_it_can_prove(driver: Driver, does: Does) -> None:
    if does not in driver.modes:
        pytest.skip(f"{driver.name} has no way to {does.value}")
    driver.behave(does)
    silent = does in (Does.HANG, Does.DRIP)
    began = time.monotonic()
    error = failure_of(driver.provider(a_world(QUICK if silent else PATIENT)))
    assert type(error) is MEANINGS[does]
    assert driver.attempts_on_the_wire == 1  # never a second try by itself
    assert time.monotonic() - began < ENDLESS


@pytest.mark.parametrize("does", MEANINGS, ids=lambda d: d.name.lower())
def test_a_failure_tells_no_secrets(driver: Driver, does: Does) -> None:
    if does not in driver.modes or does in (Does.HANG, Does.DRIP):
        pytest.skip("nothing is said")
    driver.behave(does)
    submission = driver.rich_email()
    error = failure_of(driver.provider(a_world()), submission)
    told = f"{error} {error.detail} {error.args}"
    assert SECRET not in told
    assert "@" not in told
    assert submission.message.subject not in told
    assert len(error.detail) <= 400


def test_a_rate_limit_says_when_to_come_back(driver: Driver) -> None:
    driver.behave(Does.RATE_LIMIT)
    error = failure_of(driver.provider(a_world()))
    assert isinstance(error, RateLimited)
    # SMTP has no words for it, and Postmark uses none.
    assert error.retry_after == 7 or driver.name.startswith(("smtp", "postmark"))


def test_a_provider_serves_again_after_every_failure(driver: Driver) -> None:
    provider = driver.provider(a_world())
    # Credentials are asked for once per connection, so a kept one would not notice.
    for does in sorted(driver.modes - {Does.HANG, Does.DRIP, Does.REFUSE_CREDENTIALS}, key=lambda d: d.name):
        driver.behave(does)
        if not driver.on_the_wire:
            provider = driver.provider(a_world())
        with pytest.raises(ProviderError):
            provider.send(an_email(), new_id())
        driver.behave(Does.ACCEPT)
        if not driver.on_the_wire:
            provider = driver.provider(a_world())
        attempt = new_id()
        provider.send(an_email(), attempt)
        assert driver.received()[-1].attempt == str(attempt)
    provider.close()


def test_nobody_listening_is_not_sent(wired: Driver) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        error = failure_of(wired.provider_at(unused.getsockname()[1], a_world()))
    assert type(error) is ProviderUnavailable
    assert "refused" in error.detail


def test_a_connection_that_is_never_made_is_not_sent(wired: Driver) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        port = full.getsockname()[1]
        waiting = [socket.socket() for _ in range(3)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", port))
        error = failure_of(wired.provider_at(port, a_world(Timeouts(0.3, 0.3, 0.8))))
        for one in waiting:
            one.close()
    assert type(error) is ProviderUnavailable


def test_an_untrusted_certificate_ends_it_before_a_byte_of_the_email(wired: Driver) -> None:
    error = failure_of(wired.distrusting(a_world()))
    assert type(error) is ProviderUnavailable
    assert "self" in error.detail or "certificate" in error.detail
    assert wired.server.emails == 0


def test_a_kept_connection_that_the_server_closed_is_noticed_before_the_next_send(wired: Driver) -> None:
    provider = wired.provider(a_world())
    provider.send(an_email(), new_id())
    wired.server.drop_connections()
    time.sleep(0.05)
    provider.send(an_email(), new_id())
    provider.close()
    assert wired.server.connections == 2
    assert len(wired.received()) == 2


def test_a_dripping_provider_does_not_hold_a_thread_beyond_the_total(wired: Driver) -> None:
    provider = wired.provider(a_world(Timeouts(connect=1, read=0.5, total=0.7)))
    provider.send(an_email(), new_id())  # what is timed is the answer, not the greeting
    wired.behave(Does.DRIP)
    began = time.monotonic()
    with pytest.raises(OutcomeUnknown):
        provider.send(an_email(), new_id())
    provider.close()
    assert 0.6 <= time.monotonic() - began < ENDLESS


# -- before the wire -----------------------------------------------------------------------------------------


def test_what_a_provider_cannot_express_is_refused_before_a_connection(
    driver: Driver, provider: Provider
) -> None:
    limit = provider.capabilities.max_recipients
    if limit is None:
        pytest.skip("carries anything")
    many = tuple(Address(f"r{n}@recipient.example") for n in range(limit + 1))
    with pytest.raises(Unsupported, match="recipients"):
        provider.send(an_email(to=many), new_id())
    assert driver.attempts_on_the_wire == 0
    assert driver.server.connections == 0


def test_an_address_beyond_ascii_is_not_sent_to_somebody_else(driver: Driver, provider: Provider) -> None:
    with pytest.raises(Unsupported):
        provider.send(an_email(to=(Address("jürgen@recipient.example"),)), new_id())
    assert driver.attempts_on_the_wire == 0


@pytest.mark.parametrize(
    "unsafe",
    [
        an_email(headers=(("X-A\r\nBcc: x@evil.example\r\nX-B", "v"),)),
        an_email(headers=(("X-A", "v\r\nBcc: x@evil.example"),)),
        an_email(headers=(("X-A", "v\nBcc: x@evil.example"),)),
        an_email(headers=(("Bcc", "x@evil.example"),)),
        an_email(headers=(("X-Mailmux-Attempt", "forged"),)),
        an_email(subject="a\r\nBcc: x@evil.example"),
        an_email(subject="=?utf-8?q?a=0ABcc:_x@evil.example?="),
        an_email(sender=Address("shop@sender.example", "A\r\nBcc: x@evil.example")),
        an_email(to=(Address("a@recipient.example>\r\nRCPT TO:<x@evil.example"),)),
        an_email(to=(Address("a@recipient.example, x@evil.example"),)),
        an_email(to=(Address("<x@evil.example>@recipient.example"),)),
        an_email(attachments=(Attachment("a\r\nX: y", "text/plain", b""),)),
        an_email(attachments=(Attachment("a", "text/plain\r\nX: y", b""),)),
        an_email(attachments=(Attachment("a", "text/plain", b"", content_id="a>\r\nX: <y"),)),
    ],
    ids=lambda _: None,
)  # fmt: skip
def test_what_could_become_a_header_or_a_recipient_is_refused_before_a_connection(
    driver: Driver, provider: Provider, unsafe: Submission
) -> None:
    with pytest.raises(Rejected) as caught:
        provider.send(unsafe, new_id())
    assert "evil" not in str(caught.value)
    assert driver.attempts_on_the_wire == 0


# -- the connection check ------------------------------------------------------------------------------------


def test_a_check_passes_and_sends_nothing(driver: Driver, provider: Provider) -> None:
    provider.check()
    assert driver.received() == []


def test_a_check_finds_bad_credentials(driver: Driver) -> None:
    driver.behave(Does.REFUSE_CREDENTIALS)
    provider = driver.provider(a_world())
    with pytest.raises(ProviderError) as caught:
        provider.check()
    provider.close()
    assert caught.value.code == "misconfigured"
    assert SECRET not in str(caught.value)


def test_a_check_finds_nobody_listening(wired: Driver) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        provider = wired.provider_at(unused.getsockname()[1], a_world(QUICK))
        with pytest.raises(ProviderUnavailable):
            provider.check()
        provider.close()


def test_every_error_says_its_outcome(driver: Driver, authority: Authority) -> None:
    for does in sorted(driver.modes & {Does.REJECT, Does.CLOSE, Does.UNAVAILABLE}, key=lambda d: d.name):
        fresh = DRIVERS[_key(driver)](authority)
        fresh.behave(does)
        error = failure_of(fresh.provider(a_world()))
        assert error.outcome is (Outcome.UNKNOWN if does is Does.CLOSE else Outcome.NOT_SENT)
        assert error.provider.startswith("the-")
        fresh.stop()


def _key(driver: Driver) -> str:
    return next(key for key, kind in DRIVERS.items() if kind is type(driver))


def test_every_kind_of_provider_is_in_the_suite() -> None:
    assert set(KINDS) <= set(DRIVERS)
