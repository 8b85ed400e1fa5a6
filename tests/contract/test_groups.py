"""Emails whose answers one thread waits for end as they would alone, and never hold each other up."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from domain.attempt import SendResult
from domain.errors import OutcomeUnknown, ProviderError, Rejected
from domain.message import Address, Submission
from domain.ports import GroupProvider, Letter
from providers import registry
from providers.world import Timeouts
from tests.contract.certificates import Authority
from tests.contract.driver import MEANINGS, SECRET, Driver
from tests.contract.drivers import DRIVERS
from tests.contract.emails import ENDLESS, PATIENT, QUICK, a_world, an_email, new_id
from tests.contract.servers import Does, HTTPServer, Listener

GROUP = 4


@pytest.fixture(
    params=sorted(n for n in DRIVERS if not n.startswith(("memory", "smtp", "gmail", "microsoft")))
)
def spoken(request: pytest.FixtureRequest, authority: Authority) -> Iterator[Driver]:
    """A driver whose provider speaks HTTP."""
    built = DRIVERS[request.param](authority)
    yield built
    built.stop()


def a_group(count: int = GROUP) -> list[Letter]:
    return [Letter(an_email(), new_id()) for _ in range(count)]


def known(driver: Driver, timeouts: Timeouts) -> GroupProvider:
    """A provider to which as many connections are kept as a group needs."""
    provider = driver.provider(a_world(timeouts))
    assert isinstance(provider, GroupProvider)
    assert isinstance(driver.server, HTTPServer)
    driver.server.together = threading.Barrier(GROUP)
    with ThreadPoolExecutor(GROUP) as pool:
        list(pool.map(lambda _: provider.send(an_email(), new_id()), range(GROUP)))
    driver.server.together = None
    assert driver.server.connections == GROUP
    return provider


def ends(provider: GroupProvider, letters: list[Letter]) -> dict[int, SendResult | ProviderError | None]:
    return {place: result for place, result, _ in provider.send_group(letters, lambda: True)}


@pytest.mark.parametrize("does", MEANINGS, ids=lambda d: d.name.lower())
def test_a_failure_in_a_group_means_what_it_means_alone(spoken: Driver, does: Does) -> None:
    provider = known(spoken, QUICK if does in (Does.HANG, Does.DRIP) else PATIENT)
    before = spoken.attempts_on_the_wire
    spoken.behave(does)
    began = time.monotonic()
    found = ends(provider, a_group())
    provider.close()
    assert [type(found[n]) for n in range(GROUP)] == [MEANINGS[does]] * GROUP
    assert spoken.attempts_on_the_wire - before == GROUP  # never a second try by itself
    assert time.monotonic() - began < ENDLESS


def test_every_email_of_a_group_arrives_once_with_its_own_answer(spoken: Driver) -> None:
    provider = known(spoken, PATIENT)
    letters = a_group()
    found = ends(provider, letters)
    again = ends(provider, letters[:1])  # the connections serve the next ones
    provider.close()
    results = [found[n] for n in range(GROUP)]
    assert all(isinstance(r, SendResult) for r in [*results, again[0]])
    assert len({r.provider_message_id for r in results if isinstance(r, SendResult)}) == GROUP
    arrived = [r.attempt for r in spoken.received()][GROUP : 2 * GROUP]
    assert sorted(arrived) == sorted(str(letter.attempt_id) for letter in letters)
    assert spoken.server.connections == GROUP


def test_without_kept_connections_everything_goes_by_itself(spoken: Driver) -> None:
    provider = spoken.provider(a_world(PATIENT))
    assert isinstance(provider, GroupProvider)
    assert ends(provider, a_group()) == dict.fromkeys(range(GROUP))
    provider.close()
    assert spoken.server.emails == 0


def test_what_cannot_be_sent_is_refused_and_the_others_go(spoken: Driver) -> None:
    provider = known(spoken, PATIENT)
    letters = a_group()
    letters[1] = Letter(an_email(to=(Address("no mailbox"),)), new_id())
    found = ends(provider, letters)
    provider.close()
    assert isinstance(found[1], Rejected)
    assert [type(found[n]) for n in (0, 2, 3)] == [SendResult] * 3


def test_nothing_more_is_sent_once_it_is_to_stop(spoken: Driver) -> None:
    provider = known(spoken, PATIENT)
    asked = iter([True, True, False])
    found = {place for place, _, _ in provider.send_group(a_group(), lambda: next(asked))}
    provider.close()
    assert found == {0, 1}
    assert spoken.server.emails == GROUP + 2


# -- a server that treats each email in its own way ----------------------------------------------------------


class Whimsical(Listener):
    """Answers 202 to all emails but those whose subject says otherwise."""

    def serve(self, connection: socket.socket) -> None:
        came = b""
        while piece := connection.recv(65_536):
            came += piece
            head, end, body = came.partition(b"\r\n\r\n")
            fields = head.lower().split(b"content-length: ")
            if not end or len(body) < int(fields[1].split(b"\r\n")[0]):
                continue
            came = b""
            answer = b"HTTP/1.1 202 Accepted\r\nX-Message-Id: x\r\nContent-Length: 0\r\n\r\n"
            if b"silence" in body:
                self.stopping.wait()
                return
            if b"rubbish" in body:
                answer = b"what?\r\n\r\n"
            if b"piecemeal" in body:
                for start in range(0, len(answer), 9):
                    connection.sendall(answer[start : start + 9])
                    time.sleep(0.02)
                continue
            time.sleep(0.1)  # so that each email of a group has a connection of its own
            connection.sendall(answer)


@pytest.fixture(params=["plain", "tls"])
def whimsical(
    request: pytest.FixtureRequest, authority: Authority
) -> Iterator[tuple[Listener, GroupProvider]]:
    secure = request.param == "tls"
    server = Whimsical(authority.server_context() if secure else None)
    url = f"http{'s' if secure else ''}://127.0.0.1:{server.port}"
    valid = registry.validate("sendgrid", {"base_url": url}, {"api_key": SECRET}, ("127.0.0.1",))
    provider = registry.build("sendgrid", "x", *valid, a_world(Timeouts(2, 0.6, 1.0), ca_file=authority.ca))
    assert isinstance(provider, GroupProvider)
    with ThreadPoolExecutor(GROUP) as pool:
        list(pool.map(lambda _: provider.send(an_email(), new_id()), range(GROUP)))
    yield server, provider
    provider.close()
    server.stop()


def about(subject: str) -> Submission:
    return an_email(subject=subject)


def test_one_that_is_silent_holds_nobody_up(whimsical: tuple[Listener, GroupProvider]) -> None:
    _, provider = whimsical
    letters = [Letter(about(s), new_id()) for s in ("silence", "a", "piecemeal", "b")]
    began = time.monotonic()
    found = []
    for place, result, seconds in provider.send_group(letters, lambda: True):
        found.append((place, type(result), time.monotonic() - began, seconds))
    assert [kind for _, kind, _, _ in sorted(found)] == [OutcomeUnknown, SendResult, SendResult, SendResult]
    assert found[-1][0] == 0
    assert all(when < 0.55 for place, _, when, _ in found if place)
    assert 0.5 < found[-1][3] < 1.5


def test_one_that_talks_rubbish_spoils_only_its_own(whimsical: tuple[Listener, GroupProvider]) -> None:
    _, provider = whimsical
    letters = [Letter(about(s), new_id()) for s in ("a", "rubbish", "b", "rubbish")]
    found = ends(provider, letters)
    assert [type(found[n]) for n in range(GROUP)] == [SendResult, OutcomeUnknown, SendResult, OutcomeUnknown]


def test_who_stops_listening_to_a_group_leaves_no_connection_in_use(
    whimsical: tuple[Listener, GroupProvider],
) -> None:
    _, provider = whimsical
    group = provider.send_group(a_group(), lambda: True)
    next(iter(group))
    close = getattr(group, "close")  # noqa: B009  # a generator's
    close()
    result = provider.send(an_email(), new_id())
    assert isinstance(result, SendResult)


def test_a_connection_that_was_closed_is_not_used_for_a_group(spoken: Driver) -> None:
    provider = known(spoken, PATIENT)
    spoken.server.drop_connections()
    time.sleep(0.05)
    found = ends(provider, a_group())
    provider.close()
    assert found == dict.fromkeys(range(GROUP))


@pytest.mark.parametrize("slow", [1, 2, 3])
def test_an_answer_that_came_counts_however_late_we_look(
    whimsical: tuple[Listener, GroupProvider], slow: int
) -> None:
    """The process was stopped meanwhile, or another email of the group took long to write."""
    _, provider = whimsical
    asked = iter(range(GROUP))

    def go_on() -> bool:
        if next(asked) == slow:
            time.sleep(0.9)
        return True

    found = {place: result for place, result, _ in provider.send_group(a_group(), go_on)}
    assert [type(found[n]) for n in range(GROUP)] == [SendResult] * GROUP


def test_answers_wait_for_who_is_slow_to_take_the_others(whimsical: tuple[Listener, GroupProvider]) -> None:
    _, provider = whimsical
    found = {}
    for place, result, _ in provider.send_group(a_group(), lambda: True):
        found[place] = type(result)
        time.sleep(0.3)
    assert found == dict.fromkeys(range(GROUP), SendResult)
