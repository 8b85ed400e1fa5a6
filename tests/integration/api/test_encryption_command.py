"""Another encryption key: what is there is sealed with it, and the old one can go."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import pytest
from click.testing import CliRunner

from cli.encryption import encryption
from db.sealing import ENDPOINT, Sealer, UnknownKey, open_hook
from tests.integration.api.world import World, make_world

OLD = "k1:" + base64.b64encode(b"1" * 32).decode()  # of `make_world`


@pytest.fixture
def world(database_url: str) -> Iterator[World]:
    made = make_world(database_url)
    yield made
    made.engine.dispose()


def run(database_url: str, keys: str, *words: str) -> Any:
    env = {"DATABASE_URL": database_url, "REDIS_URL": "redis://127.0.0.1:1", "MAILMUX_ENCRYPTION_KEYS": keys}
    return CliRunner().invoke(encryption, words, env=env)


def test_all_secrets_are_sealed_anew_and_open_without_the_old_key(world: World, database_url: str) -> None:
    member = world.user()
    own = member.post("/v1/providers", {"name": "sg", "kind": "sendgrid", "credentials": {"api_key": "SG.secret"},
                                        "base_cost": "0"}).get_json()["id"]  # fmt: skip
    world.user("operator").provider("shared", shared=True)
    member.put(f"/v1/providers/{own}/webhook", {"secrets": [{"username": "u", "password": "p" * 20}]})
    hook = member.post("/v1/webhooks", {"url": "https://hooks.example.com/x"}).get_json()["id"]
    new = run(database_url, OLD, "new-key").output.strip()
    done = run(database_url, f"{new},{OLD}", "reseal")
    assert done.exit_code == 0, done.output
    assert "4 sealed anew" in done.output
    name, _, encoded = new.partition(":")
    sealer = Sealer({name: base64.b64decode(encoded)}, name)
    [row] = world.sql("SELECT * FROM providers WHERE id = :id", id=own)
    place = {"owner": member.user_id, "kind": "sendgrid", "row": row.id}
    assert sealer.open(row.api_key, **place) == {"api_key": "SG.secret"}
    assert open_hook(sealer, row.webhook, **place).secrets == [{"username": "u", "password": "p" * 20}]
    [told] = world.sql("SELECT * FROM webhook_endpoints WHERE id = :id", id=hook)
    assert sealer.open(told.secret, owner=member.user_id, kind=ENDPOINT, row=told.id)["secret"].startswith(
        "whsec_"
    )
    again = run(database_url, new, "reseal")
    assert (again.exit_code, "0 sealed anew" in again.output) == (0, True), again.output


def test_what_no_key_opens_is_named_and_stays(world: World, database_url: str) -> None:
    member = world.user()
    provider = member.provider("one")
    new = run(database_url, OLD, "new-key").output.strip()
    before = world.sql("SELECT api_key FROM providers WHERE id = :id", id=provider)
    done = run(database_url, new, "reseal")
    assert done.exit_code == 1
    assert str(provider) in done.output
    assert "k1" in done.output
    assert world.sql("SELECT api_key FROM providers WHERE id = :id", id=provider) == before
    with pytest.raises(UnknownKey):
        Sealer({"k": b"2" * 32}, "k").open(
            before[0].api_key, owner=member.user_id, kind="memory", row=provider
        )
