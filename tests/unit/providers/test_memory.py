"""The provider that opens no connection does what its script says."""

from __future__ import annotations

import pytest

from domain.capabilities import Capabilities
from domain.errors import OutcomeUnknown, ProviderUnavailable, RateLimited, Rejected, Unsupported
from providers import registry
from providers.memory import Answer, Config, MemoryProvider
from providers.world import World
from tests.builders import NOW, a_submission, new_id
from tests.unit.workers.test_doorbell import Clock


def test_a_script_answers_the_first_calls_and_the_settings_the_rest() -> None:
    provider = MemoryProvider(script=[Answer.UNAVAILABLE, RateLimited("x", "y", 3), Answer.ACCEPTED])
    with pytest.raises(ProviderUnavailable):
        provider.send(a_submission(), new_id())
    with pytest.raises(RateLimited) as caught:
        provider.send(a_submission(), new_id())
    assert caught.value.retry_after == 3
    attempt = new_id()
    assert provider.send(a_submission(), attempt).provider_message_id == f"memory-{attempt}"
    provider.send(a_submission(), new_id())
    assert len(provider.calls) == 4
    assert len(provider.sent) == 2


def test_a_recipient_decides_by_its_address() -> None:
    provider = MemoryProvider(config=Config(answers={"Bounce@example.com": Answer.REJECTED}))
    with pytest.raises(Rejected):
        provider.send(a_submission(to=("ok@example.com", "bounce@EXAMPLE.com")), new_id())
    provider.send(a_submission(to=("ok@example.com",)), new_id())
    assert len(provider.sent) == 1


def test_an_unknown_may_have_been_taken_or_not() -> None:
    provider = MemoryProvider(script=[Answer.UNKNOWN, Answer.TAKEN_BUT_UNKNOWN])
    for taken in (0, 1):
        with pytest.raises(OutcomeUnknown):
            provider.send(a_submission(), new_id())
        assert len(provider.sent) == taken


def test_what_it_cannot_express_does_not_count_as_a_call() -> None:
    provider = MemoryProvider(can=Capabilities(max_recipients=1))
    with pytest.raises(Unsupported):
        provider.send(a_submission(to=("a@example.com", "b@example.com")), new_id())
    assert provider.calls == ()


def test_every_answer_can_be_given() -> None:
    for answer in Answer:
        provider = MemoryProvider(config=Config(answer=answer))
        if answer is Answer.ACCEPTED:
            provider.send(a_submission(), new_id())
            continue
        with pytest.raises(Exception, match="as scripted"):
            provider.send(a_submission(), new_id())


def test_an_account_of_the_service_remembers_nothing_of_what_it_was_given() -> None:
    config, credentials = registry.validate("memory", {}, {})
    world = World(clock=Clock(), wall_time=lambda: NOW)
    built = registry.build("memory", "mine", config, credentials, world)
    assert isinstance(built, MemoryProvider)
    built.send(a_submission(), new_id())
    assert (built.sent, built.calls) == ((), ())
