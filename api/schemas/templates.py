"""The shapes of requests and answers about templates."""

from __future__ import annotations

import re
from typing import Annotated, Any
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from api.fields import Body, Out, Page, PageSize, Text, Timestamp, example
from domain.templates import Source

MOST_SOURCE = 500_000  # characters of one part
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}\Z")


def _template_name(name: str) -> str:
    if not _NAME.match(name):
        raise PydanticCustomError(
            "template_name", "a name has 1 to 100 characters of A-Z, a-z, 0-9, . _ -, and begins with no sign"
        )
    try:
        UUID(name)
    except ValueError:
        return name
    raise PydanticCustomError("template_name", "a name may not look like an id")


Name = Annotated[Text, AfterValidator(_template_name)]
Part = Annotated[Text, Field(min_length=1, max_length=MOST_SOURCE)]
_EXAMPLE: dict[str, JsonValue] = {
    "subject": "Your order {{ order.number }}",
    "html": "<style>p { color: #333 }</style><p>Hello {{ name }}, it is on its way.</p>",
}


class TemplateParts(Body):
    """What a version says, in Jinja2. At least one of `text`, `html` and `mjml`; not both of the latter."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    subject: Annotated[Text, Field(min_length=1, max_length=2000)]
    text: Part | None = Field(default=None, description="Left out: it is made from the html.")
    html: Part | None = Field(default=None, description="Style sheets in it are moved into the elements.")
    mjml: Part | None = Field(
        default=None, description="MJML in place of html; it becomes html.", validate_default=True
    )
    publish: bool = Field(default=True, strict=True, description="Emails use it from now on.")

    @field_validator("mjml")
    @classmethod
    def _one_body(cls, mjml: str | None, info: ValidationInfo) -> str | None:
        html = info.data.get("html")
        if mjml is not None and html is not None:
            raise PydanticCustomError("conflict", "give html or mjml, not both")
        if mjml is None and "html" in info.data and "text" in info.data and not (html or info.data["text"]):
            raise PydanticCustomError("missing", "give text, html or mjml")
        return mjml

    def source(self) -> Source:
        return Source(self.subject, self.text, self.html, self.mjml)


class TemplateCreate(TemplateParts):
    """A template with its first version."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "order-sent", **_EXAMPLE}]})

    name: Name


class TemplateRename(Body):
    model_config = example({"name": "welcome"})

    name: Name


class TemplatePublish(Body):
    model_config = example({"version": 2})

    version: int = Field(ge=1, le=2**31 - 1, strict=True)


class TemplatePreview(Body):
    """What to render. Left out: the newest version, without variables."""

    model_config = example({"version": 2, "variables": {"name": "Ada"}})

    version: int | None = Field(default=None, ge=1, le=2**31 - 1, strict=True)
    variables: dict[str, Any] = Field(default={})


class TemplatePath(BaseModel):
    template_id: UUID = Field(description="The template's id.")


class VersionPath(TemplatePath):
    version: int = Field(description="The version's number.")


class VersionQuery(Body):
    limit: PageSize = 25
    before: int | None = Field(default=None, ge=1, le=2**31 - 1, description="Only versions below this one.")


class TemplateOut(Out):
    """A template. Emails are rendered with its published version, or with the one that they name."""

    id: UUID
    name: str
    published_version: int | None = Field(description="null: none is published.")
    newest_version: int
    created_at: Timestamp
    updated_at: Timestamp


class TemplatePage(Page[TemplateOut]):
    """Templates, newest first."""


class VersionOut(Out):
    """A version; it never changes."""

    version: int
    subject: str
    text: str | None
    html: str | None
    mjml: str | None
    created_at: Timestamp


class VersionAdded(VersionOut):
    """`variables`: the names that it reads. What it has defaults for, or asks whether it is there, may be left out."""

    variables: list[str]


class VersionList(Out):
    """Versions, newest first. `has_more`: ask again with `before` set to the last one's number."""

    data: list[VersionOut]
    has_more: bool


class RenderedOut(Out):
    """What an email would be sent with."""

    version: int
    subject: str
    text: str | None
    html: str | None
