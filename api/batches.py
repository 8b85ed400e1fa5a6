"""Reading a batch: every entry is an email of its own, completed from the batch's defaults."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, WithJsonSchema

from api.deps import Limits
from api.errors import FieldError, pointer
from api.fields import Body, Out
from api.requests import field_errors
from api.schemas.attachments import AttachmentIn
from api.schemas.posting import EmailCreate
from domain.files import MOST_FILES
from domain.intake import Draft, Objection
from domain.lifecycle import Status

MOST = 1000  # emails of one batch

_FILES = TypeAdapter(Annotated[list[AttachmentIn], Field(max_length=MOST_FILES)])
_Fields = Annotated[
    dict[str, Any],
    WithJsonSchema(
        {
            "type": "object",
            "description": "Fields of an email, as POST /v1/emails takes them.",
            "additionalProperties": True,
        }
    ),
]


class BatchCreate(Body):
    """Many emails at once. Each is what its entry says, and what `defaults` says where the entry is silent."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "defaults": {
                        "from": "Shop <shop@example.com>",
                        "subject": "The spring sale",
                        "text": "It begins tomorrow.",
                        "email_type": "marketing",
                    },
                    "emails": [{"to": ["ada@example.com"]}, {"to": ["bob@example.com"], "subject": "Bob!"}],
                }
            ]
        }
    )

    mode: Literal["strict", "permissive"] = Field(
        default="strict",
        description="strict: all emails are accepted, or none. permissive: those that are right are accepted.",
    )
    defaults: _Fields = Field(default={}, description="Fields for every entry that does not have them.")
    emails: list[_Fields] = Field(min_length=1, max_length=MOST, description="One entry per email.")


class ProblemInItem(Out):
    """What is wrong with a field of the batch's body."""

    pointer: str
    detail: str
    code: str


class BatchResult(Out):
    """What became of one entry: its email's id and status, or what is wrong with it."""

    index: int = Field(description="The entry's place in `emails`.")
    status: Status | Literal["rejected"]
    id: UUID | None = None
    errors: list[ProblemInItem] = Field(default=[])


class BatchAccepted(Out):
    """The accepted emails are committed: each will be delivered, or accounted for."""

    accepted: int
    rejected: int
    results: list[BatchResult] = Field(description="In the order of the request.")


@dataclass(frozen=True, slots=True)
class Reading:
    """The entries that are emails, and what is wrong with the others, by their places."""

    drafts: Sequence[Draft]
    errors: Mapping[int, list[FieldError]]


def read(batch: BatchCreate, limits: Limits) -> Reading:
    """Check every entry, completed from the defaults."""
    drafts: list[Draft] = []
    errors: dict[int, list[FieldError]] = {}
    defaults, shared = _with_files_read(batch)
    for item, entry in enumerate(batch.emails):
        inherited = [] if "attachments" in entry else shared
        try:
            email = EmailCreate.model_validate({**defaults, **entry}, context=limits)
        except ValidationError as error:
            found = [_placed(batch, item, one) for one in field_errors(error, "pointer")]
            errors[item] = [*found, *inherited]
        else:
            if inherited:
                errors[item] = inherited
            else:
                drafts.append(email.draft(item))
    return Reading(drafts, errors)


def _with_files_read(batch: BatchCreate) -> tuple[dict[str, Any], list[FieldError]]:
    """The defaults with their attachments read: once, however many megabytes they have and however many emails."""
    if "attachments" not in batch.defaults:
        return batch.defaults, []
    try:
        files = _FILES.validate_python(batch.defaults["attachments"])
    except ValidationError as error:
        said = field_errors(error, "pointer")
        return {**batch.defaults, "attachments": []}, [
            replace(e, name=f"/defaults/attachments{e.name}") for e in said
        ]
    return {**batch.defaults, "attachments": files}, []


def named(batch: BatchCreate, objections: Iterable[Objection]) -> dict[int, list[FieldError]]:
    """The fields that intake objects to, by their entries' places."""
    found: dict[int, list[FieldError]] = {}
    for o in objections:
        error = FieldError("pointer", pointer(o.path), o.code, o.detail)
        found.setdefault(o.item, []).append(_placed(batch, o.item, error))
    return found


def flat(errors: Mapping[int, Sequence[FieldError]]) -> list[FieldError]:
    """All errors in the order of the entries; what the defaults get wrong is said once."""
    return list(dict.fromkeys(error for item in sorted(errors) for error in errors[item]))


def _placed(batch: BatchCreate, item: int, error: FieldError) -> FieldError:
    """The error at the place in the batch where its field was given, or is missing."""
    field = error.name.split("/")[1] if error.name else ""
    inherited = field in batch.defaults and field not in batch.emails[item]
    return replace(error, name=("/defaults" if inherited else f"/emails/{item}") + error.name)
