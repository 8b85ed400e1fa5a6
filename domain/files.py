"""Files of emails: as they are asked for, as they are kept, and what may be a file's name.

A file's content is kept once per user and SHA-256, whatever emails carry it and under whatever names.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Final, Protocol
from uuid import UUID

from domain.headers import value_problem
from domain.message import Attachment, Disposition
from domain.value import value

MOST_FILES: Final = 50  # of one email
LONGEST_NAME: Final = 255  # bytes in UTF-8, what file systems take
_RESERVED: Final = re.compile(r'[\\/:*?"<>|]')
_DEVICES: Final = re.compile(r"(?i)(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?\Z")
# What turns the direction of writing shows `gpj.exe` as `exe.jpg`; what has no width hides an extension.
_TRICKS: Final = re.compile("[\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")

# Gmail's and Outlook's lists of what they refuse or strip, and Amazon SES's: such a file would never arrive.
FORBIDDEN: Final = frozenset(
    """
    ade adp app appx appxbundle asp bas bat cab cer chm cmd cnt com cpl crt csh der dll dmg exe fxp gadget grp hlp
    hpj hta inf ins iso isp its jar jnlp js jse ksh lib lnk mad maf mag mam maq mar mas mat mau mav maw mcf mda
    mdb mde mdt mdw mdz msc msh msh1 msh1xml msh2 msh2xml mshxml msi msix msixbundle msp mst ops osd pcd pif pl
    plg prf prg printerexport ps1 ps1xml ps2 ps2xml psc1 psc2 psd1 psdm1 pst reg scf scr sct shb shs sys theme tmp
    url vb vbe vbp vbs vhd vhdx vps vsmacros vsw vxd webpnp ws wsb wsc wsf wsh xap xbap xll xnk
    """.split()  # noqa: SIM905
)


class FilesUnavailable(Exception):
    """The store does not answer, or cannot take more. Nothing is lost: it may be asked again."""


class FileMissing(FilesUnavailable):
    """The store answers, and does not have the file, or has it damaged."""


@value
class WantedFile:
    """A file as an email asks for it: by its content, by the `id` of one that is kept, or by a `url`.

    `filename` and `content_type` None: as it is kept, or as the server of the `url` names it.
    """

    content: bytes | None = None
    id: UUID | None = None
    url: str | None = None
    filename: str | None = None
    content_type: str | None = None
    disposition: Disposition = Disposition.ATTACHMENT
    content_id: str | None = None


@value
class StoredFile:
    """A file of an email. Its content is in the store, by its SHA-256; `id` is what its owner knows it by."""

    id: UUID
    hash: bytes
    size: int
    filename: str
    content_type: str
    disposition: Disposition = Disposition.ATTACHMENT
    content_id: str | None = None

    def with_content(self, content: bytes) -> Attachment:
        return Attachment(self.filename, self.content_type, content, self.disposition, self.content_id)


class BlobStore(Protocol):
    """Where contents of files are kept, each under a key that is written once. Safe for several threads.

    Every method raises FilesUnavailable where the store does not answer in time.
    """

    def put(self, key: str, content: bytes) -> None:
        """Keep the content: it is durable when this returns. What is there under the key already stays."""
        ...

    def read(self, key: str) -> bytes:
        """Raises FileMissing where there is nothing under the key."""
        ...

    def size(self, key: str) -> int | None:
        """Bytes under the key; None: there is nothing."""
        ...

    def delete(self, key: str) -> None:
        """Take it away; nothing happens where it is not there."""
        ...

    def identity(self) -> str:
        """What names this store: the same for all that use it, another for every other one."""
        ...

    def link(self, key: str, filename: str, content_type: str, seconds: int) -> str | None:
        """An address that everybody may read the content at, for so long; None: the service hands it out itself."""
        ...

    def upload_link(self, key: str, size: int, seconds: int) -> str | None:
        """An address that so many bytes may be PUT to, for so long; None: the service takes them itself."""
        ...


class FileLines(Protocol):
    """What the database says of the store's contents, for whoever takes away the unused ones."""

    def old_uploads(self, limit: int) -> Sequence[UUID]: ...

    def close_upload(self, id: UUID) -> None: ...

    def forget_names(self, limit: int) -> int: ...

    def unused(self, limit: int) -> Sequence[tuple[UUID, bytes]]: ...

    def drop(self, user_id: UUID, hash: bytes) -> bool: ...


def blob_key(user_id: UUID, hash: bytes) -> str:
    """Where the content is: never a name that somebody gave."""
    return f"blobs/{user_id.hex}/{hash.hex()[:2]}/{hash.hex()}"


def upload_key(upload_id: UUID) -> str:
    return f"uploads/{upload_id.hex}"


def name_problem(name: str) -> str | None:
    """Say why this is no file's name, or None: it is shown to people, travels in headers, and is saved by them."""
    if not name or name != name.strip() or name.strip(".") == "":
        return "a file name is not empty, not only dots, and has no blanks at its ends"
    if (problem := value_problem(name)) is not None:
        return problem
    if _RESERVED.search(name):
        return 'a file name has no path and none of \\ / : * ? " < > |'
    if _TRICKS.search(name):
        return "invisible characters, and those that turn the direction of writing, are not allowed in a file name"
    if len(name.encode()) > LONGEST_NAME:
        return f"a file name has at most {LONGEST_NAME} bytes"
    if _DEVICES.match(name):
        return "the name means a device, on some systems"
    return None


def forbidden(name: str) -> str | None:
    """The extension by which mailbox hosts refuse the file, or None. Blanks and dots at the end do not hide it."""
    extension = name.rstrip(". ").rpartition(".")[2].lower()
    return extension if extension in FORBIDDEN else None


def safe_name(name: str, otherwise: str = "attachment") -> str:
    """The nearest name that is one: for names that nobody here has chosen. The last part of a path is its name."""
    last = re.split(r"[\\/]", name)[-1]
    kept = "".join(c for c in unicodedata.normalize("NFC", last) if unicodedata.category(c)[0] != "C")
    kept = _RESERVED.sub("_", _TRICKS.sub("", kept)).replace("=?", "_").strip(" .")
    stem, dot, extension = kept.rpartition(".")
    while len(kept.encode()) > LONGEST_NAME:
        stem, dot, extension = (stem[:-1], dot, extension[:50]) if stem else (extension[:-1], "", "")
        kept = f"{stem}{dot}{extension}"
    return kept if name_problem(kept) is None else otherwise


def total_size(files: Iterable[StoredFile]) -> int:
    return sum(file.size for file in files)
