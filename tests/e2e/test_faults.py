"""The stack with parts of it dead: nothing that was answered with 202 is lost, nothing is sent twice."""

from __future__ import annotations

import os
import signal
import socket
import time
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
import redis
import requests

from bench.stack import Stack
from tests.e2e.client import ENDED, Service, an_email, until
from wiring.settings import StartSettings

CHEAP, NEXT, SMTP = "sandbox-sendgrid", "sandbox-sendgrid-eu", "sandbox-smtp"


WORKERS = ("transactional", "all-lanes")


def test_connections_that_say_nothing_and_those_kept_open_keep_nobody_out(service: Service):
    host = urlsplit(service.api_url)
    many = StartSettings().api_threads * 3
    silent = [socket.create_connection((host.hostname, host.port)) for _ in range(many)]
    kept = [requests.Session() for _ in range(many)]
    try:
        for session in kept:
            assert session.get(f"{service.api_url}/healthz", timeout=5).status_code == 200
        assert service.ended(service.send())["status"] == "sent"
    finally:
        for connection in silent:
            connection.close()
        for session in kept:
            session.close()


def test_the_api_accepts_while_redis_does_not_answer_and_the_email_goes_out_afterwards(
    stack: Stack, service: Service
):
    valkey = stack.program("valkey")
    valkey.suspend()
    try:
        began = time.monotonic()
        emails = [service.send() for _ in range(10)]
        assert time.monotonic() - began < 5
        time.sleep(2)
    finally:
        valkey.resume()
    assert {service.ended(e, 40)["status"] for e in emails} == {"sent"}
    assert all(len(service.inbox(e)) == 1 for e in emails)


def test_a_killed_and_emptied_redis_loses_no_email(stack: Stack, service: Service):
    with redis.Redis.from_url(service.redis_url) as live:
        live.flushall()
    stack.program("valkey").kill()
    emails = [service.send() for _ in range(5)]
    assert {service.ended(e, 60)["status"] for e in emails} == {"sent"}
    assert all(len(service.inbox(e)) == 1 for e in emails)


def test_killed_workers_leave_a_doubt_for_what_was_on_the_wire_and_lose_nothing(
    stack: Stack, service: Service
):
    service.cli("sandbox", "fail", CHEAP, "--mode", "slow", "--delay", "0.9")
    before = [service.send(routing={"pinned": [CHEAP]}) for _ in range(5)]
    until(lambda: any(service.email(e)["attempts"] for e in before))
    for name in WORKERS:
        group = [stack.program(name), *stack.program(name).children(recursive=True)]
        for one in group:
            one.kill()
    service.heal()
    after = [service.send() for _ in range(5)]
    ended = {e: service.ended(e, 60)["status"] for e in before + after}
    assert set(ended.values()) <= {"sent", "unknown"}
    assert {ended[e] for e in after} == {"sent"}
    for email_id, status in ended.items():
        assert len(service.inbox(email_id)) <= 1
        if status == "sent":
            assert len(service.inbox(email_id)) == 1


def test_a_worker_that_was_stopped_past_its_lease_sends_nothing_new(stack: Stack, service: Service):
    stopped = [p for name in WORKERS for p in stack.program(name).children(recursive=True)]
    for child in stopped:
        child.suspend()
    try:
        emails = [service.send() for _ in range(5)]
        time.sleep(4)
    finally:
        for child in stopped:
            child.resume()
    assert {service.ended(e, 40)["status"] for e in emails} <= {"sent", "unknown"}
    assert all(len(service.inbox(e)) <= 1 for e in emails)


def test_a_restarted_postgres_is_never_answered_with_a_false_202(stack: Stack, service: Service):
    postgres = stack.program("postgres")
    os.kill(postgres.pid, signal.SIGQUIT)  # an immediate shutdown: no checkpoint, recovery at the next start
    accepted: list[str] = []
    refused = 0
    end = time.monotonic() + 8
    while time.monotonic() < end and not (accepted and refused):
        try:
            answer = service.post("/v1/emails", an_email())
        except OSError:
            pytest.fail("the API went away with the database")
        if answer.status_code == 202:
            accepted.append(answer.json()["id"])
        else:
            assert answer.status_code == 503, answer.text
            refused += 1
        time.sleep(0.05)
    until(lambda: service.get("/readyz").status_code == 200, 30)
    accepted.append(service.send())
    assert {service.ended(e, 60)["status"] for e in accepted} <= {"sent", "unknown"}


def test_urgent_mail_passes_a_full_bulk_lane(stack: Stack, service: Service):
    service.cli("sandbox", "fail", CHEAP, "--mode", "slow", "--delay", "0.5")
    common = an_email(email_type="marketing", routing={"pinned": [CHEAP]})
    del common["to"]
    people = [{"to": [f"b{n}-{uuid4().hex[:8]}@example.com"]} for n in range(250)]
    made = service.post("/v1/emails/batch", {"defaults": common, "emails": people}).json()
    bulk = [one["id"] for one in made["results"]]
    began = time.monotonic()
    otp = service.send(routing={"pinned": [NEXT]})
    assert service.ended(otp)["status"] == "sent"
    assert time.monotonic() - began < 2
    waiting = [e for e in bulk[-50:] if service.email(e)["status"] not in ENDED]
    assert waiting, "the bulk lane was empty before the urgent email passed it"
    service.heal()
    assert {service.ended(e, 60)["status"] for e in bulk} <= {"sent"}
