"""`python -m sandbox --data-dir DIR`: runs until SIGTERM or SIGINT, then exits with 0."""

# ruff: noqa: T201 - a program talks to its user

import argparse
import logging
import signal
import sys
import threading
from pathlib import Path

from sandbox.accounts import InvalidAccounts
from sandbox.listening import PortTaken
from sandbox.messages import Correlation
from sandbox.server import AlreadyRunning, Options, Sandbox


def parse_arguments(arguments: list[str]) -> Options:
    ids = Correlation()
    parser = argparse.ArgumentParser(
        prog="python -m sandbox",
        description="Plays email providers on this machine: takes messages, shows them, fails on command.",
    )
    add = parser.add_argument
    add("--data-dir", type=Path, required=True, help="where secrets, ports and received messages are kept")
    add("--host", default="127.0.0.1", help="address of every listener (default: %(default)s)")
    add(
        "--name",
        default="",
        help="the name by which others reach it, where that is not this machine's loopback address",
    )
    add(
        "--port",
        type=_port,
        default=8026,
        help="port of inbox and control (default: %(default)s; 0: a free one)",
    )
    add(
        "--accounts",
        type=Path,
        metavar="FILE",
        help="JSON list of {name, dialect, port?, credentials?, tls?}",
    )
    add(
        "--first-account-port",
        type=_port,
        default=0,
        help="ports of the accounts from here on (default: free ones, kept over restarts)",
    )
    add("--fsync", action="store_true", help="survive a power cut too: sync every message to disk")
    add(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="a name beside localhost by which browsers may open the inbox; can be repeated",
    )
    add("--attempt-arg", default=ids.attempt_arg, help="custom argument with the attempt's id")
    add("--email-arg", default=ids.email_arg, help="custom argument with the email's id")
    add("--attempt-header", default=ids.attempt_header, help="header with the attempt's id")
    add("--email-header", default=ids.email_header, help="header with the email's id")
    add("--verbose", action="store_true", help="log every call to stderr")
    given = parser.parse_args(arguments)
    logging.basicConfig(format="sandbox: %(message)s", level=logging.WARNING)
    logging.getLogger("sandbox").setLevel(logging.DEBUG if given.verbose else logging.WARNING)
    logging.getLogger("mail.log").setLevel(logging.ERROR)
    return Options(
        data_dir=given.data_dir,
        host=given.host,
        name=given.name.lower(),
        port=given.port,
        accounts_file=given.accounts,
        first_account_port=given.first_account_port,
        fsync=given.fsync,
        allowed_hosts=frozenset(name.lower() for name in given.allow_host),
        correlation=Correlation(given.attempt_arg, given.email_arg, given.attempt_header, given.email_header),
    )


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65535:
        raise ValueError(text)
    return port


def main() -> int:
    options = parse_arguments(sys.argv[1:])
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    try:
        sandbox = Sandbox(options)
        sandbox.start()
    except PortTaken as error:
        print(f"sandbox: {error.strerror}; choose another with --port", file=sys.stderr)
        return 1
    except (AlreadyRunning, InvalidAccounts, OSError) as error:
        print(f"sandbox: {error}", file=sys.stderr)
        return 1
    print(f"Inbox and control    {sandbox.url}")
    for account in sandbox.describe_accounts():
        print(f"{account['name']:<20} {account['url']}")
    print(f"Credentials          {sandbox.directory / 'accounts.json'}", flush=True)
    ended.wait()
    sandbox.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
