"""Who may change what: one's own; what is shared, operators."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import RowMapping

from api.auth import Caller
from api.errors import Problem, not_found


def new_owner(caller: Caller, shared: bool) -> UUID | None:
    """The owner of what is about to be made; None: shared. Raises Problem where the caller may not share."""
    if shared and not caller.is_operator:
        raise _operators_only()
    return None if shared else caller.user_id


def changeable(caller: Caller, row: RowMapping | None) -> RowMapping:
    """The row, where the caller may change it. Raises Problem: 404 or 403.

    Rows come from repositories that show a user only their own and shared ones.
    """
    if row is None:
        raise not_found()
    if row["user_id"] is None and not caller.is_operator:
        raise _operators_only()
    return row


def _operators_only() -> Problem:
    return Problem(403, "Only an operator may make or change what is shared", type="operators-only")
