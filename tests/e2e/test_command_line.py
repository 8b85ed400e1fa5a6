"""The commands that speak to a running service, and the client's examples, as a user calls them."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.e2e.client import Service, until

EXAMPLES = Path(__file__).parents[2] / "clients/python/examples"
FROM = ("--from", "Shop <shop@news.example>")


def mailmux(service: Service, *words: str, code: int = 0, stdin: str = "") -> str:
    """What the command prints, and that it ends as expected."""
    run = subprocess.run(
        [sys.executable, "-c", "from cli.main import main; main()", *words],
        capture_output=True,
        text=True,
        timeout=30,
        input=stdin,
        check=False,
        env={
            "PATH": "/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "NO_PROXY": "*",
            "MAILMUX_URL": service.api_url,
            "MAILMUX_KEY": service.key,
        },
    )
    assert run.returncode == code, run.stdout + run.stderr
    return run.stdout if code == 0 else run.stdout + run.stderr


def test_an_email_is_sent_found_and_traced(service: Service):
    tag = uuid4().hex
    said = mailmux(
        service, "send", *FROM, "--to", "Ada <ada@example.com>", "--subject", "Hello [Ada]", "--text", "-",
        "--tag", tag, "--wait", "10", "--json", stdin="It works.",
    )  # fmt: skip
    email = json.loads(said)
    assert email["status"] == "sent"
    [line] = mailmux(service, "emails", "list", "--tag", tag, "--json").splitlines()
    assert json.loads(line)["id"] == email["id"]
    assert email["id"] in mailmux(service, "emails", "list", "--tag", tag)
    trace = mailmux(service, "emails", "trace", email["id"])
    assert "Hello [Ada]" in trace
    assert "accepted" in trace
    assert email["provider"] in trace


def test_a_refusal_names_every_wrong_field(service: Service):
    said = mailmux(service, "send", *FROM, "--to", "nobody", "--subject", "x", "--at", "soon", code=1)
    assert "/to/0" in said
    assert "/send_at" in said


def test_a_waiting_email_is_moved_and_taken_back(service: Service):
    words = ("send", *FROM, "--to", "ada@example.com", "--subject", "s", "--text", "t")
    email = json.loads(mailmux(service, *words, "--at", later(60), "--json"))["id"]
    mailmux(service, "emails", "reschedule", email, later(120))
    assert "cancelled" in mailmux(service, "emails", "cancel", email)
    tag = uuid4().hex
    for _ in range(2):
        mailmux(service, *words, "--at", later(60), "--tag", tag)
    moved = mailmux(service, "emails", "reschedule-many", later(120), "--tag", tag)
    assert "2 are sent then" in moved
    assert "0 would be sent again" in mailmux(service, "emails", "resend-many", "--tag", tag, "--dry-run")
    assert "2 would be" in mailmux(service, "emails", "cancel-many", "--tag", tag, "--dry-run")
    assert "2 taken back" in mailmux(service, "emails", "cancel-many", "--tag", tag)


def test_a_file_is_sent_once_however_often_the_command_is_given(service: Service, tmp_path: Path):
    tag, file = uuid4().hex, tmp_path / "people.csv"
    rows = ["to,name,city"] + [f"user{n}@example.com,User {n},Ulm" for n in range(5)] + ["=nobody,,"]
    file.write_text("\n".join(rows))
    words = ("batch", str(file), *FROM, "--subject", "Hi", "--text", "t", "--tag", tag)
    assert "5 accepted, 1 rejected" in mailmux(service, *words, code=1)
    results = list(csv.DictReader((tmp_path / "people.csv.results.csv").read_text().splitlines()))
    assert [bool(r["id"]) for r in results] == [True] * 5 + [False]
    assert results[5]["to"] == "'=nobody"
    (tmp_path / "people.csv.results.csv").unlink()  # as if it had broken off before the answer
    assert "5 accepted, 1 rejected" in mailmux(service, *words, code=1)
    assert "5 accepted, 1 rejected" in mailmux(service, *words, code=1)
    listed = mailmux(service, "emails", "list", "--tag", tag, "--limit", "100", "--json").splitlines()
    assert len(listed) == 5
    assert json.loads(listed[0])["metadata"] == {"city": "Ulm"}


@pytest.mark.parametrize("text", ["a,b\n1,2", "to,to\na,b", "to,x\na@example.com", "", "\x00"])
def test_what_is_no_such_file_is_refused_before_anything_is_sent(service: Service, tmp_path: Path, text: str):
    (tmp_path / "f.csv").write_text(text)
    said = mailmux(service, "batch", str(tmp_path / "f.csv"), *FROM, "--subject", "s", "--text", "t", code=1)
    assert "f.csv" in said
    assert not (tmp_path / "f.csv.results.csv").exists()


def test_things_are_made_listed_changed_and_deleted(service: Service):
    name = f"t-{uuid4().hex[:8]}"
    made = json.loads(mailmux(service, "types", "create", json.dumps({"name": name}), "--json"))
    assert name in mailmux(service, "types", "list")
    changed = mailmux(service, "types", "change", made["id"], '{"urgent": true}', "--json")
    assert json.loads(changed)["urgent"]
    mailmux(service, "types", "delete", made["id"])
    assert name not in mailmux(service, "types", "list")
    assert "404" in mailmux(service, "types", "show", made["id"], code=1)
    assert "FIELDS" in mailmux(service, "types", "create", "[]", code=2)
    hook = json.loads(mailmux(service, "webhooks", "create", '{"url": "http://127.0.0.1:9/"}', "--json"))
    assert "whsec_" in mailmux(service, "webhooks", "rotate", hook["id"])
    assert "webhook.test" not in mailmux(service, "webhooks", "messages", hook["id"])
    mailmux(service, "webhooks", "delete", hook["id"])


def test_a_campaign_is_paused_within_two_seconds_and_cancelled(service: Service, tmp_path: Path):
    made = json.loads(mailmux(service, "campaigns", "create", '{"name": "c", "per_minute": 600}', "--json"))
    body = {
        "defaults": {"from": "shop@news.example", "subject": "s", "text": "t", "campaign_id": made["id"]},
        "emails": [{"to": [f"user{n}@example.com"]} for n in range(200)],
    }
    assert service.post("/v1/emails/batch", body).status_code == 202
    until(lambda: progress(service, made["id"])["sent"] > 3, 10)
    mailmux(service, "campaigns", "pause", made["id"])
    time.sleep(1)
    sent = progress(service, made["id"])["sent"]
    time.sleep(1)
    assert progress(service, made["id"])["sent"] == sent
    done = json.loads(mailmux(service, "campaigns", "cancel", made["id"], "--json"))
    assert done["status"] == "cancelled"
    until(lambda: progress(service, made["id"])["waiting"] == 0, 15)
    found = progress(service, made["id"])
    assert found["statuses"]["cancelled"] > 100
    assert found["sent"] + found["statuses"]["cancelled"] == found["total"] == 200


def progress(service: Service, campaign: str) -> dict[str, Any]:
    found: dict[str, Any] = service.get(f"/v1/campaigns/{campaign}").json()["progress"]
    return found


def test_a_list_of_addresses_goes_in_and_out(service: Service, tmp_path: Path):
    name, file = uuid4().hex[:8], tmp_path / "left.csv"
    file.write_text(f"Address,scope,detail\nAda.{name}@example.com,marketing,=1+1\n+{name}@example.com,,\n")
    assert "2 added, 0 known" in mailmux(service, "suppressions", "import", str(file))
    out = mailmux(service, "suppressions", "export")
    assert f"ada.{name}@example.com,marketing,imported,'=1+1," in out
    assert f"\n'+{name}@example.com,all,imported," in out
    (tmp_path / "out.csv").write_text(out)
    assert "0 added" in mailmux(service, "suppressions", "import", str(tmp_path / "out.csv"))
    file.write_text("address\na@example.com\nnobody\n")
    assert "line 3" in mailmux(service, "suppressions", "import", str(file), code=1)
    words = ("send", *FROM, "--to", f"+{name}@example.com", "--subject", "s", "--text", "t", "--json")
    assert json.loads(mailmux(service, *words))["status"] == "suppressed"
    for line in mailmux(
        service, "suppressions", "list", "--address", f"+{name}@example.com", "--json"
    ).splitlines():
        mailmux(service, "suppressions", "remove", json.loads(line)["id"])
    assert json.loads(mailmux(service, *words))["status"] == "queued"


def test_where_no_service_is_that_is_said(service: Service):
    said = mailmux(service, "emails", "list", "--url", "http://127.0.0.1:9", code=1)
    assert "gave no answer" in said
    assert "Traceback" not in said


def test_the_shell_can_complete(service: Service):
    assert "_MAILMUX_COMPLETE" in mailmux(service, "completion", "bash")


@pytest.mark.parametrize(
    ("example", "words", "says"),
    [
        ("send.py", ["ada@example.com"], "accepted"),
        ("campaign.py", ["ada@example.com", "nobody"], "1 accepted, 1 rejected"),
    ],
)
def test_the_examples_run(service: Service, example: str, words: list[str], says: str):
    run = subprocess.run(
        [sys.executable, str(EXAMPLES / example), *words],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env={
            "PATH": "/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "NO_PROXY": "*",
            "MAILMUX_URL": service.api_url,
            "MAILMUX_KEY": service.key,
        },
    )
    assert run.returncode == 0, run.stderr
    assert says in run.stdout


def later(minutes: int) -> str:
    return (datetime.now(UTC) + timedelta(minutes=minutes)).isoformat()
