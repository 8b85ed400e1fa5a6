"""The connection of one series of emails: kept from before, or opened, and replaced when it ends."""

from __future__ import annotations

from collections.abc import Callable

from providers.smtp_replies import Stage
from providers.smtp_session import Dropped, Parcel, Refusal, Session
from providers.sockets import Deadline, Kept


class TooLarge(Exception):
    """The server said that it takes no email of this size; nothing of it was told."""


class Line:
    """At most `share` emails go over one connection."""

    def __init__(self, kept: Kept[Session], open_one: Callable[[Deadline], Session], share: int) -> None:
        self._kept, self._open, self._share = kept, open_one, share
        self._session: Session | None = None

    def deliver(
        self, parcel: Parcel, following: Parcel | None, deadline: Deadline, go_on: Callable[[], bool]
    ) -> None:
        """Carry one email. Raises Failure."""
        if self._session is None:
            self._session = self._kept.take()
        if self._session is not None:
            try:
                self._transact(self._session, parcel, following, deadline, go_on)
                return
            except Dropped as loss:
                if loss.stage is not Stage.MAIL:
                    raise
            except Refusal as refusal:
                if refusal.reply.code != 421 or refusal.stage is not Stage.MAIL:
                    raise
            # The server had ended the used connection while it was idle; nothing of this email was taken.
        self._session = self._open(deadline)
        self._transact(self._session, parcel, following, deadline, go_on)

    def leave(self) -> None:
        """Keep the connection for the next series, where nothing is under way on it."""
        session, self._session = self._session, None
        if session is not None and session.clean:
            self._kept.give(session)
        elif session is not None:
            session.drop()

    def _transact(
        self,
        session: Session,
        parcel: Parcel,
        following: Parcel | None,
        deadline: Deadline,
        go_on: Callable[[], bool],
    ) -> None:
        limit = session.size_limit
        if limit is not None and len(parcel.data) > limit:
            raise TooLarge(f"the server takes no more than {limit} bytes")
        last = session.sent + 1 >= self._share
        if following is not None and (last or (limit is not None and len(following.data) > limit)):
            following = None
        usable = False
        try:
            session.transmit(parcel, deadline, go_on, following)
            usable = True
        except Refusal as refusal:
            # A refused content has ended its transaction, and the next one may have begun already.
            usable = refusal.reply.code != 421 and (refusal.stage is Stage.END or session.reset())
            raise
        finally:
            if not usable:
                self._session = None
                session.drop()
            elif session.sent >= self._share:
                self._session = None
                session.end()
