"""The short form of `mailmux bench throughput`: neither ratios nor CPU per email fall below 60% of what they were."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest


@pytest.mark.timeout(240)
def test_the_service_is_as_fast_as_it_was():
    run = subprocess.run(
        [
            sys.executable,
            "-c",
            "from cli.main import main; main()",
            "bench",
            "throughput",
            "--gate",
            "--json",
        ],
        capture_output=True,
        text=True,
        timeout=220,
        check=False,
    )
    assert run.stdout, run.stderr
    found = json.loads(run.stdout)
    assert found["gate"]["slipped"] == []
    assert run.returncode == 0
    assert {s["name"] for s in found["systems"]} == {
        "batches",
        "celery_postgres",
        "singles",
        "flask_delivered",
    }
