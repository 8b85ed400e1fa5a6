"""Attachments in a bucket: SeaweedFS, which checks signatures, in place of Amazon S3."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from db.blobs.s3 import Bucket, S3Store
from domain.files import FileMissing, FilesUnavailable

WEED = Path(sys.executable).parent / "weed"
ACCESS = ("AKIAOFTHETESTS", "the-secret-of-the-tests")
BLIND = ("AKIAOFTHEBLIND", "may-write-and-list-and-not-read")
CONTENT = bytes(range(256)) * 40
GRPC = 10_000  # by so much is the port higher that each of its programs opens beside its own


def free_ports(count: int) -> list[int]:
    found: list[int] = []
    held: list[socket.socket] = []
    while len(found) < count:
        one = socket.create_server(("127.0.0.1", 0))
        port = one.getsockname()[1]
        held.append(one)
        if port > 65_535 - GRPC:
            continue
        try:
            held.append(socket.create_server(("127.0.0.1", port + GRPC)))
        except OSError:
            continue
        found.append(port)
    for one in held:
        one.close()
    return found


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("weed")
    identity = {
        "name": "tests",
        "credentials": [{"accessKey": ACCESS[0], "secretKey": ACCESS[1]}],
        "actions": ["Admin", "Read", "Write", "List"],
    }
    blind = {
        "name": "blind",
        "credentials": [{"accessKey": BLIND[0], "secretKey": BLIND[1]}],
        "actions": ["Write", "List"],
    }
    (folder / "s3.json").write_text(json.dumps({"identities": [identity, blind]}))
    names = ("master.port", "volume.port", "filer.port", "s3.port")
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    url = f"http://127.0.0.1:{ports['s3.port']}"
    options = [f"-{name}={port}" for name, port in ports.items()]
    options += ["-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-dir={folder}", f"-s3.config={folder / 's3.json'}"]
    options += ["-admin.ui=false", "-webdav=false", "-s3.port.iceberg=0", "-s3.port.lance=0", "-bucket=mails"]
    with (folder / "weed.log").open("wb") as log:
        server = subprocess.Popen([WEED, "mini", *options], cwd=folder, stdout=log, stderr=subprocess.STDOUT)
    try:
        end = time.monotonic() + 30
        while not _serves(url):
            assert server.poll() is None, (folder / "weed.log").read_text()[-2000:]
            assert time.monotonic() < end, (folder / "weed.log").read_text()[-2000:]
            time.sleep(0.1)  # it does not say when it is ready
        yield url
    finally:
        server.kill()
        server.wait()


def _serves(url: str) -> bool:
    try:
        S3Store(Bucket("mails", url, access=ACCESS)).identity()
    except (FilesUnavailable, FileMissing):
        return False
    return True


@pytest.fixture
def store(endpoint: str) -> S3Store:
    return S3Store(Bucket("mails", endpoint, access=ACCESS, prefix="of-tests/"))


def test_what_is_put_is_read_and_deleted_as_in_a_directory(store: S3Store) -> None:
    store.put("a/b", CONTENT)
    store.put("a/b", CONTENT)
    assert (store.read("a/b"), store.size("a/b"), store.size("a/c")) == (CONTENT, len(CONTENT), None)
    store.delete("a/b")
    store.delete("a/b")
    with pytest.raises(FileMissing):
        store.read("a/b")


def test_buckets_and_prefixes_are_told_apart(endpoint: str, store: S3Store) -> None:
    other = S3Store(Bucket("mails", endpoint, access=ACCESS, prefix="other/"))
    store.put("same", b"one")
    assert other.size("same") is None
    assert other.identity() != store.identity()


def test_who_may_not_read_what_others_wrote_is_not_at_the_same_store(endpoint: str, store: S3Store) -> None:
    assert (
        store.identity() == S3Store(Bucket("mails", endpoint, access=ACCESS, prefix="of-tests/")).identity()
    )
    blind = S3Store(Bucket("mails", endpoint, access=BLIND, prefix="of-tests/"))
    with pytest.raises(FilesUnavailable):
        blind.identity()
    before = store.identity()
    store.delete("store-id")  # as in a bucket that was emptied, or put in the place of another
    assert store.identity() != before


@pytest.mark.parametrize(
    "changes", [{"access": (ACCESS[0], "wrong")}, {"access": ("AKIANOBODY", ACCESS[1])}, {"endpoint": "http://127.0.0.1:1"}]
)  # fmt: skip
def test_a_bucket_that_cannot_be_used_is_no_missing_file(endpoint: str, changes: dict[str, object]) -> None:
    broken = S3Store(Bucket(**{"name": "mails", "endpoint": endpoint, "access": ACCESS, **changes}))  # type: ignore[arg-type]  # fields of several types
    with pytest.raises(FilesUnavailable):
        broken.put("x", b"x")
    with pytest.raises(FilesUnavailable) as told:
        broken.read("x")
    assert ACCESS[1] not in str(told.value)


def test_a_bucket_that_is_not_there_is_said_so(endpoint: str) -> None:
    with pytest.raises((FilesUnavailable, FileMissing)):
        S3Store(Bucket("nothing-here", endpoint, access=ACCESS)).identity()


def test_a_link_gives_the_file_under_its_name(store: S3Store) -> None:
    store.put("k", CONTENT)
    link = store.link("k", "Rechnung für Ada.pdf", "application/pdf", 60)
    got = requests.get(str(link), timeout=5)
    assert (got.status_code, got.content) == (200, CONTENT)
    assert got.headers["Content-Type"] == "application/pdf"
    assert "Rechnung%20f%C3%BCr%20Ada.pdf" in got.headers["Content-Disposition"]


@pytest.mark.parametrize(
    ("what", "pattern", "instead"),
    [
        ("signature", r"X-Amz-Signature=\w{4}", "X-Amz-Signature=0000"),
        ("time", r"X-Amz-Expires=\d+", "X-Amz-Expires=604800"),
        ("file", r"/of-tests/k\?", "/of-tests/secret?"),
        ("key", r"X-Amz-Credential=\w+", "X-Amz-Credential=AKIANOBODY"),
        ("name", r"response-content-type=[^&]*", "response-content-type=text%2Fhtml"),
        ("all of it", r"\?.*", ""),
    ],
)
def test_a_link_that_was_changed_is_refused(store: S3Store, what: str, pattern: str, instead: str) -> None:
    store.put("k", CONTENT)
    store.put("secret", b"not for you")
    link = str(store.link("k", "a.txt", "text/plain", 60))
    changed, count = re.subn(pattern, instead, link)
    assert (count, changed != link) == (1, True), what
    assert requests.get(changed, timeout=5).status_code == 403


def test_a_link_ends(store: S3Store) -> None:
    store.put("k", CONTENT)
    link = str(store.link("k", "a.txt", "text/plain", 1))
    time.sleep(2.1)  # by the bucket's own clock, in whole seconds
    assert requests.get(link, timeout=5).status_code == 403


def test_an_upload_link_takes_one_file_of_its_size_and_nothing_else(store: S3Store) -> None:
    link = str(store.upload_link("up", len(CONTENT), 60))
    assert requests.put(link.replace("/up?", "/elsewhere?"), data=CONTENT, timeout=5).status_code == 403
    assert requests.put(link.partition("?")[0], data=CONTENT, timeout=5).status_code == 403
    assert requests.put(link, data=CONTENT + b"more", timeout=5).status_code == 403
    assert requests.get(link, timeout=5).status_code == 403
    assert store.size("up") is None
    assert requests.put(link, data=CONTENT, timeout=5).status_code == 200
    assert store.read("up") == CONTENT
