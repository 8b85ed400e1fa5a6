"""Giving emails their files, before they are accepted: when an email is committed its files are durable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final
from uuid import UUID

from sqlalchemy import RowMapping

from api.auth import caller
from api.deps import Dependencies
from api.filing import NewFile, file_away
from api.requests import dependencies
from api.sniffing import problem_of
from domain.files import StoredFile, WantedFile, forbidden, safe_name
from domain.intake import Draft, Objection
from domain.message import Attachment, Lane, Submission
from domain.tracking import resolved
from providers.fetching import Fetched, FetchFailed
from providers.guard import MEDIA_TYPE
from routing.eligibility import encoded_bytes, most_bytes

MOST_ADDRESSES: Final = 20  # that one request has fetched
_HEAVY: Final = 100_000  # characters; only an SMTP server that somebody has limited carries less
_NOT_KEPT: Final = UUID(int=0)

Source = tuple[object, ...]
Trouble = tuple[str, str, str]  # the field, a stable code, and words
Found = StoredFile | NewFile | Trouble


def attach(drafts: Sequence[Draft], *, keep: bool = True) -> list[Draft]:
    """The same emails with their files kept. What cannot be had bears objections.

    Without `keep` nothing is fetched or written: it is only said what is wrong, and the files that are known have
    their sizes in the message, for routing to judge. Raises domain.files.FilesUnavailable.
    """
    if not any(draft.wanted or _is_heavy(draft) for draft in drafts):
        return list(drafts)
    asker = caller()
    return _Attaching(dependencies(), asker.user_id, asker.is_test, keep).attach(drafts)


@dataclass(frozen=True, slots=True)
class _Attaching:
    deps: Dependencies
    user_id: UUID
    test: bool
    keep: bool

    def attach(self, drafts: Sequence[Draft]) -> list[Draft]:
        # A batch's emails share what its defaults name: each source is read, looked at and written once.
        wanted = {_source(w): w for draft in drafts for w in draft.wanted}
        found = self._uploaded(wanted) | self._fetched(wanted) | self._brought(wanted)
        judged = [self._judged(draft, found) for draft in drafts]
        if self.keep:
            found |= self._filed(judged, found)
        return [self._with_files(draft, found) for draft in judged]

    def _uploaded(self, wanted: Mapping[Source, WantedFile]) -> dict[Source, Found]:
        ids = sorted({w.id for w in wanted.values() if w.id is not None})
        if not ids:
            return {}
        with self.deps.units() as unit:
            rows = unit.attachments.touch(self.user_id, ids)
            unit.commit()
        return {source: _known(rows.get(w.id)) for source, w in wanted.items() if w.id is not None}

    def _fetched(self, wanted: Mapping[Source, WantedFile]) -> dict[Source, Found]:
        sources = {source: w for source, w in wanted.items() if w.url is not None}
        urls = list(dict.fromkeys(w.url for w in sources.values() if w.url is not None))
        if len(urls) > MOST_ADDRESSES:
            many = (
                "url",
                "too_many",
                f"at most {MOST_ADDRESSES} addresses are fetched for a request: upload the files",
            )
            return dict.fromkeys(sources, many)
        if not urls or not self.keep:
            return {}
        answers = dict(zip(urls, self.deps.fetch(urls, self.deps.limits.max_attachments_bytes), strict=True))
        return {source: _named(w, answers[w.url]) for source, w in sources.items() if w.url is not None}

    def _brought(self, wanted: Mapping[Source, WantedFile]) -> dict[Source, Found]:
        found: dict[Source, Found] = {}
        for source, w in wanted.items():
            if w.content is not None:
                assert w.filename is not None  # or the schema had refused it
                found[source] = _looked_at(NewFile(w.filename, w.content_type, w.content), "content")
        return found

    def _judged(self, draft: Draft, found: Mapping[Source, Found]) -> Draft:
        """With what is wrong with its files, each and all together."""
        said: list[Objection] = []
        size = 0
        for place, w in enumerate(draft.wanted):
            match found.get(_source(w)):
                case (str() as where, str() as code, str() as words):
                    said.append(Objection(draft.item, ("attachments", place, where), code, words))
                case NewFile() as new:
                    size += len(new.content)
                case StoredFile() as kept:
                    size += kept.size
        if (trouble := self._too_large(draft, size)) is not None:
            said.append(Objection(draft.item, (_heaviest(draft),), "too_large", trouble))
        return replace(draft, objections=(*draft.objections, *said)) if said else draft

    def _too_large(self, draft: Draft, size: int) -> str | None:
        limit = self.deps.limits.max_attachments_bytes
        if size > limit:
            return f"together they have {size} bytes, and {limit} are accepted"
        bodies = sum(len(part.encode()) for part in (draft.message.text, draft.message.html) if part)
        encoded, board = encoded_bytes(size + bodies), self.deps.board()
        if all(encoded <= (p.capabilities.max_bytes or encoded) for p in board.providers):
            return None
        most = most_bytes(board, self._outlined(draft))
        if most is not None and encoded > most:
            return f"the email would have {encoded} bytes when encoded; where it may go {most} are carried at most"
        return None

    def _outlined(self, draft: Draft) -> Submission:
        """The email as far as it says who may carry it."""
        files = [
            Attachment(w.filename or "", w.content_type or "", b"", w.disposition, w.content_id)
            for w in draft.wanted
        ]
        base, html = self.deps.gathering.rules.public_url, bool(draft.message.html)
        # What proves our links says nothing of who may carry them.
        tracking = resolved(draft.tracking, base, b"", _NOT_KEPT, html=html)
        return Submission(
            id=_NOT_KEPT,
            user_id=self.user_id,
            tracking=tracking,
            message=replace(draft.message, attachments=tuple(files)),
            envelope=draft.envelope,
            email_type=draft.email_type,
            lane=Lane.TRANSACTIONAL,
            wishes=draft.wishes,
            test=self.test,
        )

    def _filed(self, drafts: Sequence[Draft], found: Mapping[Source, Found]) -> dict[Source, Found]:
        """Keep what was brought or fetched for emails that nothing speaks against: what is refused fills no disk."""
        needed = dict.fromkeys(_source(w) for draft in drafts if not draft.objections for w in draft.wanted)
        new = {source: one for source in needed if isinstance(one := found.get(source), NewFile)}
        return (
            dict(zip(new, file_away(self.deps, self.user_id, list(new.values())), strict=True)) if new else {}
        )

    def _with_files(self, draft: Draft, found: Mapping[Source, Found]) -> Draft:
        files: list[StoredFile] = []
        for w in draft.wanted:
            match found.get(_source(w)):
                case NewFile() as new:
                    kind, size = new.content_type, len(new.content)
                    files.append(
                        StoredFile(_NOT_KEPT, b"", size, new.filename, kind, w.disposition, w.content_id)
                    )
                case StoredFile() as kept:
                    name = w.filename or kept.filename
                    files.append(
                        replace(kept, filename=name, disposition=w.disposition, content_id=w.content_id)
                    )
        message = draft.message
        if not self.keep:
            weights = tuple(file.with_content(bytes(file.size)) for file in files)
            message = replace(message, attachments=weights)
        return replace(draft, message=message, files=tuple(files))


def _is_heavy(draft: Draft) -> bool:
    """Whether its words alone may be more than some provider carries."""
    return sum(len(part) for part in (draft.message.text, draft.message.html) if part) > _HEAVY


def _heaviest(draft: Draft) -> str:
    """The field of an email that makes it too large."""
    if draft.wanted:
        return "attachments"
    return "template" if draft.template else "html" if draft.message.html else "text"


def _source(w: WantedFile) -> Source:
    # Contents by identity: an email of a batch has those of the defaults, and comparing megabytes costs.
    return (w.id,) if w.id is not None else (w.url or id(w.content), w.filename, w.content_type)


def _known(row: RowMapping | None) -> Found:
    if row is None:
        return "id", "unknown_attachment", "there is no attachment with this id"
    return StoredFile(row["id"], bytes(row["hash"]), row["size"], row["filename"], row["content_type"])


def _named(w: WantedFile, answer: Fetched | FetchFailed) -> Found:
    """What was fetched, under the name that it was asked for, or the nearest to the server's that is one."""
    if isinstance(answer, FetchFailed):
        return "url", answer.code, str(answer)
    name = w.filename or safe_name(answer.filename)
    if (extension := forbidden(name)) is not None:
        return "url", "forbidden_type", f"mailbox hosts refuse files that end in .{extension}"
    kind = w.content_type or _usable(answer.content_type)
    if w.content_type is None and kind is not None and answer.content:
        # What a server says of its files is often wrong, and not the sender's word.
        kind = kind if problem_of(name, kind, answer.content) is None else None
    return _looked_at(NewFile(name, kind, answer.content), "url")


def _usable(kind: str | None) -> str | None:
    """A server's Content-Type, where it says something that may be told on."""
    if kind is None or len(kind) > 255 or not MEDIA_TYPE.match(kind):
        return None
    return None if kind.lower().startswith(("multipart/", "message/", "application/octet-stream")) else kind


def _looked_at(new: NewFile, where: str) -> Found:
    problem = new.problem()
    return new if problem is None else (where, *problem)
