"""The sandbox as a whole: the accounts on their ports, the inbox, and the control pages in front of them."""

import fcntl
import os
import threading
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from sandbox.accounts import DEFAULTS, Account, AccountsFile, complete, control_token, read_accounts, url_host
from sandbox.callbacks import Callbacks
from sandbox.certificates import ensure_certificates
from sandbox.control import create_app
from sandbox.dialects import HTTP_DIALECTS
from sandbox.faults import Ending, Fault, FaultBoard
from sandbox.http_account import HttpAccount
from sandbox.listening import AccountServer, HeldPort, PortTaken, log
from sandbox.lists import Lists
from sandbox.messages import Correlation, MessageBox
from sandbox.smtp import EventLoopThread, SmtpServer

LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})


class AlreadyRunning(RuntimeError):
    """Another sandbox uses the same directory."""


@dataclass(frozen=True)
class Options:
    data_dir: Path
    host: str = "127.0.0.1"
    name: str = ""
    """By which others reach it; empty: by this machine's loopback address."""
    port: int = 8026
    """Of the control pages; 0 takes a free one."""
    accounts_file: Path | None = None
    first_account_port: int = 0
    """0 takes free ports, and the same ones again at the next start."""
    fsync: bool = False
    allowed_hosts: frozenset[str] = field(default_factory=frozenset)
    """Names beside the local ones by which browsers may call the control pages."""
    correlation: Correlation = field(default_factory=Correlation)


class Sandbox:
    """Binds everything when made, accepts from `start` on, gives everything back at `stop`.

    Raises AlreadyRunning, InvalidAccounts, PortTaken (the control port only: accounts move to a free port),
    or OSError when the directory cannot be used.
    """

    def __init__(self, options: Options) -> None:
        self.directory = options.data_dir
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock_file = _lock(self.directory)
        self._options = options
        self._lock = threading.RLock()
        self._started = False
        self._control_port = HeldPort(options.host, options.port)
        self._name = options.name or _reachable(options.host)
        self.url = f"http://{url_host(self._name)}:{self._control_port.port}"
        accounts_file = AccountsFile(self.directory)
        wanted = read_accounts(options.accounts_file) if options.accounts_file else DEFAULTS
        ports: dict[str, HeldPort] = {}
        accounts = []
        for index, account in enumerate(complete(wanted, accounts_file.known())):
            first = options.first_account_port
            ports[account.name] = self._hold(account, first + index if first else account.port)
            accounts.append(replace(account, port=ports[account.name].port))
        self.accounts: tuple[Account, ...] = tuple(accounts)
        certificates = ensure_certificates(self.directory, options.name)
        accounts_file.write(
            self.accounts,
            host=self._name,
            control_url=self.url,
            ca_path=certificates.ca_path.absolute(),
        )
        self.token = control_token(self.directory)
        self.board = FaultBoard(account.name for account in self.accounts)
        self.box = MessageBox(self.directory, correlation=options.correlation, fsync=options.fsync)
        self.callbacks = Callbacks(self.directory)
        self._loop = EventLoopThread()
        tls = certificates.server_context()
        self._servers: dict[str, AccountServer] = {}
        for account in self.accounts:
            port = ports[account.name]
            self._servers[account.name] = (
                SmtpServer(account, port, self.board, self.box, tls, self._loop)
                if account.dialect == "smtp"
                else HttpAccount(
                    HTTP_DIALECTS[account.dialect](account), port, self.board, self.box, self.callbacks
                )
            )
        self._control: BaseWSGIServer | None = None

    def start(self) -> None:
        """Accepts calls on every port, then tells where in DIR/endpoint."""
        self.callbacks.start()
        for server in self._servers.values():
            server.open()
        listening = self._control_port.listen()
        self._control = make_server(
            self._options.host,
            self._control_port.port,
            create_app(self, LOCAL_NAMES | {self._name} | self._options.allowed_hosts),
            threaded=True,
            request_handler=_ControlHandler,
            fd=listening.fileno(),
        )
        listening.close()  # make_server works on its own copy
        threading.Thread(target=self._control.serve_forever, args=(0.05,), daemon=True).start()
        self._started = True
        endpoint = self.directory / "endpoint"
        coming = endpoint.with_name("endpoint.new")
        coming.write_text(self.url + "\n")
        coming.replace(endpoint)  # whoever sees the file reads all of it

    def stop(self) -> None:
        """Ends within two seconds, whatever hangs. Messages that were answered are in the file."""
        with self._lock:
            if not self._started:
                return
            self._started = False
            (self.directory / "endpoint").unlink(missing_ok=True)
            if self._control is not None:
                self._control.shutdown()
                self._control.server_close()
            threads = [threading.Thread(target=server.stop) for server in self._servers.values()]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(1.5)
            self._loop.stop()
            self.callbacks.stop()
            self.box.close()
            os.close(self._lock_file)

    def put_fault(self, name: str, fault: Fault | None) -> None:
        """Makes the account fail in this way from now on; None heals it. Raises KeyError for an unknown
        account, PortTaken when the port cannot be listened on again."""
        with self._lock:
            server = self._servers[name]
            if fault is not None and fault.mode.ending is Ending.NO_LISTENER:
                self.board.put(name, fault)
                server.refuse()
                return
            server.open()
            self.board.put(name, fault)
            if fault is not None and fault.mode.name in ("unavailable", "auth"):
                server.disconnect_idle()

    def lists_of(self, name: str) -> Lists | None:
        """Whom an account lists; None: there is no such account, or it speaks SMTP."""
        server = self._servers.get(name)
        return server.dialect.lists if isinstance(server, HttpAccount) else None

    def describe_accounts(self) -> list[dict[str, Any]]:
        """The accounts and their faults, without secrets."""
        return [self.describe_account(account) for account in self.accounts]

    def describe_account(self, account: Account) -> dict[str, Any]:
        fault = self.board.look(account.name)
        described = None
        if fault is not None:
            described = {
                "mode": fault.mode.name,
                "summary": fault.mode.summary,
                "count": fault.remaining,
                "delay": fault.delay,
            }
        scheme = "smtp" if account.dialect == "smtp" else "http"
        return {
            "name": account.name,
            "dialect": account.dialect,
            "url": f"{scheme}://{url_host(self._name)}:{account.port}",
            "port": account.port,
            "fault": described,
            "struck": self.board.struck(account.name),
            "webhook": self.callbacks.address(account.name) is not None,
        }

    def _hold(self, account: Account, port: int) -> HeldPort:
        try:
            return HeldPort(self._options.host, port)
        except PortTaken:
            held = HeldPort(self._options.host, 0)
            log.warning("port %d is taken: %s moves to %d", port, account.name, held.port)
            return held


class _ControlHandler(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:  # noqa: ARG002
        log.debug("%s %s", self.requestline, code)

    def version_string(self) -> str:
        return "sandbox"


def _reachable(host: str) -> str:
    """An address by which this machine reaches a listener on `host`."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not bound


def _lock(directory: Path) -> int:
    fd = os.open(directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(fd)
        raise AlreadyRunning(f"another sandbox uses {directory}") from error
    return fd
