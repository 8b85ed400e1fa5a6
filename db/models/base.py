"""The base of all tables, and the types that their columns share."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

from sqlalchemy import (
    TIMESTAMP,
    ForeignKey,
    MetaData,
    Numeric,
    String,
    func,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, mapped_column

Id = Annotated[UUID, mapped_column(primary_key=True)]
Instant = Annotated[datetime, mapped_column(TIMESTAMP(timezone=True))]
Stamp = Annotated[datetime, mapped_column(TIMESTAMP(timezone=True), server_default=func.mm_now())]
Money = Annotated[Decimal, mapped_column(Numeric(14, 8))]
Name = Annotated[str, mapped_column(String(100))]
Json = Annotated[dict[str, Any], mapped_column(JSONB)]
UserRef = Annotated[UUID, mapped_column(ForeignKey("users.id"))]
ProviderRef = Annotated[UUID, mapped_column(ForeignKey("providers.id"))]


class Base(DeclarativeBase):
    """All tables of Mailmux."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_label)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
