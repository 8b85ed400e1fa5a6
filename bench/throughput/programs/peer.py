"""What teams write with Celery: a task per email, with or without a row in PostgreSQL, sent by smtplib or requests.

Configured by the environment: PEER_BROKER, PEER_DATABASE, PEER_SMTP (port), PEER_HTTP (url).
"""

from __future__ import annotations

import os
import smtplib
import threading
import uuid
from email.message import EmailMessage
from typing import Any

import psycopg2
import requests
from celery import Celery
from flask import Flask, request

_here = threading.local()
app = Celery("peer", broker=os.environ["PEER_BROKER"])
app.conf.update(
    task_ignore_result=True,
    task_acks_late=True,
    worker_prefetch_multiplier=4,
    task_serializer="json",
    broker_connection_retry_on_startup=True,
)


def database() -> Any:
    if not hasattr(_here, "database"):
        _here.database = psycopg2.connect(os.environ["PEER_DATABASE"])
    return _here.database


def insert(email: dict[str, Any]) -> str:
    email_id = str(uuid.uuid4())
    with database() as connection, connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO peer.emails (id, sender, recipient, subject, body, html, status)"
            " VALUES (%s, %s, %s, %s, %s, %s, 'queued')",
            (email_id, email["from"], email["to"][0], email["subject"], email["text"], email["html"]),
        )
    return email_id


def compose(email: dict[str, Any]) -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = email["from"], email["to"][0], email["subject"]
    message.set_content(email["text"])
    message.add_alternative(email["html"], subtype="html")
    return message


def connected() -> smtplib.SMTP:
    if not hasattr(_here, "smtp"):
        _here.smtp = smtplib.SMTP("127.0.0.1", int(os.environ["PEER_SMTP"]))
    found: smtplib.SMTP = _here.smtp
    return found


@app.task  # type: ignore[untyped-decorator]
def send_plain(email: dict[str, Any]) -> None:
    """No database, a connection per email."""
    with smtplib.SMTP("127.0.0.1", int(os.environ["PEER_SMTP"])) as smtp:
        smtp.send_message(compose(email))


@app.task  # type: ignore[untyped-decorator]
def send_stored(email_id: str) -> None:
    """Select, send, update; connections reused."""
    with database() as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT sender, recipient, subject, body, html FROM peer.emails WHERE id = %s", (email_id,)
        )
        sender, recipient, subject, text, html = cursor.fetchone()
    email = {"from": sender, "to": [recipient], "subject": subject, "text": text, "html": html}
    connected().send_message(compose(email))
    with database() as connection, connection.cursor() as cursor:
        cursor.execute("UPDATE peer.emails SET status = 'sent', sent_at = now() WHERE id = %s", (email_id,))


@app.task  # type: ignore[untyped-decorator]
def post(email: dict[str, Any]) -> None:
    """One POST per email to an HTTP provider, over a kept session."""
    if not hasattr(_here, "session"):
        _here.session = requests.Session()
        _here.session.trust_env = False
    content = [{"type": "text/plain", "value": email["text"]}, {"type": "text/html", "value": email["html"]}]
    answer = _here.session.post(
        os.environ["PEER_HTTP"] + "/v3/mail/send",
        json={
            "personalizations": [{"to": [{"email": email["to"][0]}]}],
            "from": {"email": email["from"]},
            "subject": email["subject"],
            "content": content,
        },
        timeout=30,
    )
    answer.raise_for_status()


web = Flask("peer")


@web.post("/emails")
def create() -> tuple[dict[str, str], int]:
    """The bare endpoint: a row, a task, an answer."""
    email_id = insert(request.get_json())
    send_stored.delay(email_id)
    return {"id": email_id}, 202


@web.post("/rows")
def create_row() -> tuple[dict[str, str], int]:
    """A row and an answer, nothing else."""
    return {"id": insert(request.get_json())}, 202
