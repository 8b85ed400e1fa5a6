"""The sandbox's control pages and inbox, on real sockets."""

import re
from collections.abc import Iterator

import pytest

from sandbox.accounts import DEFAULTS
from tests.integration.sandbox_driver import Driver, base64_text, mail, running

HOSTILE = '"><script>alert(1)</script>'


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driver]:
    with running(tmp_path_factory.mktemp("sandbox"), allowed_hosts=frozenset({"sandbox.test"})) as driver:
        yield driver


@pytest.fixture
def driver(shared: Driver) -> Iterator[Driver]:
    shared.control("DELETE", "/messages")
    yield shared
    for account in shared.known["accounts"]:
        shared.heal(account["name"])


@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer wrong", "Basic {token}", "{token}"])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/control/accounts/sandbox-smtp/fault"),
        ("DELETE", "/control/accounts/sandbox-smtp/fault"),
        ("DELETE", "/messages"),
    ],
)
def test_changing_anything_takes_the_token(
    driver: Driver, method: str, path: str, authorization: str
) -> None:
    driver.send()
    header = authorization.format(token=driver.sandbox.token)
    answer = driver.call(driver.control_port, method, path, {"mode": "hang"}, Authorization=header)
    assert answer.status == 401
    assert len(driver.received()) == 1
    assert driver.get("/control/accounts").json["accounts"][2]["fault"] is None


def test_no_page_shows_a_secret(driver: Driver) -> None:
    driver.send()
    secrets = [value for account in driver.known["accounts"] for value in account["credentials"].values()]
    proofs = [account.get("webhook", {}) for account in driver.known["accounts"]]
    secrets += [
        value for proof in proofs for value in (*proof.get("secret", {}).values(), proof.get("private_key"))
    ]
    public = {None, "sandbox-smtp", "postmark"}
    secrets = [secret for secret in secrets if secret not in public] + [driver.sandbox.token]
    assert len(secrets) == 10
    for path in ("/", "/control/accounts", "/messages.json", "/messages/1", "/healthz", "/accounts.json"):
        shown = driver.get(path).body.decode()
        assert not any(secret in shown for secret in secrets), path


def test_a_foreign_name_is_not_answered(driver: Driver) -> None:
    assert driver.get("/messages.json", Host="evil.example").status == 403
    assert driver.get("/messages.json", Host="").status == 403
    assert driver.get("/", Host="127.0.0.1.evil.example:8026").status == 403
    for name in ("localhost", "127.0.0.1:8026", "[::1]:8026", "LOCALHOST:1", "sandbox.test"):
        assert driver.get("/", Host=name).status == 200


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"mode": "explode"}, "mode must be one of refuse, unavailable"),
        ({}, "mode must be one of"),
        ([], "JSON object"),
        ({"mode": "hang", "count": 0}, "count"),
        ({"mode": "hang", "count": True}, "count"),
        ({"mode": "refuse", "count": 1}, "cannot be counted"),
        ({"mode": "hang", "delay": 1}, "takes no delay"),
        ({"mode": "slow", "delay": -1}, "delay"),
        ({"mode": "slow", "delay": 1e9}, "delay"),
        ({"mode": "slow", "times": 3}, "unknown: times"),
    ],
)
def test_a_senseless_fault_is_refused_with_a_reason(driver: Driver, body: object, said: str) -> None:
    answer = driver.control("POST", "/control/accounts/sandbox-smtp/fault", body)
    assert answer.status == 400
    assert said in answer.json["error"]


def test_an_unknown_account_names_the_known_ones(driver: Driver) -> None:
    answer = driver.control("POST", "/control/accounts/nobody/fault", {"mode": "hang"})
    assert answer.status == 404
    assert answer.json["known"] == [account.name for account in DEFAULTS]


def test_the_state_of_a_fault_is_told(driver: Driver) -> None:
    driver.fail("sandbox-sendgrid", "unavailable", count=3)
    driver.send()
    account = driver.get("/control/accounts").json["accounts"][0]
    assert (account["fault"]["mode"], account["fault"]["count"], account["struck"]) == ("unavailable", 2, 1)
    assert "unavailable ×2" in re.sub(r"\s+", " ", driver.get("/").body.decode())


def test_messages_are_found_by_what_they_carry(driver: Driver) -> None:
    driver.send(mail("ada@example.com", custom_args={"mailmux_email": "e-1", "mailmux_attempt": "a-1"}))
    driver.send(mail("bob@example.com", subject="Invoice"), account="sandbox-sendgrid-eu")
    found = {
        "to=ADA": ["ada@example.com"],
        "email_id=e-1": ["ada@example.com"],
        "attempt_id=a-1": ["ada@example.com"],
        "account=sandbox-sendgrid-eu": ["bob@example.com"],
        "q=invoice": ["bob@example.com"],
        "q=ada": ["ada@example.com"],
        "limit=1": ["bob@example.com"],
        "": ["bob@example.com", "ada@example.com"],
        "email_id=none": [],
    }
    for query, recipients in found.items():
        messages = driver.get(f"/messages.json?{query}").json["messages"]
        assert [m["envelope"]["to"][0] for m in messages] == recipients, query
    for limit in ("0", "2001", "x", "-1"):
        assert driver.get(f"/messages.json?limit={limit}").status == 400


def test_one_message_is_shown_and_a_missing_one_is_not_found(driver: Driver) -> None:
    driver.send()
    seq = driver.received()[0]["seq"]
    assert driver.get(f"/messages/{seq}.json").json["subject"] == "Your order"
    assert driver.get(f"/messages/{seq + 1}.json").status == 404
    assert driver.get(f"/messages/{seq + 1}").status == 404
    assert driver.get(f"/messages/{seq + 1}/html").status == 404


def test_deleting_empties_the_inbox_and_its_file_but_numbers_go_on(driver: Driver) -> None:
    driver.send()
    seq = driver.received()[0]["seq"]
    assert driver.control("DELETE", "/messages").json == {"deleted": 1}
    assert driver.received() == []
    assert (driver.sandbox.directory / "received.jsonl").read_bytes() == b""
    driver.send()
    assert driver.received()[0]["seq"] == seq + 1


def test_everything_in_a_message_is_escaped(driver: Driver) -> None:
    mailbox = {"email": "ada@example.com", "name": HOSTILE}
    driver.send(
        mail(
            personalizations=[{"to": [mailbox], "custom_args": {HOSTILE: HOSTILE}}],
            subject=HOSTILE,
            content=[{"type": "text/plain", "value": HOSTILE}],
            attachments=[{"content": base64_text(b"x"), "filename": HOSTILE, "type": HOSTILE}],
            headers={"X-Hostile": HOSTILE},
            categories=[HOSTILE],
        )
    )
    seq = driver.received()[0]["seq"]
    for path in ("/", f"/?q={HOSTILE.replace(' ', '+')}", f"/?account={HOSTILE}", f"/messages/{seq}"):
        answer = driver.get(path)
        assert answer.status == 200
        assert b"<script" not in answer.body, path
        assert b"&lt;script&gt;" in answer.body, path


def test_pages_run_no_scripts_and_load_nothing_from_elsewhere(driver: Driver) -> None:
    answer = driver.get("/")
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert not re.search(rb"(src|href)=\"(https?:)?//", answer.body)


def test_the_html_part_stands_in_a_sandboxed_frame_and_alone_is_sandboxed_too(driver: Driver) -> None:
    driver.send(mail(content=[{"type": "text/html", "value": "<script>alert(1)</script>"}]))
    seq = driver.received()[0]["seq"]
    page = driver.get(f"/messages/{seq}").body.decode()
    assert re.search(rf'<iframe sandbox src="/messages/{seq}/html"', page)
    assert "<script" not in page
    policy = driver.get(f"/messages/{seq}/html").headers["Content-Security-Policy"]
    assert policy.startswith("sandbox; default-src 'none'")


def test_healthz(driver: Driver) -> None:
    assert driver.get("/healthz").json["status"] == "ok"
    assert [mode["mode"] for mode in driver.get("/control/modes").json["modes"]][:2] == [
        "refuse",
        "unavailable",
    ]
