"""POST /v1/providers/{id}/suppressions/import: whom a provider lists comes onto the caller's list."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from domain.errors import Misconfigured
from providers.memory import MemoryProvider
from tests.integration.api.test_suppressions import listed
from tests.integration.api.world import Caller, World, fields


def import_page(caller: Caller, provider: object, **body: Any) -> Any:
    return caller.post(f"/v1/providers/{provider}/suppressions/import", body)


def test_pages_are_imported_one_by_one_and_a_repeat_does_no_harm(world: World, member: Caller) -> None:
    provider = member.provider("mine")
    first = import_page(member, provider).get_json()
    assert first == {"added": 1, "known": 0, "skipped": 0, "next_cursor": "2"}
    assert import_page(member, provider, cursor="2").get_json()["next_cursor"] is None
    assert import_page(member, provider).get_json()["known"] == 1
    assert [(e["address"], e["scope"], e["cause"], e["source"]) for e in listed(member)] == [
        (f"left{n}@example.net", "all", "hard_bounce", "imported from memory") for n in (2, 1)
    ]
    assert listed(world.user()) == []


def test_a_shared_accounts_lists_are_the_operators(world: World, member: Caller, operator: Caller) -> None:
    shared = operator.provider(f"shared-{operator.user_id}", shared=True)
    assert import_page(member, shared).status_code == 403
    assert import_page(operator, shared).status_code == 200


def test_what_is_no_cursor_is_named(member: Caller) -> None:
    answer = import_page(member, member.provider("mine"), cursor="nonsense")
    assert (answer.status_code, fields(answer)) == (422, {"/cursor"})


@contextmanager
def building(world: World, build: Any) -> Iterator[None]:
    """Accounts are built so for now."""
    usual = world.app.extensions["mailmux"]
    world.app.extensions["mailmux"] = replace(usual, build_provider=build)
    yield
    world.app.extensions["mailmux"] = usual


def test_a_provider_that_tells_nothing_is_409(world: World, member: Caller) -> None:
    provider = member.provider("mine")
    with building(world, lambda *_, **__: MemoryProvider()):
        assert import_page(member, provider).status_code == 409


def test_a_provider_that_refuses_is_502_and_says_why(world: World, member: Caller) -> None:
    provider = member.provider("mine")

    def refuse(*_: Any, **__: Any) -> Any:
        raise Misconfigured("mine", "401: wrong key")

    with building(world, refuse):
        answer = import_page(member, provider)
    assert (answer.status_code, answer.get_json()["code"]) == (502, "misconfigured")
    assert "wrong key" in answer.get_json()["detail"]
