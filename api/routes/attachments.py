"""/v1/attachments: bring files, look them up, hand them out by links that end."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote
from uuid import UUID

from flask import Response, request
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from pydantic import TypeAdapter, ValidationError
from sqlalchemy import RowMapping
from werkzeug.datastructures import FileStorage

from api.auth import SEND, caller
from api.documents import described, open_problems, problems
from api.errors import FieldError, Problem, invalid, not_found
from api.filing import NewFile, file_away
from api.links import DOWNLOAD, UPLOAD
from api.paging import page, read_cursor
from api.requests import answer, dependencies, empty, field_errors, public, scoped
from api.schemas.attachments import (
    AttachmentFilter,
    AttachmentOut,
    AttachmentPage,
    AttachmentPath,
    FileName,
    LinkQuery,
    MediaType,
    UploadCreate,
    UploadOut,
    UploadPath,
)
from domain.files import FileMissing, blob_key, safe_name, upload_key

blueprint = APIBlueprint(
    "attachments", __name__, url_prefix="/v1/attachments", abp_tags=[Tag(name="attachments")]
)
READ: Final = "emails:read"
LINK_SECONDS: Final = 15 * 60
UPLOAD_SECONDS: Final = 60 * 60
_ONE = "/<uuid:attachment_id>"
_UPLOAD = "/uploads/<uuid:upload_id>"
_FORM_SLACK = 64 * 1024  # bytes of a form around its file

_FORM: Final = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["file"],
                "properties": {
                    "file": {"type": "string", "contentMediaType": "application/octet-stream"},
                    "filename": {
                        "type": "string",
                        "description": "Left out: the name that the file's part has.",
                    },
                    "content_type": {"type": "string", "description": "Left out: what the name implies."},
                },
                "additionalProperties": False,
            },
            "example": {"file": "%PDF-1.7 …", "filename": "invoice.pdf", "content_type": "application/pdf"},
        }
    },
}
_BYTES: Final = {
    "schema": {"type": "string", "contentMediaType": "application/octet-stream"},
    "example": "%PDF-1.7 …",
}


@blueprint.post("", summary="Upload a file", responses={201: AttachmentOut, **problems(413, 415, 422)})
@scoped(SEND)
@described(body=_FORM)
def create() -> Response:
    """Takes a form (multipart/form-data) with a part `file`. The same file under the same name keeps its id.

    A file that no email carries goes a day after it was last asked for.
    """
    deps, limit = dependencies(), dependencies().limits.max_attachments_bytes
    if request.mimetype != "multipart/form-data":
        raise Problem(415, "Content-Type must be multipart/form-data")
    if request.content_length is not None and request.content_length > limit + _FORM_SLACK:
        raise Problem(413, f"The body has {request.content_length} bytes; files of {limit} are accepted")
    request.max_content_length = limit + _FORM_SLACK
    request.max_form_memory_size = _FORM_SLACK
    request.max_form_parts = 10
    new = _from_form(request.files, request.form)
    if len(new.content) > limit:
        raise Problem(413, f"The file has {len(new.content)} bytes; {limit} are accepted")
    _demand_fit(new, "file")
    (kept,) = file_away(deps, caller().user_id, [new])
    return answer(_shown(kept.id), 201, {"Location": f"/v1/attachments/{kept.id}"})


@blueprint.get("", summary="List files", responses={200: AttachmentPage, **problems(422)})
@scoped(READ)
def list_attachments(query: AttachmentFilter) -> Response:
    """The caller's own, newest first."""
    before = read_cursor(query.cursor)
    with dependencies().units() as unit:
        rows = unit.attachments.list(caller().user_id, before, query.limit + 1)
    return answer(page(AttachmentPage, rows, query.limit, _attachment))


@blueprint.get(_ONE, summary="Look up a file", responses={200: AttachmentOut, **problems(404)})
@scoped(READ)
def get(path: AttachmentPath) -> Response:
    """With a link by which anybody who has it can read the file, for 15 minutes."""
    return answer(_shown(path.attachment_id))


@blueprint.delete(_ONE, summary="Delete a file", responses={204: None, **problems(404)})
@scoped(SEND)
def delete(path: AttachmentPath) -> Response:
    """Emails that were accepted with it are sent with it."""
    with dependencies().units() as unit:
        if not unit.attachments.delete(caller().user_id, path.attachment_id):
            raise not_found()
        unit.commit()
    return empty()


@blueprint.get(
    f"{_ONE}/content",
    summary="Read a file by its link",
    responses={200: None, **open_problems(403, 404, 422)},
)
@public
@described(answers={200: {"*/*": _BYTES}})
def content(path: AttachmentPath, query: LinkQuery) -> Response:
    """The address is in `download_url`. 403 where it was changed, or its time is over."""
    deps = dependencies()
    _demand_signature(DOWNLOAD, path.attachment_id, query)
    with deps.units() as unit:
        row = unit.attachments.linked(path.attachment_id, query.expires)
    if row is None:
        raise Problem(403, "The link has expired, or its file is gone", type="bad-link")
    try:
        found = deps.store.read(blob_key(row["user_id"], bytes(row["hash"])))
    except FileMissing:
        raise not_found() from None
    # Nothing that a user brought is ever shown as a page of ours.
    headers = {
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(row['filename'], safe='')}",
        "Content-Security-Policy": "sandbox; default-src 'none'",
    }
    return Response(found, 200, headers, content_type=row["content_type"])


@blueprint.post(
    "/uploads", summary="Announce an upload", responses={201: UploadOut, **problems(413, 415, 422)}
)
@scoped(SEND)
def announce(body: UploadCreate) -> Response:
    """Gives an address that the bytes can be PUT to, without a key, within an hour; then complete the upload."""
    deps, limit = dependencies(), dependencies().limits.max_attachments_bytes
    if body.size > limit:
        raise invalid([FieldError("pointer", "/size", "too_large", f"files of {limit} bytes are accepted")])
    upload_id = deps.ids()
    with deps.units() as unit:
        row = unit.attachments.open_upload(
            upload_id,
            caller().user_id,
            filename=body.filename,
            content_type=body.content_type,
            size=body.size,
            hash=None if body.sha256 is None else bytes.fromhex(body.sha256),
            seconds=UPLOAD_SECONDS,
        )
        unit.commit()
    url = deps.store.upload_link(upload_key(upload_id), body.size, UPLOAD_SECONDS)
    if url is None:
        signed = deps.links.sign(UPLOAD, upload_id, int(row["expires_at"].timestamp()))
        url = f"{_base()}/v1/attachments/uploads/{upload_id}?{signed}"
    return answer(UploadOut(id=upload_id, upload_url=url, expires_at=row["expires_at"]), 201)


@blueprint.put(
    _UPLOAD, summary="Upload by a link", responses={204: None, **open_problems(403, 404, 409, 413, 422)}
)
@public
@described(body={"required": True, "content": {"application/octet-stream": _BYTES}})
def upload(path: UploadPath, query: LinkQuery) -> Response:
    """The address is `upload_url`; the body are the file's bytes. 403 where it was changed, or its time is over."""
    deps = dependencies()
    _demand_signature(UPLOAD, path.upload_id, query)
    with deps.units() as unit:
        row = unit.attachments.upload(path.upload_id)
    if row is None:
        raise not_found()
    if row["expired"]:
        raise Problem(403, "The link has expired", type="bad-link")
    if row["attachment_id"] is not None:
        raise Problem(409, "The upload is complete, and takes no other bytes")
    request.max_content_length = row["size"] + 1
    raw = request.get_data(cache=False)
    if len(raw) != row["size"]:
        raise Problem(413, f"The upload was announced with {row['size']} bytes")
    key = upload_key(path.upload_id)
    deps.store.delete(key)  # a second try replaces the first
    deps.store.put(key, raw)
    return empty()


@blueprint.post(
    f"{_UPLOAD}/complete",
    summary="Complete an upload",
    responses={201: AttachmentOut, **problems(404, 409, 422)},
)
@scoped(SEND)
def complete(path: UploadPath) -> Response:
    """Looks at what was uploaded, and keeps it. 409 where nothing was yet. For a day it may be repeated."""
    deps, key = dependencies(), upload_key(path.upload_id)
    row = _announced(path.upload_id)
    if row["attachment_id"] is not None:
        return _completed(row["attachment_id"])
    try:
        size = deps.store.size(key)
        if size not in (None, row["size"]):
            told = f"{size} bytes were uploaded, {row['size']} were announced"
            raise invalid([FieldError("pointer", "", "size", told)])
        raw = deps.store.read(key)
    except FileMissing:
        row = _announced(path.upload_id)
        if row["attachment_id"] is not None:  # by another request, meanwhile
            return _completed(row["attachment_id"])
        raise Problem(409, "Nothing was uploaded yet: PUT the bytes to upload_url first") from None
    if row["hash"] is not None and hashlib.sha256(raw).digest() != bytes(row["hash"]):
        raise invalid([FieldError("pointer", "", "sha256", "what was uploaded has another SHA-256")])
    new = NewFile(row["filename"], row["content_type"], raw)
    _demand_fit(new, "")
    (kept,) = file_away(deps, caller().user_id, [new])
    with deps.units() as unit:
        file_id = unit.attachments.complete_upload(path.upload_id, kept.id)
        unit.commit()
    deps.store.delete(key)
    return _completed(file_id)


def _announced(upload_id: UUID) -> RowMapping:
    with dependencies().units() as unit:
        row = unit.attachments.upload(upload_id, caller().user_id)
    if row is None:
        raise not_found()
    return row


def _completed(attachment_id: UUID) -> Response:
    return answer(_shown(attachment_id), 201, {"Location": f"/v1/attachments/{attachment_id}"})


def _from_form(files: Mapping[str, FileStorage], form: Mapping[str, str]) -> NewFile:
    errors: list[FieldError] = []
    file = files.get("file")
    if file is None:
        errors.append(
            FieldError("pointer", "/file", "missing", "the form has no part `file` with a file name")
        )
    errors += [
        FieldError("pointer", f"/{name}", "extra_forbidden", "unknown field")
        for name in (*files, *form)
        if name not in ("file", "filename", "content_type")
    ]
    # A browser may send the path on its user's machine: the name is its last part.
    name = form.get("filename") or safe_name(file.filename or "" if file else "", otherwise="")
    if not name and file is not None and "filename" not in form:
        detail = "the file's own name cannot be used: give one as filename"
        errors.append(FieldError("pointer", "/file", "file_name", detail))
    else:
        errors += _errors(FileName, name, "/filename" if "filename" in form else "/file")
    kind = form.get("content_type") or None
    if kind is not None:
        errors += _errors(MediaType, kind, "/content_type")
    if errors or file is None:
        raise invalid(errors)
    return NewFile(name, kind, file.stream.read())


def _errors(kind: Any, value: str, name: str) -> list[FieldError]:
    try:
        TypeAdapter(kind).validate_python(value)
    except ValidationError as error:
        return [FieldError("pointer", name, e.code, e.detail) for e in field_errors(error, "pointer")]
    return []


def _demand_fit(new: NewFile, field: str) -> None:
    if (problem := new.problem()) is not None:
        code, words = problem
        raise invalid([FieldError("pointer", f"/{field}" if field else "", code, words)])


def _demand_signature(purpose: str, id: UUID, query: LinkQuery) -> None:
    if not dependencies().links.holds(purpose, id, query.expires, query.key, query.signature):
        raise Problem(403, "The link is not signed by this service, or was changed", type="bad-link")


def _shown(attachment_id: UUID) -> AttachmentOut:
    with dependencies().units() as unit:
        row = unit.attachments.get(caller().user_id, attachment_id)
    if row is None:
        raise not_found()
    return _attachment(row)


def _attachment(row: RowMapping) -> AttachmentOut:
    deps = dependencies()
    expires = int(row["now"].timestamp()) + LINK_SECONDS
    key = blob_key(row["user_id"], bytes(row["hash"]))
    url = deps.store.link(key, row["filename"], row["content_type"], LINK_SECONDS)
    if url is None:
        signed = deps.links.sign(DOWNLOAD, row["id"], expires)
        url = f"{_base()}/v1/attachments/{row['id']}/content?{signed}"
    return AttachmentOut(
        **{name: row[name] for name in ("id", "filename", "content_type", "size", "in_use", "created_at")},
        sha256=bytes(row["hash"]).hex(),
        download_url=url,
        download_expires_at=datetime.fromtimestamp(expires, UTC),
    )


def _base() -> str:
    return dependencies().public_url or request.host_url.rstrip("/")
