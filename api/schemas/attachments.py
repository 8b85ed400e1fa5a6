"""Attachments, as emails name them and as they are shown."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
)
from pydantic_core import PydanticCustomError

from api.fields import Body, Out, Page, PageSize, Text, Timestamp
from domain.files import WantedFile, forbidden, name_problem
from domain.message import Disposition
from providers.fetching import url_problem
from providers.guard import CONTENT_ID, MEDIA_TYPE

_LONGEST_TYPE = 255


def _decode(given: Any) -> Any:
    if isinstance(given, bytes):
        return given
    if not isinstance(given, str):
        raise PydanticCustomError("string_type", "Input should be a valid string")
    try:
        content = base64.b64decode(given, validate=True)
    except (binascii.Error, ValueError):
        raise PydanticCustomError(
            "base64", "this is not base64 (RFC 4648, section 4, without line ends)"
        ) from None
    if not content:
        raise PydanticCustomError("empty", "an empty file is not sent")
    return content


def _file_name(name: str) -> str:
    if (problem := name_problem(name)) is not None:
        raise PydanticCustomError("filename", "{problem}", {"problem": problem})
    if (extension := forbidden(name)) is not None:
        raise PydanticCustomError(
            "forbidden_type", "mailbox hosts refuse files that end in .{extension}", {"extension": extension}
        )
    return name


def _media_type(kind: str) -> str:
    if not MEDIA_TYPE.match(kind) or len(kind) > _LONGEST_TYPE:
        raise PydanticCustomError("media_type", "a type is written as application/pdf")
    if kind.lower().startswith(("multipart/", "message/")):
        raise PydanticCustomError(
            "media_type", "a file is neither multipart nor a message: give octet-stream"
        )
    return kind


def _mark(name: str) -> str:
    if not CONTENT_ID.match(name):
        raise PydanticCustomError(
            "content_id", "a content id has up to 250 printable characters of ASCII, without blanks, < and >"
        )
    return name


def _address(url: str) -> str:
    if (problem := url_problem(url)) is not None:
        raise PydanticCustomError("url", "{problem}", {"problem": problem})
    return url


Base64 = Annotated[
    bytes,
    BeforeValidator(_decode),
    WithJsonSchema({"type": "string", "contentEncoding": "base64", "examples": ["JVBERi0xLjcK"]}),
]
FileName = Annotated[Text, Field(min_length=1, max_length=255), AfterValidator(_file_name)]
MediaType = Annotated[Text, Field(min_length=3, max_length=_LONGEST_TYPE), AfterValidator(_media_type)]


class AttachmentIn(Body):
    """A file of an email: its `content` itself, the `id` of one that was uploaded, or a `url` to fetch it from.

    With a `content_id` it is an inline image that the HTML shows as `cid:…`, unless `disposition` says otherwise.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"filename": "invoice.txt", "content": "VGhhbmsgeW91IQ=="},
                {"id": "01988b0e-5c0a-7e3c-9d6e-0b6a3d1f2a44"},
            ]
        }
    )

    id: UUID | None = Field(default=None, description="Of a file that was uploaded to /v1/attachments.")
    url: Annotated[Text, AfterValidator(_address)] | None = Field(
        default=None,
        description="An https address of the public internet; it is fetched before the answer, within seconds.",
    )
    content: Base64 | None = Field(default=None, validate_default=True, description="The file in base64.")
    filename: FileName | None = Field(
        default=None,
        validate_default=True,
        description="Needed with `content`. Left out: as it was uploaded, or as its server names it.",
    )
    content_type: MediaType | None = Field(
        default=None, description="Left out: what the name implies. It must agree with the content."
    )
    content_id: Annotated[Text, AfterValidator(_mark)] | None = None
    disposition: Literal["attachment", "inline"] | None = Field(default=None, validate_default=True)

    @field_validator("content")
    @classmethod
    def _one_source(cls, content: bytes | None, info: ValidationInfo) -> bytes | None:
        if "id" in info.data and "url" in info.data:
            count = sum(given is not None for given in (content, info.data["id"], info.data["url"]))
            if count == 0:
                raise PydanticCustomError("missing", "give content, id or url")
            if count > 1:
                raise PydanticCustomError("conflict", "give only one of content, id and url")
        return content

    @field_validator("filename")
    @classmethod
    def _some_name(cls, name: str | None, info: ValidationInfo) -> str | None:
        if name is None and info.data.get("content") is not None:
            raise PydanticCustomError("missing", "a file has a name")
        return name

    @field_validator("content_type")
    @classmethod
    def _not_of_an_upload(cls, kind: str | None, info: ValidationInfo) -> str | None:
        if kind is not None and info.data.get("id") is not None:
            raise PydanticCustomError("conflict", "a file that was uploaded has its type already")
        return kind

    @field_validator("disposition")
    @classmethod
    def _inline_by_a_mark(cls, disposition: str | None, info: ValidationInfo) -> str | None:
        if disposition == "inline" and "content_id" in info.data and info.data["content_id"] is None:
            raise PydanticCustomError(
                "missing", "an inline file has a content_id, by which the HTML names it"
            )
        return disposition

    def value(self) -> WantedFile:
        inline = self.content_id is not None if self.disposition is None else self.disposition == "inline"
        return WantedFile(
            self.content,
            self.id,
            self.url,
            self.filename,
            self.content_type,
            Disposition.INLINE if inline else Disposition.ATTACHMENT,
            self.content_id,
        )


class AttachmentOut(Out):
    """A file that is kept. `download_url` holds until `download_expires_at`, for whoever has it."""

    id: UUID
    filename: str
    content_type: str
    size: int = Field(description="Bytes, before encoding.")
    sha256: str
    in_use: bool = Field(
        description="Whether an email carries the content; else it is kept for a day after its last use."
    )
    created_at: Timestamp
    download_url: str
    download_expires_at: Timestamp


class AttachmentPage(Page[AttachmentOut]):
    """The caller's files, newest first."""


class AttachmentFilter(BaseModel):
    limit: PageSize = 50
    cursor: str | None = Field(default=None, max_length=100)


class AttachmentPath(BaseModel):
    attachment_id: UUID = Field(description="The file's id.")


class UploadPath(BaseModel):
    upload_id: UUID = Field(description="The upload's id.")


class LinkQuery(BaseModel):
    """What a signed link ends with. It is given whole, and used as it is."""

    expires: int = Field(default=0, ge=0, le=2**40)
    key: str = Field(default="", max_length=100)
    signature: str = Field(default="", max_length=500)


class UploadCreate(Body):
    """A file that will be uploaded to an address of its own."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"filename": "invoice.pdf", "size": 48213, "content_type": "application/pdf"}]
        }
    )

    filename: FileName
    content_type: MediaType | None = Field(default=None, description="Left out: what the name implies.")
    size: int = Field(ge=1, le=2**40, strict=True, description="Bytes; the upload must have exactly so many.")
    sha256: Annotated[Text, Field(pattern=r"^[0-9a-f]{64}$")] | None = Field(
        default=None, description="In hexadecimal; the upload is refused where it has another."
    )


class UploadOut(Out):
    """Where to PUT the bytes, until when; then `POST /v1/attachments/uploads/{id}/complete`."""

    id: UUID
    upload_url: str
    method: Literal["PUT"] = "PUT"
    expires_at: Timestamp
