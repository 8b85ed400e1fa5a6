"""Whom providers list, read page by page through our adapters from the sandbox that plays them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from domain.errors import Misconfigured, ProviderUnavailable
from domain.ports import ListingProvider
from domain.suppression import Listed
from providers import registry
from tests.contract.emails import a_world
from tests.integration.sandbox_driver import Driver, running_accounts

KINDS = ("mailgun", "postmark", "sendgrid", "ses")
# (scope, cause) of each reason; where a provider has no such list, its entry is not told.
MEANT = {
    "mailgun": {"bounce": ("all", "hard_bounce"), "complaint": ("marketing", "complaint"),
                "unsubscribe": ("marketing", "unsubscribed")},
    "postmark": {"bounce": ("all", "hard_bounce"), "complaint": ("marketing", "complaint"),
                 "unsubscribe": ("marketing", "unsubscribed"), "manual": ("all", "manual")},
    "sendgrid": {"bounce": ("all", "hard_bounce"), "invalid": ("all", "provider"),
                 "complaint": ("marketing", "complaint"), "unsubscribe": ("marketing", "unsubscribed"),
                 "manual": ("marketing", "unsubscribed")},
    "ses": {"bounce": ("all", "hard_bounce"), "complaint": ("marketing", "complaint")},
}  # fmt: skip


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driver]:
    folder: Path = tmp_path_factory.mktemp("sandbox")
    with running_accounts(folder, *KINDS) as driver:
        yield driver


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest, sandbox: Driver) -> Iterator[str]:
    yield str(request.param)
    sandbox.heal(str(request.param))


def put(sandbox: Driver, account: str, reasons: dict[str, int]) -> None:
    entries = [
        {"address": f"{reason}{n}@Example.net", "reason": reason}
        for reason, count in reasons.items()
        for n in range(count)
    ]
    answer = sandbox.control("PUT", f"/control/accounts/{account}/suppressions", {"entries": entries})
    assert answer.status == 200, answer.body


@pytest.fixture
def adapter(sandbox: Driver) -> Iterator[Any]:
    built: list[Any] = []

    def build(kind: str, **config: Any) -> Any:
        account = sandbox.account(kind)
        settings = {"base_url": account["base_url"], **config}
        checked = registry.validate(kind, settings, account["credentials"])
        built.append(registry.build(kind, kind, *checked, a_world()))
        assert isinstance(built[-1], ListingProvider)
        return built[-1]

    yield build
    for one in built:
        one.close()


def read(provider: Any) -> tuple[list[Listed], int]:
    found: list[Listed] = []
    cursor, pages = None, 0
    while True:
        page = provider.suppressions(cursor)
        found, pages, cursor = [*found, *page.entries], pages + 1, page.next
        if cursor is None:
            return found, pages


def test_each_list_comes_in_our_terms(sandbox: Driver, adapter: Any, kind: str) -> None:
    put(sandbox, kind, dict.fromkeys(("bounce", "invalid", "complaint", "unsubscribe", "manual"), 1))
    found, _ = read(adapter(kind))
    assert {e.address: (e.scope, e.cause.value) for e in found} == {
        f"{reason}0@example.net": meant for reason, meant in MEANT[kind].items()
    }
    assert all(kind in e.detail for e in found)


def test_all_pages_are_followed(sandbox: Driver, adapter: Any, kind: str) -> None:
    put(sandbox, kind, {"bounce": 2345, "complaint": 3})
    found, pages = read(adapter(kind))
    assert len({e.address for e in found}) == len(found) == 2348
    assert Counter(e.cause.value for e in found) == {"hard_bounce": 2345, "complaint": 3}
    assert pages > 1


def test_nobody_is_listed(sandbox: Driver, adapter: Any, kind: str) -> None:
    put(sandbox, kind, {})
    assert read(adapter(kind))[0] == []


@pytest.mark.parametrize(
    "cursor", ["nonsense", "bounces:x", "a/b?c", "../../v3/mail:0", "example.com/bounces?x=\r\n"]
)
def test_what_is_no_place_is_refused(sandbox: Driver, adapter: Any, kind: str, cursor: str) -> None:
    if kind == "ses":
        pytest.skip("its places are its own, and anything may be one")
    with pytest.raises(ValueError):
        adapter(kind).suppressions(cursor)


def test_an_account_of_one_domain_is_asked_for_that_one(sandbox: Driver, adapter: Any) -> None:
    put(sandbox, "mailgun", {"bounce": 1})
    provider = adapter("mailgun", domain="mail.example.org")
    assert len(read(provider)[0]) == 1
    with pytest.raises(ValueError):
        provider.suppressions("other.example.org/bounces?limit=10")


@pytest.mark.parametrize(("mode", "error"), [("auth", Misconfigured), ("unavailable", ProviderUnavailable)])
def test_a_provider_that_does_not_tell_says_why(
    sandbox: Driver, adapter: Any, kind: str, mode: str, error: type[Exception]
) -> None:
    sandbox.fail(kind, mode)
    with pytest.raises(error):
        adapter(kind).suppressions(None)
