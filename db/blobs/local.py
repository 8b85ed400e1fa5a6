"""domain.files.BlobStore in a directory. What it says is kept has been written through to the disk."""

from __future__ import annotations

import os
import re
import secrets
from contextlib import suppress
from pathlib import Path

from domain.files import FileMissing, FilesUnavailable

_KEY = re.compile(r"[a-z0-9-]+(/[a-z0-9-]+)*\Z")
_IDENTITY = "store-id"
_TRIES = 50  # to write into a folder that others take away, once they have taken the last file out of it


class LocalStore:
    """API and workers must see the same directory. It is made at the first use, readable by nobody else."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._identity = ""

    def put(self, key: str, content: bytes) -> None:
        path = self._path(key)
        try:
            for _ in range(_TRIES - 1):
                with suppress(FileNotFoundError, FileExistsError):
                    return self._put(path, content)
            self._put(path, content)
        except OSError as error:
            raise FilesUnavailable(_words(error)) from error

    def _put(self, path: Path, content: bytes) -> None:
        """Raises FileNotFoundError or FileExistsError also where somebody takes the folder away meanwhile."""
        if _size(path) == len(content):
            return
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        scratch = path.with_name(f"{path.name}.{secrets.token_hex(8)}.new")
        try:
            _write_through(scratch, content)
            scratch.replace(path)  # whoever reads sees all of it, or nothing
        finally:
            scratch.unlink(missing_ok=True)
        self._settle(path.parent)

    def read(self, key: str) -> bytes:
        try:
            return self._path(key).read_bytes()
        except FileNotFoundError:
            raise FileMissing("there is no such file in the store") from None
        except OSError as error:
            raise FilesUnavailable(_words(error)) from error

    def size(self, key: str) -> int | None:
        try:
            return _size(self._path(key))
        except OSError as error:
            raise FilesUnavailable(_words(error)) from error

    def delete(self, key: str) -> None:
        path = self._path(key)
        try:
            path.unlink(missing_ok=True)
            with suppress(OSError):  # another file lives there
                path.parent.rmdir()
        except OSError as error:
            raise FilesUnavailable(_words(error)) from error

    def identity(self) -> str:
        """A file of the directory's own; whoever comes first writes it."""
        path = self.root / _IDENTITY
        try:
            if not path.exists():
                self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
                scratch = self.root / f"{_IDENTITY}.{secrets.token_hex(8)}.new"
                _write_through(scratch, secrets.token_hex(16).encode())
                with suppress(FileExistsError):
                    os.link(scratch, path)
                scratch.unlink()
            return path.read_text()
        except OSError as error:
            raise FilesUnavailable(_words(error)) from error

    # A directory gives no links: the API serves its files. The arguments are the port's.
    def link(self, key: str, filename: str, content_type: str, seconds: int) -> str | None:  # noqa: ARG002
        return None

    def upload_link(self, key: str, size: int, seconds: int) -> str | None:  # noqa: ARG002
        return None

    def _path(self, key: str) -> Path:
        if not _KEY.match(
            key
        ):  # no key has ever been made of anything that a user wrote; this is the second lock
            raise ValueError("not a key of the store")
        return self.root / key

    def _settle(self, folder: Path) -> None:
        """Write new names through to the disk, up to the root."""
        for place in (folder, *folder.parents):
            descriptor = os.open(place, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            if place == self.root:
                return


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None


def _write_through(path: Path, content: bytes) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _words(error: OSError) -> str:
    return f"the directory of attachments: {error.strerror or type(error).__name__}"
