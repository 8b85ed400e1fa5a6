"""domain.files.BlobStore in a bucket of Amazon S3, or of anything that speaks its API (SigV4)."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from domain.files import FileMissing, FilesUnavailable

_IDENTITY = "store-id"
_ABSENT = frozenset({"404", "NoSuchKey", "NotFound"})


@dataclass(frozen=True, slots=True)
class Bucket:
    """`endpoint` None: Amazon's. `access` None: what boto3 finds by itself (a role, a profile, the environment)."""

    name: str
    endpoint: str | None = None
    region: str = "us-east-1"
    access: tuple[str, str] | None = None
    prefix: str = ""


class S3Store:
    """Repeating a read, a put of the same bytes or a deletion is safe, so boto3 may do so twice."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        access_id, secret = bucket.access or (None, None)
        self._client = boto3.client(
            "s3",
            endpoint_url=bucket.endpoint,
            region_name=bucket.region,
            aws_access_key_id=access_id,
            aws_secret_access_key=secret,
            config=Config(
                signature_version="s3v4",
                connect_timeout=3,
                read_timeout=10,
                retries={"total_max_attempts": 3, "mode": "standard"},
                max_pool_connections=32,
                # Others than Amazon seldom have a name of its own for each bucket, or its newer checksums.
                s3={"addressing_style": "path" if bucket.endpoint else "auto"},
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )

    def put(self, key: str, content: bytes) -> None:
        if self.size(key) == len(content):
            return
        with _told():
            self._client.put_object(
                **self._at(key), Body=content, Metadata={"sha256": hashlib.sha256(content).hexdigest()}
            )

    def read(self, key: str) -> bytes:
        with _told():
            content: bytes = self._client.get_object(**self._at(key))["Body"].read()
        return content

    def size(self, key: str) -> int | None:
        try:
            with _told():
                return int(self._client.head_object(**self._at(key))["ContentLength"])
        except FileMissing:
            return None

    def delete(self, key: str) -> None:
        with _told():
            self._client.delete_object(**self._at(key))

    def identity(self) -> str:
        """A file of the bucket's own, which all must be able to read; whoever comes first writes it."""
        try:
            mark = self.read(_IDENTITY)
        except FileMissing:
            self.put(_IDENTITY, secrets.token_hex(16).encode())
            mark = self.read(_IDENTITY)
        place = f"{self._bucket.endpoint or 'amazon'}/{self._bucket.name}/{self._bucket.prefix}"
        return f"{place} {mark.decode('ascii', 'replace')}"

    def link(self, key: str, filename: str, content_type: str, seconds: int) -> str | None:
        shown = f"attachment; filename*=UTF-8''{quote(filename, safe='')}"
        return self._signed(
            "get_object", key, seconds, ResponseContentDisposition=shown, ResponseContentType=content_type
        )

    def upload_link(self, key: str, size: int, seconds: int) -> str | None:
        return self._signed("put_object", key, seconds, ContentLength=size)

    def _signed(self, method: str, key: str, seconds: int, **more: Any) -> str:
        with _told():
            url: str = self._client.generate_presigned_url(
                method, Params={**self._at(key), **more}, ExpiresIn=seconds
            )
        return url

    def _at(self, key: str) -> dict[str, str]:
        return {"Bucket": self._bucket.name, "Key": f"{self._bucket.prefix}{key}"}


@contextmanager
def _told() -> Iterator[None]:
    """What botocore raises, in our words. urllib3's errors while a body is read are BotoCoreErrors there."""
    try:
        yield
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", "error"))
        if code in _ABSENT:
            raise FileMissing("there is no such file in the bucket") from error
        raise FilesUnavailable(f"the bucket of attachments: {code}") from error
    except BotoCoreError as error:
        raise FilesUnavailable(f"the bucket of attachments: {type(error).__name__}") from error
