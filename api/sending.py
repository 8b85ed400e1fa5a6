"""What the routes that take emails have in common: handing over, and what may be said against it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

from api.auth import caller, unauthorized
from api.errors import FieldError, Problem, invalid
from api.requests import body_hash, dependencies
from api.schemas.posting import SendHeaders
from domain.intake import Draft, KeyInFlight, KeyTaken, Objection, Once, Receipt, Refused, SenderGone


def once(route: str, header: SendHeaders) -> Once | None:
    """What makes the request safe to repeat, where it carries an Idempotency-Key."""
    if header.idempotency_key is None:
        return None
    return Once(route, header.idempotency_key, body_hash(), dependencies().limits.idempotency_ttl)


def hand_over(
    drafts: Sequence[Draft], once: Once | None, name: Callable[[Iterable[Objection]], list[FieldError]]
) -> Receipt:
    """Accept emails for the caller. Raises Problem; `name` finds the fields that are objected to."""
    try:
        with told():
            return dependencies().gathering.accept(caller(), drafts, once)
    except Refused as refused:
        raise invalid(name(refused.objections)) from refused


@contextmanager
def told() -> Iterator[None]:
    """What stands in the way of a whole request, as the Problem that tells of it."""
    try:
        yield
    except SenderGone as gone:
        raise unauthorized("the API key was revoked or has expired") from gone
    except KeyTaken as taken:
        reused = FieldError("header", "Idempotency-Key", "reused", "used before, with another body")
        raise Problem(
            422,
            "The Idempotency-Key was used for another request",
            type="idempotency-key-reused",
            errors=[reused],
        ) from taken
    except KeyInFlight as busy:
        raise Problem(
            409,
            "A request with this Idempotency-Key is being worked on",
            type="request-in-flight",
            headers={"Retry-After": "1"},
        ) from busy


def replayed(receipt: Receipt) -> dict[str, str]:
    """The header field that tells an answer that was given before."""
    return repeated(receipt.replayed)


def repeated(before: bool) -> dict[str, str]:
    return {"Idempotent-Replayed": "true"} if before else {}
