"""The control pages: faults by token, the inbox for everyone who can reach the port.

Changing anything takes the bearer token of DIR/control-token, a header that no foreign site can make a
browser send. Reading takes none, so only callers that use a local name (or one that was allowed) are
answered: a foreign name that resolves to this machine (DNS rebinding) is not.
"""

import hmac
import re
import secrets
import time
from collections.abc import Callable
from functools import wraps
from typing import Any, Protocol, TypeVar, cast

from flask import Flask, Response, g, jsonify, render_template, request
from werkzeug.exceptions import HTTPException

from sandbox.accounts import Account
from sandbox.callbacks import Callbacks
from sandbox.faults import MODES, Fault, InvalidFault, parse_fault
from sandbox.listening import PortTaken
from sandbox.lists import InvalidEntry, Lists, read_entries
from sandbox.messages import MessageBox

_PAGE = 100
_MAX_LIMIT = 2000
_View = TypeVar("_View", bound=Callable[..., Any])


class Controlled(Protocol):
    """What the control pages need of the sandbox."""

    @property
    def box(self) -> MessageBox: ...
    @property
    def token(self) -> str: ...
    @property
    def callbacks(self) -> Callbacks: ...
    @property
    def accounts(self) -> tuple[Account, ...]: ...

    def put_fault(self, name: str, fault: Fault | None) -> None: ...
    def lists_of(self, name: str) -> Lists | None: ...
    def describe_accounts(self) -> list[dict[str, Any]]: ...
    def describe_account(self, account: Account) -> dict[str, Any]: ...


def create_app(sandbox: Controlled, allowed_hosts: frozenset[str]) -> Flask:
    app = Flask("sandbox", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = 4 * 1024 * 1024
    app.json.sort_keys = False  # type: ignore[attr-defined]

    @app.before_request
    def check_host() -> Response | None:
        g.nonce = secrets.token_urlsafe(16)
        name = re.sub(r":\d*\Z", "", request.headers.get("Host", "")).lower()
        if name in allowed_hosts:
            return None
        return _problem(403, "this name is not allowed; use localhost, or start with --allow-host")

    @app.after_request
    def protect(response: Response) -> Response:
        response.headers.setdefault(
            "Content-Security-Policy",
            f"default-src 'none'; style-src 'nonce-{g.nonce}'; frame-src 'self'; form-action 'self'; "
            "base-uri 'none'; frame-ancestors 'none'",
        )
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "no-referrer"
        response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
        response.headers["X-DNS-Prefetch-Control"] = "off"
        response.headers["Cache-Control"] = "no-store"
        return response

    @app.errorhandler(HTTPException)
    def explain(error: HTTPException) -> Response:
        return _problem(error.code or 500, error.description or error.name)

    @app.get("/healthz")
    def healthz() -> Response:
        return jsonify(status="ok", received=sandbox.box.received())

    _add_faults(app, sandbox)
    _add_webhooks(app, sandbox)
    _add_lists(app, sandbox)
    _add_pages(app, sandbox)
    _add_json(app, sandbox)
    return app


def _token_needed(sandbox: Controlled) -> Callable[[_View], _View]:
    def decorate(view: _View) -> _View:
        @wraps(view)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            scheme, _, token = request.headers.get("Authorization", "").partition(" ")
            right = hmac.compare_digest(token.strip().encode(), sandbox.token.encode())
            if scheme.lower() != "bearer" or not right:
                answer = _problem(401, "send the token of the control-token file as a bearer token")
                answer.headers["WWW-Authenticate"] = "Bearer"
                return answer
            return view(*args, **kwargs)

        return cast(_View, guarded)

    return decorate


def _add_faults(app: Flask, sandbox: Controlled) -> None:
    @app.get("/control/accounts")
    def accounts() -> Response:
        return jsonify(accounts=sandbox.describe_accounts())

    @app.get("/control/modes")
    def modes() -> Response:
        return jsonify(modes=[{"mode": mode.name, "summary": mode.summary} for mode in MODES.values()])

    @app.post("/control/accounts/<name>/fault")
    @_token_needed(sandbox)
    def put_fault(name: str) -> Response:
        body = request.get_json(silent=True, force=True)
        if not isinstance(body, dict):
            return _problem(400, "a JSON object is expected")
        unknown = sorted(set(body) - {"mode", "count", "delay"})
        if unknown:
            return _problem(400, f"unknown: {', '.join(unknown)}")
        try:
            return _change(sandbox, name, parse_fault(body.get("mode"), body.get("count"), body.get("delay")))
        except InvalidFault as error:
            return _problem(400, str(error))

    @app.delete("/control/accounts/<name>/fault")
    @_token_needed(sandbox)
    def heal(name: str) -> Response:
        return _change(sandbox, name, None)


def _add_webhooks(app: Flask, sandbox: Controlled) -> None:
    @app.put("/control/accounts/<name>/webhook")
    @_token_needed(sandbox)
    def point(name: str) -> Response:
        """{"url": …}: where the account's events go; null: nowhere."""
        body = request.get_json(silent=True, force=True)
        url = body.get("url") if isinstance(body, dict) else ""
        account = next((account for account in sandbox.accounts if account.name == name), None)
        if account is None:
            return _problem(404, f"no account {name}")
        if not account.webhook:
            return _problem(409, f"{account.dialect} has no webhook here")
        if url is not None and not isinstance(url, str):
            return _problem(400, "url must be text, or null")
        try:
            sandbox.callbacks.point(name, url)
        except ValueError as error:
            return _problem(400, str(error))
        return jsonify(sandbox.describe_account(account))

    @app.post("/control/messages/<int:seq>/events")
    @_token_needed(sandbox)
    def tell_again(seq: int) -> Response:
        """Tells all that was told of a message once more: {"times", "shuffle", "forged", "age"}."""
        body = request.get_json(silent=True, force=True) or {}
        try:
            times, age = int(body.get("times", 1)), float(body.get("age", 0))
            if not (1 <= times <= 1000 and 0 <= age <= 1e9):
                raise ValueError("times must be from 1 to 1000, age some seconds")
            shuffle, forged = bool(body.get("shuffle")), bool(body.get("forged"))
            statuses = sandbox.callbacks.again(seq, times, shuffle, forged, age)
        except (ValueError, TypeError, AttributeError) as error:
            return _problem(400, str(error))
        except KeyError:
            return _problem(
                404, "nothing was told of this message: its recipients are not among the magic ones"
            )
        return jsonify(statuses=statuses)


def _add_lists(app: Flask, sandbox: Controlled) -> None:
    @app.put("/control/accounts/<name>/suppressions")
    @_token_needed(sandbox)
    def put_suppressions(name: str) -> Response:
        """{"entries": [{"address", "reason"}]}: whom the account lists from now on."""
        lists = sandbox.lists_of(name)
        if lists is None:
            return _problem(404, f"no account {name} with lists")
        try:
            entries = read_entries(request.get_json(silent=True, force=True), time.time())
        except InvalidEntry as error:
            return _problem(400, str(error))
        lists.put(entries)
        return jsonify(entries=len(entries))


def _change(sandbox: Controlled, name: str, fault: Fault | None) -> Response:
    account = next((account for account in sandbox.accounts if account.name == name), None)
    if account is None:
        known = [account.name for account in sandbox.accounts]
        return _problem(404, f"no account {name}; there are {', '.join(known)}", known=known)
    try:
        sandbox.put_fault(name, fault)
    except PortTaken as error:
        return _problem(409, error.strerror or str(error))
    return jsonify(sandbox.describe_account(account))


def _add_pages(app: Flask, sandbox: Controlled) -> None:
    @app.get("/")
    def inbox() -> str:
        query = request.args.get("q", "").strip()
        account = request.args.get("account", "")
        return render_template(
            "inbox.html",
            messages=sandbox.box.find(query=query, account=account, limit=_PAGE),
            page=_PAGE,
            accounts=sandbox.describe_accounts(),
            kept=sandbox.box.kept(),
            received=sandbox.box.received(),
            query=query,
            account=account,
            refresh=request.args.get("refresh", "") == "on",
        )

    @app.get("/messages/<int:seq>")
    def message(seq: int) -> Response | str:
        record = sandbox.box.get(seq)
        return _gone() if record is None else render_template("message.html", message=record)

    @app.get("/messages/<int:seq>/html")
    def message_html(seq: int) -> Response:
        """The HTML part alone, for the frame: no scripts or forms, nothing from elsewhere, no origin."""
        record = sandbox.box.get(seq)
        if record is None:
            return _gone()
        response = Response(record["html"], mimetype="text/html")
        response.headers["Content-Security-Policy"] = (
            "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'"
        )
        return response


def _add_json(app: Flask, sandbox: Controlled) -> None:
    @app.get("/messages.json")
    def messages() -> Response:
        limit = request.args.get("limit", "50")
        if not (limit.isascii() and limit.isdigit() and 1 <= int(limit[:9]) <= _MAX_LIMIT):
            return _problem(400, f"limit must be from 1 to {_MAX_LIMIT}")
        wanted = {key: request.args.get(key, "") for key in ("to", "email_id", "attempt_id", "account")}
        found = sandbox.box.find(**wanted, query=request.args.get("q", ""), limit=int(limit))
        return jsonify(messages=found, kept=sandbox.box.kept(), received=sandbox.box.received())

    @app.get("/messages/<int:seq>.json")
    def message_json(seq: int) -> Response:
        record = sandbox.box.get(seq)
        return _gone() if record is None else jsonify(record)

    @app.delete("/messages")
    @_token_needed(sandbox)
    def clear() -> Response:
        return jsonify(deleted=sandbox.box.clear())


def _gone() -> Response:
    return _problem(404, "no such message, or it is no longer among the newest")


def _problem(status: int, detail: str, **more: Any) -> Response:
    response = jsonify(error=detail, **more)
    response.status_code = status
    return response
