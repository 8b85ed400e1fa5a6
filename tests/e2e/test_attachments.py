"""Attachments on the real stack: every way in, to the inbox of a provider, byte for byte."""

from __future__ import annotations

import base64
import hashlib
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.e2e.client import Service, an_email, until
from tests.e2e.conftest import FILE_SERVER

CHEAP, SMTP = "sandbox-sendgrid", "sandbox-smtp"
CONTENT = b"%PDF-1.7\n" + bytes(range(256)) * 400


class Files(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/inside":
            self.send_response(302)
            self.send_header("Location", "https://127.0.0.1/metadata")
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("Content-Type", "application/pdf")
        self.send_header("Content-Disposition", "attachment; filename*=UTF-8''Rechnung%20%C3%BC.pdf")
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def files(stack: Any) -> Iterator[str]:
    """The https server of somebody else."""
    server = ThreadingHTTPServer((FILE_SERVER, 0), Files)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(Path(stack.data_dir).parent / "server.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    yield f"https://{FILE_SERVER}:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def arrived(service: Service, email_id: str) -> list[dict[str, Any]]:
    email = service.ended(email_id)
    assert email["status"] == "sent", email
    (received,) = service.inbox(email_id)
    found: list[dict[str, Any]] = received["attachments"]
    return found


def is_content(file: dict[str, Any], name: str = "Rechnung ü.pdf") -> None:
    assert (file["name"], file["type"], file["size"]) == (name, "application/pdf", len(CONTENT))
    assert file["sha256"] == hashlib.sha256(CONTENT).hexdigest()


@pytest.mark.parametrize("provider", [CHEAP, SMTP])
def test_a_file_in_the_request_arrives_and_so_does_an_inline_image(service: Service, provider: str):
    gif = b"GIF89a\x01\x00\x01\x00\x00\x00\x00;"
    email_id = service.send(
        html='<p>Hello <img src="cid:dot"></p>',
        routing={"pinned": [provider]},
        attachments=[
            {"filename": "Rechnung ü.pdf", "content": base64.b64encode(CONTENT).decode()},
            {"filename": "dot.gif", "content": base64.b64encode(gif).decode(), "content_id": "dot"},
        ],
    )
    found = {file["name"]: file for file in arrived(service, email_id)}
    is_content(found["Rechnung ü.pdf"])
    assert (found["dot.gif"]["content_id"].strip("<>"), found["dot.gif"]["disposition"]) == ("dot", "inline")
    assert found["dot.gif"]["sha256"] == hashlib.sha256(gif).hexdigest()


def test_an_upload_arrives_and_can_be_read_by_its_link(service: Service):
    form = {"file": ("Rechnung ü.pdf", CONTENT)}
    made = service.http.post(f"{service.api_url}/v1/attachments", files=form, timeout=20)
    assert made.status_code == 201, made.text
    (file,) = arrived(service, service.send(attachments=[{"id": made.json()["id"]}]))
    is_content(file)
    link = made.json()["download_url"]
    assert requests.get(link, timeout=10).content == CONTENT
    assert requests.get(link[:-1], timeout=10).status_code == 403


def test_an_announced_upload_arrives(service: Service):
    announced = service.post(
        "/v1/attachments/uploads", {"filename": "Rechnung ü.pdf", "size": len(CONTENT)}
    ).json()
    assert requests.put(announced["upload_url"], data=CONTENT, timeout=10).status_code == 204
    made = service.post(f"/v1/attachments/uploads/{announced['id']}/complete")
    assert made.status_code == 201, made.text
    is_content(arrived(service, service.send(attachments=[{"id": made.json()["id"]}]))[0])


def test_a_file_is_fetched_from_its_address(service: Service, files: str):
    (file,) = arrived(service, service.send(attachments=[{"url": f"{files}/x"}]))
    is_content(file)


@pytest.mark.parametrize(
    "url",
    ["https://127.0.0.1/", "https://localhost/", "https://[::1]/", "https://[::ffff:127.0.0.1]/",
     "https://169.254.169.254/latest/meta-data/", "https://2130706433/", "https://0x7f.1/", "https://0/",
     "https://[64:ff9b::7f00:1]/", "https://[64:ff9b::a9fe:a9fe]/"],
)  # fmt: skip
def test_nothing_is_fetched_from_inside(service: Service, url: str):
    answer = service.post("/v1/emails", an_email(attachments=[{"url": url}]))
    assert answer.status_code == 422, answer.text
    (error,) = answer.json()["errors"]
    assert (error["pointer"], error["code"]) == ("/attachments/0/url", "not_public")


def test_a_redirect_is_not_followed(service: Service, files: str):
    answer = service.post("/v1/emails", an_email(attachments=[{"url": f"{files}/inside"}]))
    assert [(e["pointer"], e["code"]) for e in answer.json()["errors"]] == [
        ("/attachments/0/url", "redirect")
    ]


def test_a_batch_shares_its_file(service: Service):
    email = an_email()
    del email["to"]
    answer = service.post(
        "/v1/emails/batch",
        {
            "defaults": email
            | {"attachments": [{"filename": "a.pdf", "content": base64.b64encode(CONTENT).decode()}]},
            "emails": [{"to": [f"a{n}@x.example"]} for n in range(20)],
        },
    )
    assert answer.status_code == 202, answer.text
    for result in answer.json()["results"]:
        is_content(arrived(service, result["id"])[0], "a.pdf")


def test_the_service_is_ready_where_its_workers_see_the_same_store(service: Service):
    def checks() -> dict[str, Any]:
        found = service.http.get(f"{service.api_url}/readyz", timeout=10).json()
        return {check["name"]: check["ok"] for check in found["checks"]}

    until(lambda: checks()["attachments"])
    import redis

    with redis.Redis.from_url(service.redis_url) as client:
        assert list(client.scan_iter("mailmux:store:*")), "every worker tells what it sees"
        client.set("mailmux:store:elsewhere:1", "another", ex=30)
        assert not checks()["attachments"]
        client.delete("mailmux:store:elsewhere:1")
    assert checks()["attachments"]
