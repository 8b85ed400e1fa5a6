"""Reading a batch: every entry is an email of its own, completed from the batch's defaults."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, Literal
from uuid import UUID

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, WithJsonSchema

from api.deps import Limits
from api.errors import FieldError, pointer
from api.fields import Body, Out
from api.keeping import ENTRY_KEY
from api.payload import fingerprint, text_errors, without_surrogates
from api.requests import field_errors
from api.schemas.attachments import AttachmentIn
from api.schemas.posting import EmailCreate, IdempotencyKey
from domain.files import MOST_FILES
from domain.intake import Draft, Objection, Once
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
_Entry = Annotated[
    Any,
    WithJsonSchema(
        {
            "type": "object",
            "description": "Fields of an email, as POST /v1/emails takes them; and a key of its own.",
            "properties": {
                ENTRY_KEY: {
                    "type": "string",
                    "minLength": 1,
                    "maxLength": 256,
                    "pattern": "^[\\x21-\\x7e]+$",
                    "description": "Makes the entry safe to repeat in any batch: the same key and fields, with what "
                    "the defaults give, are one email. Another email under a key is refused.",
                }
            },
            "additionalProperties": True,
        }
    ),
]
_KEY = TypeAdapter(IdempotencyKey)
ENTRY = "POST /v1/emails/batch, an entry"  # the scope of the entries' keys


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

    told_apart: ClassVar = "emails"

    mode: Literal["strict", "permissive"] = Field(
        default="strict",
        description="strict: all emails are accepted, or none. permissive: those that are right are accepted.",
    )
    defaults: _Fields = Field(default={}, description="Fields for every entry that does not have them.")
    emails: list[_Entry] = Field(min_length=1, max_length=MOST, description="One entry per email.")


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
    replayed: bool = Field(default=False, description="It was accepted before, under the entry's key.")
    errors: list[ProblemInItem] = Field(default=[])


class BatchAccepted(Out):
    """The accepted emails are committed: each will be delivered, or accounted for."""

    accepted: int
    rejected: int
    results: list[BatchResult] = Field(description="In the order of the request.")


class EntryDrawn(Out):
    """What an entry would become: its email's status and subject, and who would carry it now; or what is wrong. Or the
    email that was accepted before, under the entry's key or the request's.
    """

    index: int = Field(description="The entry's place in `emails`.")
    status: Status | Literal["rejected"]
    id: UUID | None = Field(default=None, description="Of the email that was accepted before.")
    replayed: bool = Field(default=False, description="It was accepted before, and would not be sent again.")
    subject: str | None = None
    provider: str | None = Field(default=None, description="null: nobody could carry it now.")
    errors: list[ProblemInItem] = Field(default=[])


class BatchDrawn(Out):
    """What sending would answer; nothing was accepted."""

    accepted: int
    rejected: int
    results: list[EntryDrawn] = Field(description="In the order of the request.")


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
    keys = _Keys(batch, limits)
    for item, given in enumerate(batch.emails):
        if not isinstance(given, dict):
            errors[item] = [
                FieldError("pointer", f"/emails/{item}", "dict_type", "Input should be an object")
            ]
            continue
        not_text = text_errors(given, ("emails", item))
        whole = without_surrogates(given) if not_text else given
        entry = {name: value for name, value in whole.items() if name != ENTRY_KEY}
        inherited = [] if "attachments" in entry else shared
        once, found = keys.read(item, whole) if ENTRY_KEY in whole else (None, [])
        found += [*not_text, *inherited]
        try:
            email = EmailCreate.model_validate({**defaults, **entry}, context=limits)
        except ValidationError as error:
            errors[item] = [*(_placed(batch, item, one) for one in field_errors(error, "pointer")), *found]
        else:
            if found:
                errors[item] = found
            else:
                drafts.append(replace(email.draft(item), once=once) if once else email.draft(item))
    return Reading(drafts, errors)


class _Keys:
    """The keys of the entries of one batch."""

    def __init__(self, batch: BatchCreate, limits: Limits) -> None:
        self._batch, self._limits = batch, limits
        self._defaults: dict[str, str] | None = None
        self._first: dict[str, int] = {}

    def read(self, item: int, entry: Mapping[str, Any]) -> tuple[Once | None, list[FieldError]]:
        place = f"/emails/{item}/{ENTRY_KEY}"
        try:
            key = _KEY.validate_python(entry[ENTRY_KEY], strict=True)
        except ValidationError as error:
            return None, [replace(one, name=place) for one in field_errors(error, "pointer")]
        if (first := self._first.setdefault(key, item)) != item:
            return None, [FieldError("pointer", place, "repeated", f"the key of /emails/{first} too")]
        return Once(ENTRY, key, self._hash(entry), self._limits.idempotency_ttl), []

    def _hash(self, entry: Mapping[str, Any]) -> bytes:
        """Of the entry with what the defaults give, which are read once: they may have megabytes of attachments."""
        if self._defaults is None:
            self._defaults = _hashes(self._batch.defaults)
        return fingerprint({**self._defaults, **_hashes(entry)})


def _hashes(fields: Mapping[str, Any]) -> dict[str, str]:
    return {name: fingerprint({name: value}).hex() for name, value in fields.items() if name != ENTRY_KEY}


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
