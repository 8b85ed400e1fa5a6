"""The accounts that the sandbox plays: their names, dialects, ports and secrets, kept in DIR/accounts.json.

The file is for the person or program that registers the accounts somewhere: it holds the credentials and the
certificate authority, is readable by its owner only, and keeps ports and secrets over restarts.
"""

import json
import os
import re
import secrets
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, cast

from sandbox import mailgun_events, resend_events, sendgrid_events, ses_events

Tls = Literal["starttls", "implicit"]

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_CREDENTIALS: dict[str, dict[str, Callable[[str], str]]] = {
    # The form of SendGrid's keys: "SG.", 22 characters, a dot, 43 characters.
    "sendgrid": {"api_key": lambda _: f"SG.{secrets.token_urlsafe(16)}.{secrets.token_urlsafe(32)}"},
    "mailgun": {
        "api_key": lambda _: f"{secrets.token_hex(16)}-{secrets.token_hex(4)}-{secrets.token_hex(4)}"
    },
    "postmark": {"server_token": lambda _: str(uuid.uuid4())},
    "resend": {"api_key": lambda _: f"re_{secrets.token_hex(4)}_{secrets.token_urlsafe(18)}"},
    "ses": {
        "access_key_id": lambda _: f"AKIA{secrets.token_hex(8).upper()}",
        "secret_access_key": lambda _: secrets.token_urlsafe(30),
    },
    "smtp": {"username": lambda name: name, "password": lambda _: secrets.token_urlsafe(24)},
}
"""For each dialect its credentials, and how fresh ones are made for an account of that name. They have the form
of the provider's own."""
DIALECTS = tuple(_CREDENTIALS)
_WEBHOOKS: dict[str, Callable[[], dict[str, Any]]] = {
    "mailgun": mailgun_events.fresh_secret,
    "postmark": lambda: {"secret": {"username": "postmark", "password": secrets.token_urlsafe(24)}},
    "resend": resend_events.fresh_secret,
    "sendgrid": sendgrid_events.fresh_keys,
    "ses": ses_events.fresh_keys,
}
"""For each dialect with a webhook what proves its calls: `secret` is what the receiver is told."""


class InvalidAccounts(ValueError):
    """The list of accounts cannot be used; the message says why."""


@dataclass(frozen=True)
class Account:
    name: str
    dialect: str
    port: int = 0
    """0 until a port is bound."""
    credentials: dict[str, str] = field(default_factory=dict, repr=False)
    tls: Tls = "starttls"
    """Only for SMTP."""
    webhook: dict[str, Any] = field(default_factory=dict, repr=False)
    """What proves the calls of its webhook; empty where its dialect has none."""


DEFAULTS = (
    Account("sandbox-sendgrid", "sendgrid"),
    Account("sandbox-sendgrid-eu", "sendgrid"),
    Account("sandbox-smtp", "smtp"),
    Account("sandbox-postmark", "postmark"),
)


def read_accounts(path: Path) -> tuple[Account, ...]:
    """The accounts of a file: a JSON list of {name, dialect, port?, credentials?, tls?}, or such a list under
    "accounts". Raises InvalidAccounts."""
    try:
        data = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise InvalidAccounts(f"{path}: {error}") from error
    entries = data.get("accounts") if isinstance(data, dict) else data
    if not isinstance(entries, list) or not entries:
        raise InvalidAccounts(f"{path}: a list of accounts is expected")
    accounts = tuple(_parse(entry, f"{path}: account {n}") for n, entry in enumerate(entries, 1))
    if len({account.name for account in accounts}) != len(accounts):
        raise InvalidAccounts(f"{path}: two accounts have the same name")
    return accounts


def _parse(entry: Any, where: str) -> Account:
    if not isinstance(entry, dict):
        raise InvalidAccounts(f"{where}: an object is expected")
    name, dialect = entry.get("name"), entry.get("dialect")
    port, credentials, tls = (
        entry.get("port") or 0,
        entry.get("credentials") or {},
        entry.get("tls", "starttls"),
    )
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InvalidAccounts(f"{where}: name must be lower-case letters, digits and dashes")
    if dialect not in DIALECTS:
        raise InvalidAccounts(f"{where}: dialect must be one of {', '.join(DIALECTS)}")
    if isinstance(port, bool) or not isinstance(port, int) or not 0 <= port <= 65535:
        raise InvalidAccounts(f"{where}: port must be a number from 0 to 65535")
    if tls not in ("starttls", "implicit"):
        raise InvalidAccounts(f"{where}: tls must be starttls or implicit")
    wanted = _CREDENTIALS[dialect]
    if not isinstance(credentials, dict) or any(
        key not in wanted or not isinstance(value, str) or not value for key, value in credentials.items()
    ):
        raise InvalidAccounts(f"{where}: credentials may hold {' and '.join(wanted)}, as text")
    webhook = entry.get("webhook") or {}
    if not isinstance(webhook, dict):
        raise InvalidAccounts(f"{where}: webhook must be an object")
    return Account(name, dialect, port, dict(credentials), cast(Tls, tls), webhook)


def complete(accounts: Iterable[Account], known: Iterable[Account]) -> tuple[Account, ...]:
    """The accounts with what they lack: port and secrets as they were, else fresh secrets."""
    before = {account.name: account for account in known}
    completed = []
    for account in accounts:
        old = before.get(account.name)
        if old is not None and old.dialect != account.dialect:
            old = None
        credentials = {
            **_fresh_credentials(account),
            **(old.credentials if old else {}),
            **account.credentials,
        }
        port = account.port or (old.port if old else 0)
        webhook = account.webhook or (old.webhook if old else {}) or _fresh_webhook(account)
        completed.append(replace(account, port=port, credentials=credentials, webhook=webhook))
    return tuple(completed)


def _fresh_credentials(account: Account) -> dict[str, str]:
    return {key: make(account.name) for key, make in _CREDENTIALS[account.dialect].items()}


def _fresh_webhook(account: Account) -> dict[str, Any]:
    make = _WEBHOOKS.get(account.dialect)
    return {} if make is None else make()


class AccountsFile:
    """DIR/accounts.json."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "accounts.json"

    def known(self) -> tuple[Account, ...]:
        """The accounts of the last start; none at the first. Raises InvalidAccounts."""
        return read_accounts(self.path) if self.path.exists() else ()

    def write(self, accounts: Iterable[Account], *, host: str, control_url: str, ca_path: Path) -> None:
        """Writes all that is needed to register the accounts, whole or not at all, mode 0600."""
        ca_pem = ca_path.read_text()
        document = {
            "control": {"url": control_url},
            "tls": {"ca_path": str(ca_path), "ca_pem": ca_pem},
            "accounts": [_describe(account, host, ca_path, ca_pem) for account in accounts],
        }
        write_secret(self.path, json.dumps(document, indent=2) + "\n")


def _describe(account: Account, host: str, ca_path: Path, ca_pem: str) -> dict[str, Any]:
    described: dict[str, Any] = {
        "name": account.name,
        "dialect": account.dialect,
        "host": host,
        "port": account.port,
        "credentials": account.credentials,
    }
    if account.webhook:
        described["webhook"] = account.webhook
    if account.dialect == "smtp":
        described |= {"tls": account.tls, "ca_path": str(ca_path), "ca_pem": ca_pem}
    else:
        described["base_url"] = f"http://{url_host(host)}:{account.port}"
    return described


def url_host(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def write_secret(path: Path, content: str) -> None:
    """Replaces the file at once; only its owner can read it, at no moment anyone else."""
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(fd, "w") as file:
        file.write(content)
    os.replace(fresh, path)


def control_token(directory: Path) -> str:
    """The bearer token of DIR/control-token, made at the first start."""
    path = directory / "control-token"
    if not path.exists():
        write_secret(path, secrets.token_urlsafe(32) + "\n")
    return path.read_text().strip()
