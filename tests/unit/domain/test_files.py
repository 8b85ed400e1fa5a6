"""Names of files: what is one, what becomes one, and that the store's keys are made of nothing that anybody wrote."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.blobs.local import LocalStore
from domain.files import FileMissing, FilesUnavailable, forbidden, name_problem, safe_name


@given(st.text(max_size=400))
def test_whatever_is_given_becomes_a_name(given_name: str):
    assert name_problem(safe_name(given_name)) is None


@given(st.text(max_size=300))
def test_a_name_that_is_one_is_no_path(name: str):
    if name_problem(name) is None:
        assert Path("/a", name).resolve() == Path("/a") / name
        assert not set(name) & set('\r\n\0/\\"')


@pytest.mark.parametrize(
    ("given_name", "kept"),
    [("../../etc/passwd", "passwd"), ("C:\\a\\b.txt", "b.txt"), ("a\r\nBcc: x.txt", "aBcc_ x.txt"), ("", "attachment"),
     ("..", "attachment"), ("nul", "attachment"), ("cod\u202egpj.exe", "codgpj.exe"),
     ("é" * 300 + ".pdf", "é" * 125 + ".pdf")],
)  # fmt: skip
def test_the_nearest_name_is_taken(given_name: str, kept: str):
    assert safe_name(given_name) == kept


@pytest.mark.parametrize("name", ["a.exe", "a.EXE", "a.exe.", "a.exe ", "a.txt.scr", ".js"])
def test_what_mailbox_hosts_refuse_is_found_by_its_end(name: str):
    assert forbidden(name)


def test_the_store_writes_nowhere_else_and_once(tmp_path: Path):
    store = LocalStore(tmp_path / "store")
    for key in ("../x", "a/../../x", "/etc/x", "a//b", "A", ""):
        with pytest.raises(ValueError, match="not a key"):
            store.put(key, b"x")
    store.put("a/b", b"one")
    store.put("a/b", b"two")
    assert (store.read("a/b"), store.size("a/b"), store.size("a/c")) == (b"one", 3, None)
    assert not list(tmp_path.rglob("*.new"))
    assert (
        LocalStore(tmp_path / "store").identity() == store.identity() != LocalStore(tmp_path / "b").identity()
    )
    store.delete("a/b")
    store.delete("a/b")
    with pytest.raises(FileMissing):
        store.read("a/b")


def test_a_file_is_written_while_others_take_the_last_one_out_of_its_folder(tmp_path: Path):
    store = LocalStore(tmp_path / "store")
    done = threading.Event()

    def take_away() -> None:
        while not done.wait(0.001):
            store.delete("a/other")

    with ThreadPoolExecutor(1) as pool:
        taking = pool.submit(take_away)
        try:
            for place in range(30):
                store.put("a/other", b"x")
                store.put(f"a/{place}", b"y")
                assert store.read(f"a/{place}") == b"y"
                store.delete(f"a/{place}")
        finally:
            done.set()
        taking.result()


def test_a_store_that_cannot_be_written_says_so(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(FilesUnavailable):
        LocalStore(tmp_path / "file").put("a/b", b"x")
