"""Attachments over HTTP: every way in, what is refused, and that a user's files are nobody else's."""

from __future__ import annotations

import base64
import hashlib
import io
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import pytest

from api.app import create_app
from domain.capabilities import Capabilities
from domain.files import blob_key
from routing.snapshot import Snapshot
from tests.integration.api.world import EMAIL, Caller, World, fields

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)
TEXT = b"Thank you!\n"


def b64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def an_attachment(**changes: Any) -> dict[str, Any]:
    return {"filename": "thanks.txt", "content": b64(TEXT)} | changes


def send(caller: Caller, *files: dict[str, Any], **more: Any) -> Any:
    return caller.post("/v1/emails", {**EMAIL, "attachments": list(files), **more})


def upload(caller: Caller, content: bytes = TEXT, name: str = "thanks.txt", **form: str) -> Any:
    return caller.ask("POST", "/v1/attachments", data={"file": (io.BytesIO(content), name), **form})


def stored(world: World, caller: Caller, content: bytes) -> bytes:
    return world.deps.store.read(blob_key(caller.user_id, hashlib.sha256(content).digest()))


def path_of(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}"


# ── ways in ──


def test_a_file_in_the_request_is_kept_before_the_answer(world: World, member: Caller):
    answer = send(
        member, an_attachment(), an_attachment(filename="dot.png", content=b64(PNG), content_id="dot")
    )
    assert answer.status_code == 202, answer.text
    assert stored(world, member, TEXT) == TEXT
    assert stored(world, member, PNG) == PNG
    email = member.get(f"/v1/emails/{answer.get_json()['id']}").get_json()
    first, second = email["attachments"]
    assert (first["filename"], first["content_type"], first["size"]) == (
        "thanks.txt",
        "text/plain",
        len(TEXT),
    )
    assert (first["disposition"], second["disposition"]) == ("attachment", "inline")
    assert second["sha256"] == hashlib.sha256(PNG).hexdigest()
    assert member.get(f"/v1/attachments/{first['id']}").get_json()["in_use"]


def test_an_upload_is_named_by_its_id(world: World, member: Caller):
    made = upload(member)
    assert made.status_code == 201, made.text
    file = made.get_json()
    assert made.headers["Location"] == f"/v1/attachments/{file['id']}"
    assert not file["in_use"]
    assert upload(member).get_json()["id"] == file["id"]
    assert world.count("blobs", member) == 1
    answer = send(member, {"id": file["id"]})
    assert answer.status_code == 202, answer.text
    (shown,) = member.get(f"/v1/emails/{answer.get_json()['id']}").get_json()["attachments"]
    assert shown["id"] == file["id"]
    assert member.get("/v1/attachments").get_json()["data"][0]["in_use"]


def test_an_announced_upload_needs_no_key_and_counts_once_it_is_complete(world: World, member: Caller):
    made = member.post("/v1/attachments/uploads", {"filename": "thanks.txt", "size": len(TEXT)}).get_json()
    complete = f"/v1/attachments/uploads/{made['id']}/complete"
    assert member.post(complete).status_code == 409
    client = world.app.test_client()
    assert client.put(path_of(made["upload_url"]), data=b"too short").status_code == 413
    assert client.put(path_of(made["upload_url"]), data=TEXT).status_code == 204
    file = member.post(complete)
    assert file.status_code == 201, file.text
    assert file.get_json()["sha256"] == hashlib.sha256(TEXT).hexdigest()
    assert stored(world, member, TEXT) == TEXT
    again = member.post(complete)
    assert (again.status_code, again.get_json()["id"]) == (201, file.get_json()["id"])
    assert client.put(path_of(made["upload_url"]), data=TEXT).status_code == 409, "it is what it is"


def test_whoever_completes_an_upload_beside_another_request_gets_the_same_file(world: World, member: Caller):
    for _ in range(5):
        made = member.post(
            "/v1/attachments/uploads", {"filename": "thanks.txt", "size": len(TEXT)}
        ).get_json()
        assert world.app.test_client().put(path_of(made["upload_url"]), data=TEXT).status_code == 204
        complete = f"/v1/attachments/uploads/{made['id']}/complete"
        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(member.post, [complete] * 4))
        assert {answer.status_code for answer in answers} == {201}, [answer.text for answer in answers]
        assert len({answer.get_json()["id"] for answer in answers}) == 1


def test_what_completes_an_upload_first_is_what_it_became(world: World, member: Caller):
    made = member.post("/v1/attachments/uploads", {"filename": "thanks.txt", "size": len(TEXT)}).get_json()
    assert world.app.test_client().put(path_of(made["upload_url"]), data=TEXT).status_code == 204
    complete = f"/v1/attachments/uploads/{made['id']}/complete"
    first = member.post(complete).get_json()["id"]
    late = upload(member, b"What was PUT meanwhile").get_json()["id"]
    with world.deps.units() as unit:
        assert str(unit.attachments.complete_upload(UUID(made["id"]), UUID(late))) == first
        unit.commit()
    assert member.post(complete).get_json()["id"] == first


def test_an_announced_hash_must_be_what_comes(world: World, member: Caller):
    body = {"filename": "thanks.txt", "size": len(TEXT), "sha256": "0" * 64}
    made = member.post("/v1/attachments/uploads", body).get_json()
    assert world.app.test_client().put(path_of(made["upload_url"]), data=TEXT).status_code == 204
    refused = member.post(f"/v1/attachments/uploads/{made['id']}/complete")
    assert refused.status_code == 422
    assert refused.get_json()["errors"][0]["code"] == "sha256"


# ── whose ──


def test_another_users_file_does_not_exist(world: World, member: Caller):
    mine, other = upload(member).get_json(), world.user()
    assert other.get(f"/v1/attachments/{mine['id']}").status_code == 404
    assert other.delete(f"/v1/attachments/{mine['id']}").status_code == 404
    assert other.get("/v1/attachments").get_json()["data"] == []
    theirs, nobodys = (
        send(other, {"id": one}) for one in (mine["id"], "01988b0e-5c0a-7e3c-9d6e-0b6a3d1f2a44")
    )
    assert theirs.status_code == nobodys.status_code == 422
    assert theirs.get_json()["errors"] == nobodys.get_json()["errors"]
    assert fields(theirs) == {"/attachments/0/id"}
    announced = member.post("/v1/attachments/uploads", {"filename": "a.txt", "size": 1}).get_json()
    assert other.post(f"/v1/attachments/uploads/{announced['id']}/complete").status_code == 404


def test_the_same_bytes_of_two_users_are_kept_apart(world: World, member: Caller):
    other = world.user()
    assert upload(member).get_json()["id"] != upload(other).get_json()["id"]
    assert world.count("blobs", member) == world.count("blobs", other) == 1


# ── links ──


def test_a_link_hands_the_file_out_as_a_download(world: World, member: Caller):
    file = upload(member, PNG, 'dot "ü".png'.replace('"', "")).get_json()
    answer = world.app.test_client().get(path_of(file["download_url"]))
    assert answer.status_code == 200
    assert answer.data == PNG
    assert answer.headers["Content-Disposition"] == "attachment; filename*=UTF-8''dot%20%C3%BC.png"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in answer.headers["Content-Security-Policy"]


def test_a_link_that_was_changed_or_is_over_is_refused(world: World, member: Caller):
    file, another = upload(member).get_json(), upload(member, b"another", "b.txt").get_json()
    link, client = path_of(file["download_url"]), world.app.test_client()
    expires = link.partition("expires=")[2].partition("&")[0]
    for changed in (
        link.partition("?")[0],
        link.replace(f"expires={expires}", f"expires={int(expires) + 1}"),
        link[:-1] + ("0" if link[-1] != "0" else "1"),
        link.replace(file["id"], another["id"]),
        link.replace("key=k1", "key=k2"),
        link.replace("/content?", "/content?x=1&").replace("signature=", "signature=é"),
    ):
        assert client.get(changed).status_code == 403, changed
    with world.later("16 minutes"):
        assert client.get(link).status_code == 403
    assert client.get(link).status_code == 200


def test_an_upload_link_serves_nothing_else_and_ends(world: World, member: Caller):
    made = member.post("/v1/attachments/uploads", {"filename": "a.txt", "size": 3}).get_json()
    link, client = path_of(made["upload_url"]), world.app.test_client()
    assert client.put(link.partition("?")[0], data=b"abc").status_code == 403
    assert client.put(link[:-2] + "zz", data=b"abc").status_code == 403
    assert client.get(f"/v1/attachments/{made['id']}/content?{link.partition('?')[2]}").status_code == 403
    with world.later("2 hours"):
        assert client.put(link, data=b"abc").status_code == 403
    assert client.put(link, data=b"abc").status_code == 204


# ── what is refused ──


@pytest.mark.parametrize(
    "name",
    ["../../etc/passwd", "..\\..\\boot.ini", "/etc/passwd", "C:\\x.txt", "a/b.txt", "..", ".", "a\r\nBcc: x@y.z",
     "a\0.txt", "=?utf-8?q?x?=", "invoice\u202ecod.txt", " a.txt", "NUL", "con.txt", "x" * 260 + ".txt", "a\u2028b",
     'a"; filename="b.exe', "a\x7f.txt", "\ud800.txt"],
)  # fmt: skip
def test_what_is_no_file_name_is_refused(member: Caller, name: str):
    answer = send(member, an_attachment(filename=name))
    assert answer.status_code == 422, answer.text
    assert fields(answer) == {"/attachments/0/filename"}


@pytest.mark.parametrize(
    ("name", "kind", "content", "code"),
    [
        ("a.png", None, TEXT, "mistyped"),
        ("a.txt", "image/png", TEXT, "mistyped"),
        ("a.txt", None, PNG, "mistyped"),
        ("a.pdf", "application/octet-stream", PNG, "mistyped"),
        ("a.pdf", None, b"<html>", "mistyped"),
        ("a.jpg", "image/jpeg", PNG, "mistyped"),
        ("a.exe", None, TEXT, "forbidden_type"),
        ("a.txt.JS", None, TEXT, "forbidden_type"),
        ("a.bin", None, b"\x7fELF\x02\x01\x01" + bytes(64), "forbidden_type"),
        ("a.pdf", None, b"MZ" + bytes(58) + b"\x40\0\0\0" + b"PE\0\0" + bytes(64), "forbidden_type"),
    ],
)
def test_a_file_that_is_not_what_it_is_said_to_be_is_refused(
    member: Caller, name: str, kind: str | None, content: bytes, code: str
):
    answer = send(member, an_attachment(filename=name, content=b64(content), content_type=kind))
    assert answer.status_code == 422, answer.text
    assert [e["code"] for e in answer.get_json()["errors"]] == [code]


@pytest.mark.parametrize(
    ("name", "content"),
    [("MZ.txt", b"MZ is a country code"), ("a.pdf", b"\n%PDF-1.7\n"), ("a.docx", b"PK\x03\x04" + bytes(30)),
     ("a.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>"), ("rechnung ü.csv", b"a;b"), ("noextension", b"x")],
)  # fmt: skip
def test_ordinary_files_are_taken(member: Caller, name: str, content: bytes):
    assert send(member, an_attachment(filename=name, content=b64(content))).status_code == 202


@pytest.mark.parametrize(
    ("file", "where"),
    [
        ({}, "/content"),
        ({"content": "x", "filename": "a.txt"}, "/content"),
        ({"content": "YQ==\n", "filename": "a.txt"}, "/content"),
        ({"content": "", "filename": "a.txt"}, "/content"),
        ({"content": "YQ=="}, "/filename"),
        ({"content": "YQ==", "filename": "a.txt", "url": "https://x.example/a"}, "/content"),
        ({"url": "http://x.example/a"}, "/url"),
        ({"url": "https://u:p@x.example/a"}, "/url"),
        ({"url": "file:///etc/passwd"}, "/url"),
        ({"id": "nonsense"}, "/id"),
        ({"content": "YQ==", "filename": "a.txt", "disposition": "inline"}, "/disposition"),
        ({"content": "YQ==", "filename": "a.txt", "content_id": "a b"}, "/content_id"),
        ({"content": "YQ==", "filename": "a.txt", "content_id": "a>\r\nX: y"}, "/content_id"),
        ({"content": "YQ==", "filename": "a.txt", "content_type": "text/plain\r\nX: y"}, "/content_type"),
        (
            {"content": "YQ==", "filename": "a.txt", "content_type": "multipart/mixed; boundary=x"},
            "/content_type",
        ),
        ({"content": "YQ==", "filename": "a.txt", "charset": "x"}, "/charset"),
    ],
)
def test_what_is_wrong_with_an_attachment_is_said_where_it_is(
    member: Caller, file: dict[str, Any], where: str
):
    answer = send(member, file)
    assert answer.status_code == 422, answer.text
    assert f"/attachments/0{where}" in fields(answer)


def test_all_that_is_wrong_is_said_together(member: Caller):
    answer = send(
        member,
        {"id": "01988b0e-5c0a-7e3c-9d6e-0b6a3d1f2a44"},
        an_attachment(filename="a.png"),
        email_type="nonsense",
    )
    assert fields(answer) == {"/attachments/0/id", "/attachments/1/content", "/email_type"}


def test_two_inline_images_need_two_names(member: Caller):
    twice = an_attachment(filename="a.png", content=b64(PNG), content_id="a")
    assert fields(send(member, twice, twice)) == {"/attachments"}


def test_what_is_too_large_is_refused_everywhere(world: World, member: Caller):
    small = Caller(
        world.with_limits(max_attachments_bytes=1000), member.user_id, member.public_id, member.key
    )
    assert fields(
        send(small, an_attachment(content=b64(b"x" * 600)), an_attachment(content=b64(b"y" * 600)))
    ) == {"/attachments"}
    assert upload(small, b"x" * 1001).status_code == 413
    assert upload(small, b"x" * 100_000).status_code == 413
    announced = small.post("/v1/attachments/uploads", {"filename": "a.txt", "size": 1001})
    assert fields(announced) == {"/size"}
    assert fields(send(small, *[an_attachment()] * 51)) == {"/attachments"}


def test_what_is_refused_is_not_kept(world: World, member: Caller):
    small = Caller(
        world.with_limits(max_attachments_bytes=1000), member.user_id, member.public_id, member.key
    )
    assert fields(send(small, an_attachment(content=b64(b"x" * 1001)))) == {"/attachments"}
    assert fields(send(small, an_attachment(), email_type="undeclared")) == {"/email_type"}
    assert fields(send(small, an_attachment(filename="a.pdf"), an_attachment(filename="b.txt"))) == {
        "/attachments/0/content"
    }
    kept = world.sql("SELECT size FROM blobs WHERE user_id = :id", id=member.user_id)
    assert [row.size for row in kept] == [len(TEXT)], "email types are looked at later, in the database"


def test_only_the_providers_that_an_email_may_go_to_limit_its_size(world: World, member: Caller):
    for name in ("small", "any"):
        member.provider(name)
    small = Capabilities(max_bytes=10_000)

    def board() -> Snapshot:
        found = world.deps.board()
        providers = (replace(p, capabilities=small) if p.name == "small" else p for p in found.providers)
        return replace(found, providers=tuple(providers))

    app = create_app(replace(world.deps, board=board))
    caller = Caller(app, member.user_id, member.public_id, member.key)
    large = an_attachment(content=b64(b"x" * 8_000))
    assert fields(send(caller, large, routing={"pinned": ["small"]})) == {"/attachments"}
    assert fields(send(caller, large, routing={"excluded": ["any"]})) == {"/attachments"}
    assert send(caller, large).status_code == 202
    words = {"text": "x" * 1_500_000}
    assert fields(send(caller, **words, routing={"pinned": ["small"]})) == {"/text"}, "words alone, too"
    assert send(caller, **words).status_code == 202


def test_a_form_is_read_with_care(world: World, member: Caller):
    assert member.post("/v1/attachments", {}).status_code == 415
    assert fields(member.ask("POST", "/v1/attachments", data={"other": (io.BytesIO(b"x"), "a.txt")})) >= {
        "/file"
    }
    assert fields(upload(member, PNG, "a.txt")) == {"/file"}
    assert fields(upload(member, filename="../x.txt")) == {"/filename"}
    assert fields(upload(member, content_type="nonsense")) == {"/content_type"}
    assert upload(member, name="../../thanks.txt").get_json()["filename"] == "thanks.txt"
    raw = (
        b"--b\r\nContent-Disposition: form-data; name=\"file\"; filename*=UTF-8''r%C3%A9sum%C3%A9.txt\r\n"
        b"Content-Type: text/plain\r\n\r\nx\r\n--b--\r\n"
    )
    made = member.ask("POST", "/v1/attachments", data=raw, content_type="multipart/form-data; boundary=b")
    assert made.get_json()["filename"] == "résumé.txt"


# ── batches, repetition, lifetime ──


def test_a_batch_of_a_thousand_with_a_template_and_a_megabyte_keeps_one_body_and_one_file(
    world: World, member: Caller
):
    content = bytes(range(256)) * 4096
    template = {"name": "news", "subject": "News", "html": "<p>{{ what }}</p>"}
    assert member.post("/v1/templates", template).status_code == 201
    body = {
        "defaults": {
            "from": EMAIL["from"],
            "template": "news",
            "variables": {"what": "All is well."},
            "attachments": [an_attachment(filename="a.bin", content=b64(content))],
        },
        "emails": [{"to": [f"a{n}@example.com"]} for n in range(1000)],
    }
    answer = member.post("/v1/emails/batch", body)
    assert answer.status_code == 202, answer.text[:500]
    assert answer.get_json()["accepted"] == 1000
    assert world.count("blobs", member) == 1
    assert world.count("attachments", member) == 1
    assert world.count("email_contents", member) == 1
    assert world.count("email_attachments", member) == 1000


def test_a_batchs_files_are_judged_where_they_were_given(member: Caller):
    body = {
        "mode": "permissive",
        "defaults": {**EMAIL, "attachments": [an_attachment(filename="a/b")]},
        "emails": [{}, {"attachments": [an_attachment()]}, {"attachments": [an_attachment(content="?")]}],
    }
    results = member.post("/v1/emails/batch", body).get_json()["results"]
    assert [r["status"] for r in results] == ["rejected", "queued", "rejected"]
    assert [e["pointer"] for e in results[0]["errors"]] == ["/defaults/attachments/0/filename"]
    assert [e["pointer"] for e in results[2]["errors"]] == ["/emails/2/attachments/0/content"]
    strict = member.post("/v1/emails/batch", {**body, "mode": "strict"})
    assert fields(strict) == {"/defaults/attachments/0/filename", "/emails/2/attachments/0/content"}


def test_a_repeated_request_is_one_email_with_its_file(world: World, member: Caller):
    key = {"Idempotency-Key": "k-1"}
    body = {**EMAIL, "attachments": [an_attachment()]}
    first, again = member.post("/v1/emails", body, headers=key), member.post("/v1/emails", body, headers=key)
    assert first.get_json() == again.get_json()
    other = {**EMAIL, "attachments": [an_attachment(content=b64(b"other"))]}
    assert member.post("/v1/emails", other, headers=key).status_code == 422
    assert world.count("email_attachments", member) == 1


def test_an_email_without_files_asks_nothing_of_the_store(world: World, member: Caller):
    assert member.post("/v1/emails", EMAIL).status_code == 202
    assert world.count("blobs", member) == world.count("email_attachments", member) == 0


def test_no_store_no_202(world: World, member: Caller):
    store = world.deps.store
    root = store.root  # type: ignore[attr-defined]
    store.root = root / "store-id" / "below-a-file"  # type: ignore[attr-defined]
    try:
        store_there = root / "store-id"
        store_there.parent.mkdir(exist_ok=True)
        store_there.write_text("x")
        answer = send(member, an_attachment())
    finally:
        store.root = root  # type: ignore[attr-defined]
    assert answer.status_code == 503
    assert answer.headers["Retry-After"]
    assert world.count("email_jobs", member) == 0


def test_an_upload_that_was_deleted_is_gone_for_new_emails(member: Caller):
    file = UUID(upload(member).get_json()["id"])
    assert member.delete(f"/v1/attachments/{file}").status_code == 204
    assert member.get(f"/v1/attachments/{file}").status_code == 404
    assert fields(send(member, {"id": str(file)})) == {"/attachments/0/id"}


def test_what_no_provider_carries_that_is_left_by_type_rule_or_need_is_refused(world: World, member: Caller):
    """The largest limit is that of those who may carry this very email; who carries less is left out, and why."""
    limits = {"small": 20_000, "bare": None, "wide": 200_000}
    for name in limits:
        member.provider(name, base_cost="0.0100" if name == "bare" else "0.0001")

    def board() -> Snapshot:
        found = world.deps.board()
        providers = tuple(
            replace(p, capabilities=Capabilities(max_bytes=limits[p.name], inline_images=p.name != "bare"))
            for p in found.providers
            if p.name in limits
        )
        with world.deps.units() as unit:
            return replace(found, providers=providers, rules=tuple(unit.routes.rules()))

    app = create_app(replace(world.deps, board=board))
    caller = Caller(app, member.user_id, member.public_id, member.key)
    large, huge = an_attachment(content=b64(b"x" * 20_000)), an_attachment(content=b64(b"x" * 200_000))
    image = an_attachment(filename="a.png", content=b64(PNG), content_id="a")
    assert send(caller, huge).status_code == 202, "there is one without a limit"
    assert fields(send(caller, huge, image)) == {"/attachments"}, "which carries no inline images"
    assert fields(send(caller, huge, routing={"max_cost": "0.001"})) == {"/attachments"}, "and is dear"
    for_type = {"name": "digest", "providers": ["small"]}
    assert member.post("/v1/email-types", for_type).status_code == 201
    assert fields(send(caller, large, email_type="digest")) == {"/attachments"}
    rule = {"email_type": "transactional", "default_provider": "small"}
    assert send(caller, large, image).status_code == 202
    drawn = caller.post("/v1/emails?dry_run=true", {**EMAIL, "attachments": [large, image]}).get_json()
    said = {e["provider"]: e["because"] for e in drawn["decision"]["excluded"]}
    assert (drawn["decision"]["chosen"], said["small"], said["bare"]) == (
        "wide",
        "UNSUPPORTED",
        "UNSUPPORTED",
    )
    assert member.post("/v1/routing-rules", rule).status_code == 201
    assert fields(send(caller, large, image)) == {"/attachments"}


def test_an_email_that_is_not_to_be_tracked_is_no_larger_than_those_carry_who_can_leave_it_alone(
    world: World, member: Caller
):
    can = {
        "wide": Capabilities(max_bytes=200_000, tracking_opens_off=False),
        "small": Capabilities(max_bytes=20_000),
    }
    for name in can:
        member.provider(name)

    def board() -> Snapshot:
        found = world.deps.board()
        providers = (replace(p, capabilities=can[p.name]) for p in found.providers if p.name in can)
        return replace(found, providers=tuple(providers))

    app = create_app(replace(world.deps, board=board))
    caller = Caller(app, member.user_id, member.public_id, member.key)
    large, html = an_attachment(content=b64(b"x" * 20_000)), {"html": "<p>Hello</p>"}
    assert fields(send(caller, large, **html, track={"opens": False})) == {"/attachments"}
    assert send(caller, large, track={"opens": False}).status_code == 202, "a text has nothing to be tracked"
    assert send(caller, large, **html).status_code == 202
