"""Sessions, and the passwords that open them."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

from api.fields import Body, Out, Page, Text, Timestamp
from api.passwords import LONGEST, SHORTEST, weakness


def _strong(password: str) -> str:
    if (problem := weakness(password)) is not None:
        raise PydanticCustomError("weak_password", "{problem}", {"problem": problem})
    return password


Given = Annotated[Text, Field(min_length=1, max_length=LONGEST)]
NewPassword = Annotated[
    Text,
    Field(
        max_length=LONGEST,
        description=f"At least {SHORTEST} characters; of which kinds does not matter.",
        examples=["correct horse battery staple"],
    ),
    AfterValidator(_strong),
]


class SignIn(Body):
    """Who signs in."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"email": "ada@example.com", "password": "correct horse battery staple"}]
        }
    )

    email: Annotated[Text, Field(min_length=1, max_length=320)]
    password: Given


class PasswordChange(Body):
    """Another password for the caller."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "current_password": "correct horse battery staple",
                    "new_password": "purple monkey dishwasher",
                }
            ]
        }
    )

    current_password: Given
    new_password: NewPassword


class PasswordFirst(Body):
    """A password for whoever has the token of a link."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"token": "mx_pass_Zm9vYmFy", "password": "correct horse battery staple"}]
        }
    )

    token: Annotated[Text, Field(min_length=1, max_length=100)]
    password: NewPassword


class SessionPath(BaseModel):
    session_id: UUID = Field(description="The session's id.")


class SessionOut(Out):
    """Somebody is signed in."""

    id: UUID
    program: str = Field(description="How the program called itself that signed in (`User-Agent`).")
    came_from: str | None = Field(description="The network address that it signed in from.")
    created_at: Timestamp
    expires_at: Timestamp
    current: bool = Field(description="Whether this is the one that asks.")


class SessionMade(SessionOut):
    """`token` is shown this once. It is sent as an API key is, and may do all that the user may."""

    token: str = Field(examples=["mx_sess_kdMAS1NDANlt_…"])
    user_id: UUID


class SessionPage(Page[SessionOut]):
    """Sessions that stand, newest first."""


class PasswordLink(Out):
    """`token` is shown this once: whoever has it sets the password, once, until it ends."""

    token: str = Field(examples=["mx_pass_Zm9vYmFy…"])
    expires_at: Timestamp
