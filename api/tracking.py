"""/t/<token>: the image of an email that is opened, and the links that are followed, without a key.

A link leads to the address that it bears, where we made it, and nowhere else. What is noticed is kept as an event of
the provider that carried the email, and applied by workers as all are. Where an email is not kept any more, nothing is
noticed, and its links still lead where they led.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import structlog
from flask import Blueprint, Flask, Request, Response, render_template, request

from api.auth import caller
from api.deps import Dependencies
from api.posts import Post
from api.requests import dependencies
from db.repositories.tracking import Opened
from domain import tracking
from domain.errors import StorageUnavailable
from domain.events import DeliveryEvent, EventType, InboundEvent
from domain.intake import Draft, Objection
from domain.tracking import Followed, Kind

log = structlog.get_logger(__name__)

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_NEVER_KEPT = {
    "Cache-Control": "no-store, max-age=0",
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex, nofollow",
}
# The smallest image that is not seen: GIF89a, 1 × 1, transparent.
_IMAGE: Final = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")
_TYPES = {Kind.OPENED: EventType.OPENED, Kind.CLICKED: EventType.CLICKED}
_PROGRAMS = re.compile(
    r"bot\b|bot/|crawl|spider|slurp|scan|preview|prefetch|monitor|proofpoint|mimecast|barracuda|safelinks|headless"
    r"|^(?:curl|wget|python|go-http|java|okhttp|axios|node|ruby|php|libwww)",
    re.IGNORECASE,
)
_PURPOSES = ("Sec-Purpose", "Purpose", "X-Purpose", "X-Moz")
_LONGEST_AGENT = 300
_CANNOT = (
    "no provider that may carry the email tracks {what} by itself: with MAILMUX_PUBLIC_URL this service does"
)


def register_tracking(app: Flask, deps: Dependencies) -> None:
    pages = Blueprint("tracking", __name__)

    @pages.get("/t/<token>")
    def follow(token: str) -> Response:
        followed = tracking.read(token)
        if followed is None:
            return _unknown()
        with deps.units() as unit:
            secret = unit.tracking.secret(followed.user_id)
            if secret is None or not tracking.is_of(followed, secret):
                return _unknown()
            opened = unit.tracking.opened(followed.user_id, followed.email_id)
        if opened is not None:
            try:
                deps.posts.keep(Post(opened.provider_id, [_event(followed, opened, token, request)]))
            except (
                StorageUnavailable
            ) as error:  # that it is noticed matters less than that it leads somewhere
                log.warning("link_not_noticed", email=str(followed.email_id), error=str(error))
        if followed.kind is Kind.OPENED:
            return Response(_IMAGE, content_type="image/gif", headers=_NEVER_KEPT)
        return Response("", 302, headers={"Location": followed.address, **_NEVER_KEPT})

    follow.public = True  # type: ignore[attr-defined]  # the link proves itself
    app.register_blueprint(pages)


def trackable(drafts: Sequence[Draft]) -> list[Draft]:
    """The same emails. Those bear objections that are to be tracked, where neither we nor any provider could do it."""
    deps = dependencies()
    asked = [d for d in drafts if d.tracking.opens or d.tracking.clicks]
    if deps.gathering.rules.public_url is not None or not asked:
        return list(drafts)
    asker = caller()
    able = [
        p.capabilities
        for p in deps.board().providers
        if p.owner in (None, asker.user_id) and p.test is asker.is_test and p.active
    ]
    lacking = {
        what for what in ("opens", "clicks") if not any(getattr(can, f"tracking_{what}") for can in able)
    }
    return [_judged(draft, lacking) for draft in drafts]


def _judged(draft: Draft, lacking: set[str]) -> Draft:
    said = tuple(
        Objection(draft.item, ("track", what), "cannot_track", _CANNOT.format(what=what))
        for what in sorted(lacking)
        if getattr(draft.tracking, what)
    )
    return replace(draft, objections=(*draft.objections, *said)) if said else draft


def _event(followed: Followed, opened: Opened, token: str, asked: Request) -> InboundEvent:
    """Each link once a minute: who asks again and again tells nothing new, and fills nobody's disk."""
    minute = int(opened.now.timestamp()) // 60
    key = hashlib.sha256(f"{token} {minute}".encode()).hexdigest()
    event = DeliveryEvent(
        type=_TYPES[followed.kind],
        event_id=key,
        occurred_at=opened.now,
        recipient=opened.recipient,
        attempt_id=opened.attempt_id,
        email_id=followed.email_id,
        click_url=followed.address or None,
        user_agent=_plain(asked.headers.get("User-Agent", "")) or None,
        machine=_machine(asked),
    )
    return InboundEvent(key, event, "{}")


def _machine(asked: Request) -> str | None:
    """A sign that a program asks: one that looks at a link before a person does, or in their place."""
    agent = asked.headers.get("User-Agent", "")
    if asked.method == "HEAD":
        return "head"
    if any(
        re.search(r"prefetch|preview|prerender", asked.headers.get(name, ""), re.IGNORECASE)
        for name in _PURPOSES
    ):
        return "prefetch"
    if not agent:
        return "no_user_agent"
    if (
        agent == "Mozilla/5.0"
    ):  # Apple's Mail Privacy Protection loads images of emails that nobody has opened
        return "privacy_proxy"
    return "user_agent" if _PROGRAMS.search(agent) else None


def _plain(agent: str) -> str:
    return "".join(character for character in agent if character.isprintable())[:_LONGEST_AGENT]


def _unknown() -> Response:
    title, text = "This link is not known", "Please take the link from the email again, whole."
    return Response(
        render_template("unsubscribe.html", title=title, text=text, ask=False),
        404,
        content_type="text/html; charset=utf-8",
        headers={"Content-Security-Policy": _POLICY, **_NEVER_KEPT},
    )
