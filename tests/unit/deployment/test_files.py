"""The deployment files: Compose and hadolint find nothing wrong, and the containers run what `./run` runs."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cli.init import init
from domain.upkeep import Duty
from sandbox.__main__ import parse_arguments
from wiring import commands
from wiring.embedded.postgres import SILENT_LOG
from wiring.settings import StartSettings, variables
from workers.queue import DRAIN_TASK, EVENTS_TASK, LIFE_TASK, UPKEEP_QUEUE, duty_queue, duty_task

ROOT = Path(__file__).parents[3]
BIN = Path(sys.executable).parent
ENVIRON = {
    "MAILMUX_DB_PASSWORD": "database",
    "MAILMUX_REDIS_PASSWORD": "redis",
    "MAILMUX_ENCRYPTION_KEYS": "k1:a2V5",
    "MAILMUX_FLOWER_PASSWORD": "flower",
}
DEFAULTS = StartSettings()


def compose(*arguments: str, environ: dict[str, str] = ENVIRON) -> Any:
    command = [str(BIN / "docker-compose"), "--env-file", "/dev/null", "-f", str(ROOT / "docker-compose.yml")]
    return subprocess.run(
        [*command, *arguments], env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", **environ},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def services(*profiles: str) -> dict[str, Any]:
    options = [option for profile in profiles for option in ("--profile", profile)]
    shown = compose(*options, "config", "--format", "json")
    assert shown.returncode == 0, shown.stderr
    found: dict[str, Any] = json.loads(shown.stdout)["services"]
    return found


@pytest.fixture(scope="module")
def declared() -> dict[str, Any]:
    return services("tools")


@pytest.mark.parametrize("profiles", [(), ("tools",), ("sandbox",), ("sandbox", "tools")], ids=len)
def test_compose_accepts_the_file(profiles: tuple[str, ...]):
    options = [option for profile in profiles for option in ("--profile", profile)]
    checked = compose(*options, "config", "-q")
    assert (checked.returncode, checked.stderr) == (0, "")


def test_the_sandbox_runs_only_where_it_is_asked_for():
    assert "sandbox" not in services()
    added = services("sandbox")
    assert set(added) == {*services(), "sandbox"}
    sandbox = added["sandbox"]
    assert parse_arguments(sandbox["command"][3:]).name == "sandbox"
    assert [(p["host_ip"], p["target"]) for p in sandbox["ports"]] == [("127.0.0.1", 8026)]
    assert not sandbox.get("environment"), "it plays the providers: it knows none of our secrets"
    assert added["api"]["environment"]["MAILMUX_PLAIN_HTTP_HOSTS"] == "sandbox"
    told = services("tools")["init-sandbox"]
    assert told["volumes"] == sandbox["volumes"]
    with init.make_context("init", [*told["command"][2:3], __file__, *told["command"][4:]]) as context:
        assert context.params["api_url"] == "http://api:8025"


@pytest.mark.parametrize("secret", sorted(ENVIRON))
def test_a_secret_that_is_not_set_is_named(secret: str):
    checked = compose("config", "-q", environ={k: v for k, v in ENVIRON.items() if k != secret})
    assert checked.returncode != 0
    assert secret in checked.stderr


def test_hadolint_finds_nothing_in_the_dockerfile():
    found = subprocess.run(
        [str(BIN / "hadolint"), "--no-color", str(ROOT / "Dockerfile")],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (found.returncode, found.stdout) == (0, "")


def test_the_containers_run_what_run_runs(declared: dict[str, Any]):
    wanted = {
        "api": commands.api("0.0.0.0", 8025, DEFAULTS.api_threads, DEFAULTS.api_workers),
        "worker-transactional": commands.guarded(*commands.TRANSACTIONAL),
        "worker-all-lanes": commands.guarded(*commands.ALL_LANES),
        "worker-slow": commands.guarded(*commands.SLOW),
        "beat": commands.beat(),
        "learner": commands.learner(),
        "webhooks": commands.webhooks(),
        "flower": commands.flower("0.0.0.0", 5555),
    }
    assert {name: declared[name]["command"] for name in wanted} == wanted
    assert set(declared) == {*wanted, "postgres", "redis", "migrate", "init", "init-sandbox"}


def test_the_guide_shows_the_same_commands():
    guide = (ROOT / "docs/howto/deploy.md").read_text().replace("\\\n", " ")
    shown = {" ".join(line.partition("#")[0].split()) for line in guide.splitlines()}
    api = commands.api("0.0.0.0", 8025, DEFAULTS.api_threads, DEFAULTS.api_workers)
    needless = (" --log-level error", " --workers 1", " --include wiring.ready")
    for command in (
        api, commands.worker(*commands.TRANSACTIONAL), commands.worker(*commands.ALL_LANES),
        commands.worker(*commands.SLOW),
        commands.beat(), commands.learner(), commands.webhooks(),
    ):  # fmt: skip
        wanted = " ".join(command)
        for words in needless:
            wanted = wanted.replace(words, "")
        assert wanted in shown


def test_the_guide_names_every_task_with_its_queue():
    guide = (ROOT / "docs/howto/deploy.md").read_text()
    rows = [
        [cell.strip(" `") for cell in line.split("|")[1:3]]
        for line in guide.splitlines()
        if "| `mailmux." in line
    ]
    lanes = {DRAIN_TASK: "the lane's", EVENTS_TASK: UPKEEP_QUEUE, LIFE_TASK: "the worker's own"}
    assert dict(rows) == {**{duty_task(duty): duty_queue(duty) for duty in Duty}, **lanes}
    assert len(rows) == len(lanes) + len(Duty)


def test_the_image_runs_the_api_by_itself():
    (line,) = [
        part for part in (ROOT / "Dockerfile").read_text().replace("\\\n", " ").splitlines()
        if part.startswith("CMD ")
    ]  # fmt: skip
    assert json.loads(line.removeprefix("CMD ")) == commands.api(
        "0.0.0.0", 8025, DEFAULTS.api_threads, DEFAULTS.api_workers
    )


def test_nothing_but_the_api_and_flower_is_published_and_they_on_the_loopback_address(
    declared: dict[str, Any],
):
    published = {
        name: [(port["host_ip"], port["target"]) for port in service.get("ports", [])]
        for name, service in declared.items()
        if service.get("ports")
    }
    assert published == {"api": [("127.0.0.1", 8025)], "flower": [("127.0.0.1", 5555)]}


def test_everything_that_runs_on_and_can_tell_has_a_health_check(declared: dict[str, Any]):
    checked = {
        name for name, s in declared.items() if s.get("healthcheck") and not s["healthcheck"].get("disable")
    }
    assert checked == {
        "api",
        "worker-transactional",
        "worker-all-lanes",
        "worker-slow",
        "flower",
        "postgres",
        "redis",
    }
    for name in ("transactional", "all-lanes", "slow"):
        assert declared[f"worker-{name}"]["healthcheck"]["test"] == ["CMD", "mailmux", "alive", name]


def test_what_is_ours_has_no_more_rights_than_it_needs(declared: dict[str, Any]):
    for name in set(declared) - {"postgres", "redis"}:
        service = declared[name]
        assert service["cap_drop"] == ["ALL"], name
        assert service["read_only"], name
        assert "no-new-privileges:true" in service["security_opt"], name
        assert name == "migrate" or "migrate" in service["depends_on"], name
    assert "USER 10025" in (ROOT / "Dockerfile").read_text()


def test_the_workers_have_time_to_finish_what_they_are_sending(declared: dict[str, Any]):
    needed = DEFAULTS.delivery.drain_seconds + DEFAULTS.provider.total_seconds
    for name in ("worker-transactional", "worker-all-lanes", "worker-slow"):
        grace = declared[name]["stop_grace_period"]
        assert {"1m0s": 60, "60s": 60}[grace] >= needed


def test_postgres_logs_no_statement(declared: dict[str, Any]):
    command = declared["postgres"]["command"]
    assert command == ["postgres", *(word for option in SILENT_LOG for word in ("-c", option))]


def test_redis_evicts_nothing(declared: dict[str, Any]):
    assert "--maxmemory-policy noeviction" in shlex.join(declared["redis"]["command"])


def test_every_variable_is_one_that_the_service_knows(declared: dict[str, Any]):
    known = {*variables(StartSettings), "FLOWER_BASIC_AUTH"}
    for name in set(declared) - {"postgres", "redis"}:
        assert set(declared[name]["environment"]) <= known, name


def test_every_volume_of_ours_is_made_in_the_image_and_is_the_users():
    """A named volume that is new takes over what the image has there, and where it has nothing it is root's."""
    made = [
        command.split()[4:]
        for command in (ROOT / "Dockerfile").read_text().replace("&&", "\n").splitlines()
        if command.split()[:4] == ["install", "-d", "-o", "mailmux"]
    ]
    targets = {
        volume["target"]
        for name, service in services("tools", "sandbox").items()
        for volume in service.get("volumes", [])
        if name not in {"postgres", "redis"}
    }
    assert {"/data/attachments", "/data/sandbox"} <= targets
    assert targets <= {folder for command in made for folder in command}
