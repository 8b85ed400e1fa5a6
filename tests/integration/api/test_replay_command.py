"""`mailmux routing replay`: asks a running API, shows how far it is, and what came out."""

from __future__ import annotations

import csv
import json
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from werkzeug.serving import make_server

from cli.routing import MOST, _read_log, routing
from tests.integration.api.test_replay import SINCE, account, sent
from tests.integration.api.world import Caller, World

Run = Callable[..., Result]


@pytest.fixture
def run(world: World, member: Caller) -> Iterator[Run]:
    server = make_server("127.0.0.1", 0, world.app, threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    environ = {"MAILMUX_URL": f"http://127.0.0.1:{server.port}", "MAILMUX_KEY": member.key}
    yield lambda *given: CliRunner().invoke(routing, ["replay", *given], env=environ)
    server.shutdown()
    server.server_close()


WEEK = ("--since", SINCE.isoformat(), "--until", (SINCE + timedelta(days=7)).isoformat())


def written(path: Path, rows: list[dict[str, Any]]) -> Path:
    with path.open("w", newline="") as lines:
        writer = csv.DictWriter(lines, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    return path


def a_log(path: Path, count: int = 150) -> Path:
    return written(
        path,
        [
            {"at": (SINCE + timedelta(seconds=n)).isoformat(), "to": f"Ada <a{n}@firm.example>",
             "provider": "theirs", "delivered": "true" if n % 10 else "no", "seconds": "0.5", "cost": "0.002",
             "email_type": ""}
            for n in range(count)
        ],
    )  # fmt: skip


def test_a_period_is_shown_as_a_table_with_what_is_not_known(world: World, member: Caller, run: Run) -> None:
    account(member, "cheap", "0.0002")
    account(member, "new", "0.0001")
    sent(world, member, "cheap", 120, 118)
    shown = run(*WEEK, "--policy", "balanced", "--policy", "transactional=most_reliable")
    assert shown.exit_code == 0, shown.output
    assert "120 emails" in shown.output
    assert "cost per 1,000" in shown.output
    cheapest = run(*WEEK, "--provider", "new", "--price", "new=0.00005", "--json")
    found = json.loads(cheapest.stdout)
    assert found["cost_per_1000"]["would"]["mean"] == pytest.approx(0.05, rel=0.02)
    table = run(*WEEK, "--provider", "new")
    assert "not known" in table.output
    assert "new at other: 0 of the 100 observations" in table.output


def test_another_services_log_is_read_and_no_address_leaves_this_machine(
    world: World, member: Caller, run: Run, tmp_path: Path
) -> None:
    account(member, "ours", "0.0005")
    path = a_log(tmp_path / "sent.csv")
    shown = run("--log", str(path), "--known-as", "theirs=ours", "--json")
    assert shown.exit_code == 0, shown.output
    found = json.loads(shown.stdout)
    assert found["cost"]["happened"] == pytest.approx(0.3)
    assert found["delivered"]["would"]["mean"] == pytest.approx(0.9, abs=0.02)
    entries, _ = _read_log(path)
    assert {e["domain"] for e in entries} == {"firm.example"}
    assert not any("@" in str(value) for e in entries for value in e.values())


def test_json_lines_are_read_alike(tmp_path: Path) -> None:
    path = tmp_path / "sent.jsonl"
    path.write_text('{"at": "2030-01-01T00:00:00Z", "to": "a@x.example", "seconds": 1}\n\n')
    assert _read_log(path) == (
        [{"at": "2030-01-01T00:00:00Z", "domain": "x.example", "seconds": 1.0}],
        1,
    )


def test_of_a_long_log_an_even_sample_is_sent(tmp_path: Path) -> None:
    path = tmp_path / "sent.jsonl"
    path.write_text("".join(f'{{"at": "{n}", "domain": "x.example"}}\n' for n in range(2 * MOST + 1)))
    entries, count = _read_log(path)
    assert (len(entries), count) == (MOST, 2 * MOST + 1)
    numbers = [int(e["at"]) for e in entries]
    assert numbers[-1] > 2 * MOST - 3
    assert max(b - a for a, b in pairwise(numbers)) <= 3


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ((), "say which traffic"),
        (("--days", "7", "--since", "2030-01-01T00:00:00Z"), "say which traffic"),
        (("--days", "7", "--known-as", "a=b"), "--known-as is of a --log"),
        (("--days", "7", "--policy", "best"), "'best' is none of cheapest"),
        ((*WEEK, "--provider", "nobody"), "/providers/0: there is no provider 'nobody'"),
    ],
)
def test_what_is_wrong_is_said(run: Run, given: tuple[str, ...], said: str) -> None:
    shown = run(*given)
    assert shown.exit_code != 0
    assert said in " ".join(shown.output.split()).replace("│ ", "")


@pytest.mark.parametrize(
    ("line", "said"), [("{", "line 1: no JSON"), ("[]", "no JSON object"), ('{"seconds": "fast"}', "row 1")]
)
def test_a_log_that_cannot_be_read_is_said_so_with_its_line(
    run: Run, tmp_path: Path, line: str, said: str
) -> None:
    path = tmp_path / "sent.jsonl"
    path.write_text(line + "\n")
    shown = run("--log", str(path))
    assert (shown.exit_code, said in shown.output) == (2, True)
