"""Keeping files: each is looked at, then durable in the store, and only then known by an id."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from api.deps import Dependencies
from api.sniffing import problem_of, type_of
from domain.files import StoredFile, blob_key


@dataclass(frozen=True)
class NewFile:
    """A file that was brought: its name is one, its type may be left open."""

    filename: str
    given_type: str | None
    content: bytes = field(repr=False)

    @property
    def content_type(self) -> str:
        return type_of(self.filename, self.given_type, self.content)

    def problem(self) -> tuple[str, str] | None:
        """Code and words for what is wrong with the content, or None."""
        if not self.content:
            return "empty", "an empty file is not sent"
        return problem_of(self.filename, self.content_type, self.content)


def file_away(deps: Dependencies, user_id: UUID, files: Sequence[NewFile]) -> list[StoredFile]:
    """Keep files; when this returns they are durable. What the user has already is not written again.

    No transaction is open while the store is at work. Raises domain.files.FilesUnavailable and StorageUnavailable.
    """
    hashes = [hashlib.sha256(file.content).digest() for file in files]
    contents = {hash_: file.content for hash_, file in zip(hashes, files, strict=True)}
    with deps.units() as unit:
        unit.attachments.reserve(user_id, [(hash_, len(content)) for hash_, content in contents.items()])
        unit.commit()
    for hash_, content in contents.items():
        deps.store.put(blob_key(user_id, hash_), content)
    with deps.units() as unit:
        # In one order for all requests, so that none waits for another in a circle.
        places = sorted(
            range(len(files)), key=lambda at: (hashes[at], files[at].filename, files[at].content_type)
        )
        ids = {
            at: unit.attachments.enter(
                deps.ids(), user_id, hashes[at], files[at].filename, files[at].content_type
            )
            for at in places
        }
        unit.commit()
    return [
        StoredFile(ids[at], hashes[at], len(file.content), file.filename, file.content_type)
        for at, file in enumerate(files)
    ]
