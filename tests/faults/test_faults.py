"""The short form of `mailmux bench faults`: the service is broken on purpose, and every email is accounted for."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

FAULTS = (
    "kill-workers", "kill-redis", "kill-postgres", "kill-api-after-commit", "kill-after-claim", "kill-mid-email",
    "kill-after-answer", "kill-before-record", "provider-drop-answer", "one-key", "webhooks",
)  # fmt: skip


@pytest.mark.timeout(300)
def test_no_email_is_lost_or_sent_twice_whatever_dies():
    only = [word for name in FAULTS for word in ("--only", name)]
    run = subprocess.run(
        [sys.executable, "-c", "from cli.main import main; main()", "bench", "faults",
         "--emails", "600", "--seed", "7", "--json", *only],
        capture_output=True, text=True, timeout=280, check=False,
    )  # fmt: skip
    assert run.stdout, run.stderr
    found = json.loads(run.stdout)
    assert found["complaints"] == []
    assert run.returncode == 0
    total = found["total"]
    assert total["accepted"] >= 600
    assert (total["lost"], total["unexplained_duplicates"], total["phantoms"]) == (0, 0, 0)
    assert total["unknown"] <= total["unknown_bound"]
    assert set(found["contents"]) == {"plain", "template", "attachment", "both"}
    assert {(c["lost"], c["mangled"]) for c in found["contents"].values()} == {(0, 0)}
    assert sum(c["accepted"] for c in found["contents"].values()) == total["accepted"]
    assert {f["name"] for f in found["faults"]} == set(FAULTS)
