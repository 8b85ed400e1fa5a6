"""The shapes of requests and answers about budgets."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, Field, PlainSerializer, StrictBool, WithJsonSchema
from pydantic_core import PydanticCustomError

from api.fields import Amount, Body, Out, Page, Text, Timestamp, TimeZone, example, show_cost
from api.schemas.providers import Currency

_SUM = r"^[0-9]{1,9}(\.[0-9]{1,8})?$"
PeriodName = Literal["day", "month"]


def _read_sum(value: Any) -> Any:
    if value is None or isinstance(value, Decimal):
        return value
    if not isinstance(value, str) or not re.match(_SUM, value, re.ASCII) or value.endswith("\n"):
        raise PydanticCustomError(
            "amount", 'an amount is a decimal text as "25.50", of at most 9 and 8 digits around the point'
        )
    return Decimal(value)


Sum = Annotated[
    Decimal,
    BeforeValidator(_read_sum),
    PlainSerializer(show_cost, return_type=str),
    WithJsonSchema({"type": "string", "pattern": _SUM, "examples": ["25.50"]}),
]


class BudgetCreate(Body):
    """What may be spent in a day or a month: at one provider, or at all of them together."""

    model_config = example({"amount": "250", "period": "month", "time_zone": "Europe/Berlin"})

    amount: Sum
    currency: Currency = Field(
        default="USD", description="Prices in others are converted by the rates of the service."
    )
    period: PeriodName = "month"
    provider: Text | None = Field(
        default=None, max_length=100, description="Its name or id. Left out: all providers together."
    )
    time_zone: TimeZone = Field(
        default="UTC", description="Where days and months begin: a name of the IANA database."
    )
    user_id: UUID | None = Field(
        default=None,
        description="For this user, who cannot change it; only operators may. Left out: the caller.",
    )
    shared: StrictBool = Field(
        default=False, description="For the emails of all users together; only operators may."
    )


class BudgetChange(Body):
    model_config = example({"amount": "400"})

    amount: Sum = Field(description="From now on; what was spent stays spent.")


class BudgetPath(BaseModel):
    budget_id: UUID = Field(description="The budget's id.")


class BudgetOut(Out):
    """A budget, and what is spent of it in the day or month that goes on."""

    id: UUID
    amount: Sum
    currency: str
    period: PeriodName
    time_zone: str
    provider_id: UUID | None = Field(description="Null: all providers together.")
    provider: str | None
    user_id: UUID | None = Field(description="Whose emails; null: everybody's.")
    imposed: bool = Field(description="Whether an operator has set it for a user.")
    shared: bool
    spent: Amount = Field(
        description="Estimated, reserved before each try and given back where nothing was sent."
    )
    left: Amount = Field(description="0 where it is spent, or overspent by types that ignore budgets.")
    period_begins: Timestamp
    period_ends: Timestamp
    alerted_at: Timestamp | None = Field(description="When four fifths were spent, in this period.")
    stopped_at: Timestamp | None = Field(description="When it first kept an email back, in this period.")
    created_at: Timestamp
    updated_at: Timestamp


class BudgetPage(Page[BudgetOut]):
    """Budgets, newest first."""
