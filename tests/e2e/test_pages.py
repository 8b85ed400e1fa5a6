"""The pages in a real browser."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.e2e.client import Service

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium (Debian: apt-get install chromium)")


def seen(url: str, profile: Path) -> str:
    """The page's document after its scripts, if any, have run."""
    assert CHROMIUM is not None
    as_root = ["--no-sandbox"] if os.geteuid() == 0 else []
    run = subprocess.run(
        [
            CHROMIUM, "--headless", *as_root, "--disable-gpu", "--disable-quic", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            "--virtual-time-budget=2000", f"--user-data-dir={profile}", "--dump-dom", url,
        ],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    return run.stdout


def test_the_inbox_lists_an_email_and_shows_it(service: Service, tmp_path: Path):
    email_id = service.send(subject="A parcel for you", html="<h1>It is here</h1>")
    service.ended(email_id)
    (received,) = service.inbox(email_id)
    inbox = seen(service.sandbox_url, tmp_path)
    assert "A parcel for you" in inbox
    assert f"/messages/{received['seq']}" in inbox
    message = seen(f"{service.sandbox_url}/messages/{received['seq']}", tmp_path)
    assert "A parcel for you" in message
    assert email_id in message


def test_what_an_email_carries_does_not_run_in_the_inbox(service: Service, tmp_path: Path):
    attack = "<script>document.title='taken over'</script><img src=x onerror=\"document.title='taken over'\">"
    email_id = service.send(subject=f"Hi {attack}", html=f"<p>Hi</p>{attack}")
    service.ended(email_id)
    (received,) = service.inbox(email_id)
    for path in ("", f"/messages/{received['seq']}"):
        page = seen(f"{service.sandbox_url}{path}", tmp_path)
        assert "<title>taken over" not in page
        assert "&lt;script&gt;" in page


def test_the_documentation_is_readable(service: Service, tmp_path: Path):
    page = seen(f"{service.api_url}/docs", tmp_path)
    assert "Send an email" in page
    assert "/v1/emails" in page
