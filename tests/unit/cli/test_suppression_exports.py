"""The files that other services give out, read in our terms; and what we give out, which no spreadsheet computes."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.cells import cell, uncell
from cli.suppression_exports import read_export

BOUNCED, LEFT, COMPLAINED = ("all", "hard_bounce"), ("marketing", "unsubscribed"), ("marketing", "complaint")


def read(tmp_path: Path, content: str, provider: str, which: str | None = None) -> list[tuple[str, str, str]]:
    file = tmp_path / "export.csv"
    file.write_text(content, encoding="utf-8")
    return [(e["address"], e["scope"], e["cause"]) for e in read_export(file, provider, which)]


@pytest.mark.parametrize(
    ("provider", "which", "content", "meant"),
    [
        ("sendgrid", "bounces", "status,reason,email,created\n5.1.1,no user,Ada@Example.com,1700000000\n", BOUNCED),
        ("sendgrid", "unsubscribes", "email,created\nada@example.com,2024-01-01\n", LEFT),
        ("sendgrid", None, "ip,email,created\n198.51.100.1,ada@example.com,1700000000\n", COMPLAINED),
        ("sendgrid", "invalid_emails", "reason,email,created\nx,ada@example.com,1\n", ("all", "provider")),
        ("postmark", None, "EmailAddress,SuppressionReason,Origin,CreatedAt\nada@example.com,HardBounce,Recipient,x\n",
         BOUNCED),
        ("postmark", None, "Email Address,Suppression Reason,Origin\nada@example.com,Manual Suppression,Recipient\n",
         LEFT),
        ("postmark", None, "Email Address,Reason,Origin\nada@example.com,ManualSuppression,Customer\n",
         ("all", "manual")),
        ("postmark", None, "\ufeffRecipient,Reason\nada@example.com,SpamComplaint\n", COMPLAINED),
        ("ses", None, "EmailAddress,Reason,LastUpdateTime\nada@example.com,COMPLAINT,2024-01-01\n", COMPLAINED),
        ("ses", None, "ada@example.com,bounce\n", BOUNCED),
        ("mailgun", None, "address,code,error,created_at\nada@example.com,550,x,y\n", BOUNCED),
        ("mailgun", None, "address,tags,created_at\nada@example.com,*,y\n", LEFT),
        ("mailgun", "complaints", "address,created_at\nada@example.com,y\n", COMPLAINED),
    ],
)  # fmt: skip
def test_each_services_file_is_understood(
    tmp_path: Path, provider: str, which: str | None, content: str, meant: tuple[str, str]
) -> None:
    assert read(tmp_path, content, provider, which) == [("ada@example.com", *meant)]


@pytest.mark.parametrize(
    ("provider", "which", "content", "said"),
    [
        ("sendgrid", None, "status,reason,email,created\n", "--list"),
        ("mailgun", None, "address,created_at\n", "--list"),
        ("mailgun", "spam_reports", "address,created_at\n", "complaints"),
        ("ses", "bounces", "EmailAddress,Reason\n", "each row"),
        ("ses", None, "EmailAddress,Reason\nada@example.com,MOOD\n", "line 2"),
        ("postmark", None, "EmailAddress,Reason\nnobody,HardBounce\n", "line 2"),
        ("sendgrid", "bounces", "who,when\n", "no column"),
    ],
)
def test_what_cannot_be_understood_is_said_with_its_line(
    tmp_path: Path, provider: str, which: str | None, content: str, said: str
) -> None:
    with pytest.raises(click.ClickException) as refused:
        read(tmp_path, content, provider, which)
    assert said in refused.value.message


@given(st.text() | st.text("=+-@\t\r\n＝＋－＠'1", max_size=4))
def test_a_cell_is_no_formula_and_comes_back_as_it_was(text: str) -> None:
    written = cell(text)
    assert not written.startswith(tuple("=+-@\t\r\n＝＋－＠"))
    assert uncell(written) == text
