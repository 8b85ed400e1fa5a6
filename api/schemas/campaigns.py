"""Campaigns and halts."""

from __future__ import annotations

from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StrictBool, model_validator
from pydantic_core import PydanticCustomError

from api.fields import Body, Cost, Out, Page, Text, Timestamp, example

Name = Annotated[Text, Field(min_length=1, max_length=100)]
PerMinute = Annotated[int, Field(ge=1, le=1_000_000, strict=True)]
Share = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]
State = Literal["active", "paused", "cancelled"]


class CampaignCreate(Body):
    """Emails that belong together. Send them with `campaign_id`, one by one or in batches."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"name": "spring sale", "per_minute": 6000, "spend_cap": "25"}]}
    )

    name: Name
    per_minute: PerMinute | None = Field(default=None, description="Left out: as fast as it goes.")
    spend_cap: Cost | None = Field(
        default=None, description="It pauses when so much is spent, in the prices' currency."
    )
    max_complaints: Share = Field(default=0.001, description="It pauses at this share of what was sent.")
    max_bounces: Share = Field(default=0.05, description="Likewise, of hard bounces.")
    min_sent: Annotated[int, Field(ge=1, le=1_000_000, strict=True)] = Field(
        default=100, description="From so many on the shares count."
    )


class CampaignChange(Body):
    """What is left out stays. Another `per_minute` holds at once, for what waits too."""

    model_config = example({"per_minute": 6000, "spend_cap": "25"})

    name: Name = Field(default_factory=str)
    per_minute: PerMinute | None = None
    spend_cap: Cost | None = None
    max_complaints: Share = 0.001
    max_bounces: Share = 0.05
    min_sent: Annotated[int, Field(ge=1, le=1_000_000, strict=True)] = 100


class CampaignPath(BaseModel):
    campaign_id: UUID = Field(description="The campaign's id.")


class CampaignOut(Out):
    """A campaign. `status_reason`: why it is paused."""

    id: UUID
    name: str
    status: State
    status_reason: str | None
    per_minute: int | None
    spend_cap: Cost | None
    max_complaints: float
    max_bounces: float
    min_sent: int
    created_at: Timestamp
    updated_at: Timestamp


class ProgressOut(Out):
    """How far it is. `seconds_left` null: nothing was sent lately, so nobody can say."""

    total: int
    waiting: int = Field(description="Scheduled, queued or deferred.")
    sent: int = Field(description="Taken by a provider.")
    statuses: dict[str, int]
    hard_bounces: int
    spent: Cost
    per_minute_lately: float = Field(description="Of the last five minutes, or since it began.")
    seconds_left: float | None


class CampaignShown(CampaignOut):
    """A campaign with its progress."""

    progress: ProgressOut


class CampaignPage(Page[CampaignOut]):
    """Campaigns, newest first."""


class CampaignMoved(CampaignOut):
    """`emails`: how many were taken back, or are due again."""

    emails: int


class HaltCreate(Body):
    """What is not to be sent for now."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"kind": "type", "value": "newsletter", "reason": "wrong price"}]}
    )

    kind: Literal["user", "type", "lane"] = Field(description="lane, and other users: operators only.")
    value: Annotated[Text, Field(max_length=50)] = Field(
        default="", description="The email type, or the lane; of a user nothing.", validate_default=True
    )
    user_id: UUID | None = Field(default=None, description="Whose emails. Left out: the caller's.")
    everybody: StrictBool = Field(default=False, description="Of all users.")
    reason: Annotated[Text, Field(max_length=200)] = ""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.kind == "user") != (self.value == ""):
            raise PydanticCustomError("value", "a type and a lane are named by `value`, a user by `user_id`")
        if self.kind == "lane" and self.value not in ("transactional", "bulk"):
            raise PydanticCustomError("value", "a lane is transactional or bulk")
        if self.everybody and (self.kind == "user" or self.user_id is not None):
            raise PydanticCustomError("everybody", "either everybody or one user")
        return self


class HaltPath(BaseModel):
    halt_id: UUID = Field(description="The halt's id.")


class HaltOut(Out):
    """`user_id` null: of all users."""

    id: UUID
    user_id: UUID | None
    kind: str
    value: str
    reason: str
    created_at: Timestamp


class HaltList(Out):
    """Halts, newest first."""

    data: list[HaltOut]
