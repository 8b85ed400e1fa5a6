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


def test_statistics_tell_what_was_sent_and_what_it_cost(service: Service):
    mailmux(service, "send", *FROM, "--to", "ada@gmail.com", "--subject", "s", "--text", "t", "--wait", "10")

    words = ("stats", "--by", "provider", "--mailbox-group", "google", "--json")
    groups: list[dict[str, Any]] = []

    def added_up() -> bool:
        groups[:] = [g for g in json.loads(mailmux(service, *words))["groups"] if g["sent"]]
        return bool(groups)

    until(added_up, seconds=90)
    group = groups[0]
    assert group["spend"]
    assert group["latency_p50_ms"] > 0
    table = mailmux(service, "stats", "--by", "day", "--timezone", "Asia/Kolkata")
    assert "total" in table
    assert f"all by {group['provider']}:" in table
    assert "timezone" in mailmux(service, "stats", "--timezone", "Asia/Nowhere", code=1)


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
    again = mailmux(service, *words, code=1)
    assert "5 accepted (5 of them before, and left out now), 1 rejected" in again
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


def test_a_rule_is_made_from_options_and_listed_in_words(service: Service):
    tag = f"t-{uuid4().hex[:8]}"
    said = ("--tag", tag, "--to", "Gmail.com", "--policy", "cheapest", "--priority", "7")
    rule = json.loads(mailmux(service, "rules", "add", "sandbox-smtp", "sandbox-sendgrid", *said, "--json"))
    assert (rule["tag"], rule["recipient_domain"], rule["policy"]) == (tag, "gmail.com", "cheapest")
    assert (rule["priority"], rule["catch_all"], rule["shared"]) == (7, False, False)
    listed = mailmux(service, "rules", "list")
    assert f"to gmail.com, tag {tag}" in " ".join(listed.split())
    assert "catch_all" in mailmux(service, "rules", "add", "sandbox-smtp", code=1)
    mailmux(service, "rules", "delete", rule["id"])


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


def test_an_account_is_added_changed_paused_and_deleted(service: Service):
    name = f"cli-{uuid4().hex[:8]}"
    kinds = [json.loads(line) for line in mailmux(service, "providers", "kinds", "--json").splitlines()]
    assert {"memory", "ses", "smtp"} <= {kind["name"] for kind in kinds}
    added = mailmux(
        service, "providers", "add", name, "memory", "--cost", "9", "--daily", "5", "--config", "retry_after=3",
        "--credentials", "-", "--json", stdin="{}",
    )  # fmt: skip
    made = json.loads(added)
    assert (made["config"]["retry_after"], made["quota"]["daily"]) == (3, 5)
    changed = json.loads(mailmux(service, "providers", "change", name, "--cost", "8", "--json"))
    assert changed["base_cost"] == "8"
    assert json.loads(mailmux(service, "providers", "pause", made["id"], "--json"))["status"] is False
    assert json.loads(mailmux(service, "providers", "resume", name, "--json"))["status"] is True
    assert "accepted" in mailmux(service, "providers", "health", name)
    assert "5, 10" in mailmux(service, "providers", "warm-up", name, "news.example.com", "--daily", "5,10")
    mailmux(service, "providers", "delete", name, "--yes")
    assert "no provider" in mailmux(service, "providers", "delete", name, "--yes", code=1)


def test_a_file_and_a_campaign_go_with_an_email(service: Service, tmp_path: Path):
    terms = tmp_path / "terms.txt"
    terms.write_text("read me")
    campaign = json.loads(mailmux(service, "campaigns", "create", '{"name": "spring"}', "--json"))["id"]
    said = mailmux(
        service, "send", *FROM, "--to", "ada@example.com", "--subject", "Terms", "--text", "See the file.",
        "--attach", str(terms), "--campaign", campaign, "--wait", "10", "--json",
    )  # fmt: skip
    email = json.loads(said)
    assert (email["status"], email["campaign_id"]) == ("sent", campaign)
    [listed] = mailmux(service, "emails", "list", "--campaign", campaign, "--json").splitlines()
    assert json.loads(listed)["id"] == email["id"]
    [received] = service.inbox(email["id"])
    assert "terms.txt" in json.dumps(received)


def test_halts_the_audit_log_and_a_decision_are_shown(service: Service):
    halt = json.loads(
        mailmux(service, "halts", "set", "type", "newsletter", "--reason", "wrong price", "--json")
    )
    assert halt["id"] in mailmux(service, "halts", "list")
    mailmux(service, "halts", "lift", halt["id"])
    actions = [json.loads(line)["action"] for line in mailmux(service, "audit", "--json").splitlines()]
    assert actions[0].startswith("DELETE /v1/halts/")
    words = mailmux(service, "routing", "preview", "--from", "shop@news.example", "--to", "ada@example.com")
    assert "sandbox-sendgrid" in words


def test_a_budget_is_set_listed_changed_and_deleted(service: Service):
    said = mailmux(
        service, "budgets", "set", "25.50", "--period", "day", "--time-zone", "Europe/Berlin", "--json"
    )
    made = json.loads(said)
    assert (made["amount"], made["time_zone"]) == ("25.5", "Europe/Berlin")
    assert "25.5 USD" in mailmux(service, "budgets", "list")
    assert "30 USD a day" in mailmux(service, "budgets", "change", made["id"], "30")
    mailmux(service, "budgets", "delete", made["id"])
    assert made["id"] not in mailmux(service, "budgets", "list")


def test_a_key_is_rotated_and_a_template_revised(service: Service):
    key = service.post("/v1/keys", {"scopes": ["emails:read"], "name": "cli"}).json()
    fresh = json.loads(mailmux(service, "keys", "rotate", key["id"], "--overlap-hours", "1", "--json"))
    assert fresh["id"] != key["id"]
    body = json.dumps({"name": f"t-{uuid4().hex[:8]}", "subject": "Hi {{name}}", "text": "x"})
    template = json.loads(mailmux(service, "templates", "create", body, "--json"))["id"]
    mailmux(service, "templates", "revise", template, '{"subject": "Hey {{name}}", "text": "y"}')
    assert "Hey {{name}}" in mailmux(service, "templates", "versions", template)


def test_keys_are_made_listed_and_revoked_over_the_api(service: Service):
    name = f"cli-{uuid4().hex[:8]}"
    made = json.loads(
        mailmux(
            service, "keys", "create", "--scopes", "emails:read", "--name", name, "--expires", "1d", "--json"
        )
    )
    assert (made["scopes"], made["name"], made["key"][:8]) == (["emails:read"], name, "mx_live_")
    assert made["public_id"] in mailmux(service, "keys", "list")
    assert "revoked" in mailmux(service, "keys", "revoke", made["public_id"])
    assert service.get(f"/v1/keys/{made['id']}").json()["revoked_at"] is not None
    all_of_it = json.loads(mailmux(service, "keys", "create", "--json"))
    assert "emails:send" in all_of_it["scopes"]
    mailmux(service, "keys", "revoke", all_of_it["id"])
    assert "--local" in mailmux(service, "keys", "create", "--user", "ada@example.com", code=2)


def test_accounts_are_listed_tested_and_priced_over_the_api(service: Service, tmp_path: Path):
    name = f"cli-{uuid4().hex[:8]}"
    mailmux(service, "providers", "add", name, "memory", "--cost", "0.1", "--json")
    [one] = [
        p
        for p in map(json.loads, mailmux(service, "providers", "list", "--json").splitlines())
        if p["name"] == name
    ]
    assert json.loads(mailmux(service, "providers", "test", name, "--json"))["ok"]
    lists = tmp_path / "prices.json"
    lists.write_text(
        '{"prices": [{"valid_from": "2026-01-01T00:00:00Z", "tiers": [{"per_recipient": "0.2"}]}]}'
    )
    shown = json.loads(mailmux(service, "providers", "prices", name, "--set", str(lists), "--json"))
    assert (shown["provider_id"], shown["per_recipient_now"]) == (one["id"], "0.2")
    mailmux(service, "providers", "delete", name, "--yes")
    assert "no provider" in mailmux(service, "providers", "test", name, code=1)
