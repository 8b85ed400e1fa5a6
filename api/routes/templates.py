"""/v1/templates: what emails say, apart from what they are about."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from sqlalchemy import RowMapping

from api import templating
from api.auditing import commit
from api.auth import caller
from api.documents import problems
from api.errors import FieldError, Problem, invalid, not_found, pointer
from api.paging import page, read_cursor
from api.requests import answer, dependencies, empty, scoped
from api.schemas.providers import PageQuery
from api.schemas.templates import (
    RenderedOut,
    TemplateCreate,
    TemplateOut,
    TemplatePage,
    TemplateParts,
    TemplatePath,
    TemplatePreview,
    TemplatePublish,
    TemplateRename,
    VersionAdded,
    VersionList,
    VersionOut,
    VersionPath,
    VersionQuery,
)
from db.repositories.templates import NameTaken, source_value
from db.uow import SqlUnitOfWork
from domain.templates import TemplateFaulty
from domain.unsubscribe import PLACEHOLDER, VARIABLE

blueprint = APIBlueprint("templates", __name__, url_prefix="/v1/templates", abp_tags=[Tag(name="templates")])
_ONE = "/<uuid:template_id>"
READ, WRITE = "templates:read", "templates:write"


@blueprint.post("", summary="Add a template", responses={201: TemplateOut, **problems(409, 413, 415, 422)})
@scoped(WRITE)
def create(body: TemplateCreate) -> Response:
    """Adds it with its first version, which is published unless `publish` is false.

    Mistakes in the template are answered with 422 here, and not when emails need it.
    """
    _check(body)
    deps, user_id = dependencies(), caller().library
    template_id = deps.ids()
    with deps.units() as unit:
        try:
            unit.templates.add(template_id, user_id, body.name)
        except NameTaken as taken:
            raise _taken() from taken
        unit.templates.add_version(template_id, 1, body.source())
        if body.publish:
            unit.templates.publish(template_id, 1)
        row = unit.templates.get(user_id, template_id)
        commit(unit, template_id)
    return answer(_template(row), 201, {"Location": f"/v1/templates/{template_id}"})


@blueprint.get("", summary="List templates", responses={200: TemplatePage, **problems(422)})
@scoped(READ)
def list_templates(query: PageQuery) -> Response:
    """The caller's own, newest first."""
    before = read_cursor(query.cursor)
    with dependencies().units() as unit:
        rows = unit.templates.list(caller().library, before, query.limit + 1)
    return answer(page(TemplatePage, rows, query.limit, _template))


@blueprint.get(_ONE, summary="Look up a template", responses={200: TemplateOut, **problems(404)})
@scoped(READ)
def get(path: TemplatePath) -> Response:
    """Which version of it is published, and which is the newest."""
    with dependencies().units() as unit:
        row = unit.templates.get(caller().library, path.template_id)
    return answer(_template(row))


@blueprint.patch(
    _ONE, summary="Rename a template", responses={200: TemplateOut, **problems(404, 409, 413, 415, 422)}
)
@scoped(WRITE)
def rename(path: TemplatePath, body: TemplateRename) -> Response:
    """Emails that name it by its id go on as before."""
    user_id = caller().library
    with dependencies().units() as unit:
        _held(unit, user_id, path.template_id)
        try:
            unit.templates.rename(path.template_id, body.name)
        except NameTaken as taken:
            raise _taken() from taken
        row = unit.templates.get(user_id, path.template_id)
        commit(unit)
    return answer(_template(row))


@blueprint.delete(_ONE, summary="Delete a template", responses={204: None, **problems(404)})
@scoped(WRITE)
def delete(path: TemplatePath) -> Response:
    """With all its versions. Emails that were accepted are sent as they were rendered."""
    with dependencies().units() as unit:
        if not unit.templates.delete(caller().library, path.template_id):
            raise not_found()
        commit(unit)
    return empty()


@blueprint.post(
    f"{_ONE}/versions",
    summary="Add a version",
    responses={201: VersionAdded, **problems(404, 413, 415, 422)},
)
@scoped(WRITE)
def add_version(path: TemplatePath, body: TemplateParts) -> Response:
    """Published unless `publish` is false. Emails that were accepted keep what they were rendered with."""
    names = _check(body)
    with dependencies().units() as unit:
        template = _held(unit, caller().library, path.template_id)
        version = (template["newest_version"] or 0) + 1
        unit.templates.add_version(path.template_id, version, body.source())
        if body.publish:
            unit.templates.publish(path.template_id, version)
        row = unit.templates.version(path.template_id, version)
        commit(unit)
    assert row is not None
    return answer(VersionAdded(**row, variables=names), 201)


@blueprint.get(
    f"{_ONE}/versions", summary="List versions", responses={200: VersionList, **problems(404, 422)}
)
@scoped(READ)
def list_versions(path: TemplatePath, query: VersionQuery) -> Response:
    """Newest first."""
    with dependencies().units() as unit:
        if unit.templates.get(caller().library, path.template_id) is None:
            raise not_found()
        rows = unit.templates.versions(path.template_id, query.before, query.limit + 1)
    shown = [VersionOut(**row) for row in rows[: query.limit]]
    return answer(VersionList(data=shown, has_more=len(rows) > query.limit))


@blueprint.get(
    f"{_ONE}/versions/<int:version>",
    summary="Look up a version",
    responses={200: VersionOut, **problems(404)},
)
@scoped(READ)
def get_version(path: VersionPath) -> Response:
    """What it says."""
    with dependencies().units() as unit:
        row = _version(unit, path.template_id, path.version)
    return answer(VersionOut(**row))


@blueprint.post(
    f"{_ONE}/publish",
    summary="Publish a version",
    responses={200: TemplateOut, **problems(404, 413, 415, 422)},
)
@scoped(WRITE)
def publish(path: TemplatePath, body: TemplatePublish) -> Response:
    """Emails use it from now on; publishing an older one takes the newer one back."""
    user_id = caller().library
    with dependencies().units() as unit:
        _held(unit, user_id, path.template_id)
        if not unit.templates.publish(path.template_id, body.version):
            raise invalid([_no_version(body.version)])
        row = unit.templates.get(user_id, path.template_id)
        commit(unit)
    return answer(_template(row))


@blueprint.post(
    f"{_ONE}/preview",
    summary="Preview an email",
    responses={200: RenderedOut, **problems(404, 413, 415, 422)},
)
@scoped(READ)
def preview(path: TemplatePath, body: TemplatePreview) -> Response:
    """Renders as sending does, and sends nothing. Missing variables are named, every one."""
    with dependencies().units() as unit:
        template = unit.templates.get(caller().library, path.template_id)
        if template is None:
            raise not_found()
        version = body.version or template["newest_version"]
        row = unit.templates.version(path.template_id, version)
    if row is None:
        raise invalid([_no_version(version)])
    try:
        made = templating.render(source_value(row), {VARIABLE: PLACEHOLDER, **body.variables})
    except TemplateFaulty as faulty:
        raise invalid(
            [
                FieldError(
                    "pointer", pointer(templating.place(f)) if f.name else "", f.code, templating.words(f)
                )
                for f in faulty.flaws
            ]
        ) from faulty
    return answer(RenderedOut(version=version, subject=made.subject, text=made.text, html=made.html))


def _check(parts: TemplateParts) -> list[str]:
    """The names of the variables. Raises Problem where a part is not Jinja2."""
    try:
        return [name for name in dependencies().renderer.check(parts.source()) if name != VARIABLE]
    except TemplateFaulty as faulty:
        given = type(parts).model_fields
        raise invalid(
            [
                FieldError("pointer", f"/{f.part}" if f.part in given else "", f.code, f.detail)
                for f in faulty.flaws
            ]
        ) from faulty


def _held(unit: SqlUnitOfWork, user_id: UUID, id: UUID) -> RowMapping:
    row = unit.templates.lock(user_id, id)
    if row is None:
        raise not_found()
    return row


def _version(unit: SqlUnitOfWork, template_id: UUID, version: int) -> RowMapping:
    mine = unit.templates.get(caller().library, template_id) is not None
    row = unit.templates.version(template_id, version) if mine and version < 2**31 else None
    if row is None:
        raise not_found()
    return row


def _no_version(version: int) -> FieldError:
    return FieldError("pointer", "/version", "unknown_version", f"the template has no version {version}")


def _taken() -> Problem:
    return Problem(409, "Another template has this name")


def _template(row: RowMapping | None) -> TemplateOut:
    if row is None:
        raise not_found()
    fields: dict[str, Any] = dict(row)
    return TemplateOut(**fields)
