"""/u/<token>: where a recipient of marketing leaves, without a key (RFC 8058). POST unsubscribes; GET only asks, since
scanners follow every link of an email. No cookie, no redirect, no script.
"""

from __future__ import annotations

from flask import Blueprint, Flask, Response, render_template

from api.deps import Dependencies
from db.repositories.suppressions import Entry, Leaver
from domain.suppression import MARKETING, OF_TYPE, Cause, normalized
from domain.unsubscribe import email_of, is_of

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"


def register_unsubscribe(app: Flask, deps: Dependencies) -> None:
    pages = Blueprint("unsubscribe", __name__)

    def find(token: str) -> Leaver | None:
        email_id = email_of(token)
        if email_id is None:
            return None
        with deps.units() as unit:
            leavers = unit.suppressions.leavers(email_id)
        return next((one for one in leavers if is_of(token, one.secret, email_id, one.address)), None)

    @pages.get("/u/<token>")
    def ask(token: str) -> Response:
        leaver = find(token)
        if leaver is None:
            return _unknown()
        what = "of these emails" if leaver.only_type else "newsletters and offers from this sender"
        return _page("Unsubscribe?", f"You will get no more {what}.", ask=True)

    @pages.post("/u/<token>")
    def leave(token: str) -> Response:
        leaver = find(token)
        if leaver is None:
            return _unknown()
        scope = OF_TYPE + leaver.email_type if leaver.only_type else MARKETING
        entry = Entry(
            leaver.user_id,
            normalized(leaver.address),
            scope,
            Cause.UNSUBSCRIBED,
            "link",
            None,
            leaver.email_id,
        )
        with deps.units() as unit:
            unit.suppressions.add([entry])
            unit.commit()
        return _page("You are unsubscribed", "Emails that are on their way already may still arrive.")

    for view in (ask, leave):
        view.public = True  # type: ignore[attr-defined]  # the link proves itself
    app.register_blueprint(pages)


def _unknown() -> Response:
    return _page("This link is not known", "Please take the link from the email again, whole.", 404)


def _page(title: str, text: str, status: int = 200, ask: bool = False) -> Response:
    return Response(
        render_template("unsubscribe.html", title=title, text=text, ask=ask),
        status,
        content_type="text/html; charset=utf-8",
        headers={"Content-Security-Policy": _POLICY, "Referrer-Policy": "no-referrer"},
    )
