"""What Brevo, SparkPost, Mailjet, MailerSend and Mailtrap cannot carry, and the forms of what they can."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
import yaml  # type: ignore[import-untyped]

from domain.errors import (
    Unsupported,
)
from domain.message import Address, Attachment, Disposition, Submission, Tracking
from providers.exchange import Response
from tests.contract.drivers import DRIVERS
from tests.contract.emails import a_rich_email_for, a_world, an_email, new_id
from tests.contract.json_drivers import BrevoDriver
from tests.contract.json_providers import CREDENTIALS, payload_of, provider
from tests.contract.recorded import CONTRACTS

# -- what cannot be carried ----------------------------------------------------------------------------------

PDF = Attachment("a.pdf", "application/pdf", b"x")
LOGO = Attachment("logo.png", "image/png", b"x", Disposition.INLINE, "logo@shop")
TWO = (Address("a@sender.example"), Address("b@sender.example"))
CANNOT: list[tuple[str, str, Submission]] = [
    *((kind, "To recipient", an_email(to=(), bcc=(Address("a@b.example"),))) for kind in CREDENTIALS),
    *((kind, "subject", an_email(subject="")) for kind in CREDENTIALS),
    *((kind, "empty body", an_email(text="")) for kind in CREDENTIALS),
    *((kind, "empty attachment", an_email(attachments=(Attachment("a.pdf", "application/pdf", b""),)))
      for kind in CREDENTIALS),
    *((kind, "header twice", an_email(headers=(("References", "1"), ("references", "2"))))
      for kind in ("brevo", "mailjet", "mailersend", "mailtrap")),
    *((kind, "reply-to", an_email(reply_to=TWO)) for kind in ("brevo", "mailjet", "mailersend")),
    *((kind, "more than 1 tags", an_email(tags=("a", "b"))) for kind in ("mailjet", "mailtrap", "sparkpost")),
    ("mailersend", "more than 3 tags", an_email(tags=("a", "b", "c", "d"))),
    ("mailersend", "other than our ids", an_email(tags=("mailmux_attempt:forged",))),
    ("mailersend", "metadata", an_email(metadata={"order": "17"})),
    *((kind, "a name that it uses itself", an_email(metadata={"mailmux_attempt": "forged"}))
      for kind in ("brevo", "mailjet", "mailtrap", "sparkpost")),
    *((kind, "bytes of metadata", an_email(metadata={"order": "x" * 10_001}))
      for kind in ("brevo", "mailjet", "mailtrap", "sparkpost")),
    ("brevo", "of printable ASCII", an_email(metadata={"kund": "åäö"})),
    *((kind, "characters", an_email(tags=("x" * 256,))) for kind in ("mailjet", "mailtrap", "sparkpost")),
    ("sparkpost", "64 bytes", an_email(tags=("å" * 33,))),
    *(
        (kind, "open tracking", an_email(html="<p>x</p>", tracking=Tracking(opens=False)))
        for kind in ("brevo", "mailtrap")
    ),
    ("brevo", "inline images", an_email(attachments=(LOGO,))),
    ("brevo", "beyond ASCII", an_email(headers=(("X-A", "å"),))),
    ("brevo", "reply-to name", an_email(reply_to=(Address("a@sender.example", "Åsa"),))),
    ("brevo", "extension", an_email(attachments=(Attachment("a.exe", "application/octet-stream", b"x"),))),
    ("brevo", "disagree", an_email(attachments=(Attachment("a.pdf", "image/png", b"x"),))),
    ("brevo", "parameters", an_email(attachments=(Attachment("a.txt", "text/plain; charset=latin-1", b"x"),))),
    ("brevo", "name of more", an_email(sender=Address("shop@sender.example", "x" * 71))),
    ("brevo", "X-Mailin-Custom", an_email(headers=(("X-Mailin-Custom", "x"),))),
    ("mailjet", "character set", an_email(attachments=(Attachment("a.txt", "text/plain; charset=latin-1", b"x"),))),
    ("mailersend", "disagree", an_email(attachments=(Attachment("a.pdf", "image/png", b"x"),))),
    ("mailersend", "; or ,", an_email(to=(Address("a@b.example", "Doe, Jane"),))),
    ("mailersend", "cc recipients", an_email(cc=tuple(Address(f"c{n}@b.example") for n in range(11)))),
    ("mailersend", "the headers X-A", an_email(headers=(("X-A", "1"),))),
    ("mailersend", "precedence", an_email(headers=(("Precedence", "list"),))),
    ("mailjet", "List-Id", an_email(headers=(("List-Id", "<x.example>"),))),
    ("mailjet", "content id", an_email(attachments=(Attachment("a.png", "image/png", b"x", content_id="a"),))),
    ("mailjet", "50 files", an_email(attachments=(PDF,) * 51)),
    ("sparkpost", "braces", an_email(text="Dear {{name}}")),
    ("sparkpost", "braces", an_email(html="<p>{{{ raw }}}</p>")),
]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "words", "submission"), CANNOT, ids=[f"{c[0]}-{c[1]}".replace(" ", "-") for c in CANNOT]
)
def test_what_a_provider_cannot_carry_is_refused_with_the_reason(
    kind: str, words: str, submission: Submission
) -> None:
    with pytest.raises(Unsupported) as caught:
        provider(kind).compose(submission, new_id())
    assert words in caught.value.detail


# -- forms ---------------------------------------------------------------------------------------------------


def test_several_reply_to_addresses_travel_as_a_header_at_mailtrap() -> None:
    payload = payload_of(
        "mailtrap", an_email(reply_to=(Address("a@b.example", "Åsa"), Address("c@d.example")))
    )
    assert "reply_to" not in payload
    value = payload["headers"]["Reply-To"]
    assert value.isascii()
    assert value.endswith("<a@b.example>, c@d.example")


@pytest.mark.parametrize(
    ("config", "path", "host"),
    [
        ({}, "/api/send", "send.api.mailtrap.io"),
        ({"stream": "bulk"}, "/api/send", "bulk.api.mailtrap.io"),
        ({"inbox_id": 7}, "/api/send/7", "sandbox.api.mailtrap.io"),
    ],
)
def test_mailtraps_streams_and_inboxes_have_addresses_of_their_own(
    config: dict[str, Any], path: str, host: str
) -> None:
    adapter = provider("mailtrap", **config)
    assert adapter.compose(an_email(), new_id()).path == path
    assert adapter._origin._host == host


def test_mailersend_has_fields_for_three_headers() -> None:
    headers = (
        ("In-Reply-To", "<1@b.example>"),
        ("References", "<1@b.example> <2@b.example>"),
        ("Precedence", "bulk"),
    )
    payload = payload_of("mailersend", an_email(headers=headers))
    assert (payload["in_reply_to"], payload["references"]) == (
        "<1@b.example>",
        ["<1@b.example>", "<2@b.example>"],
    )
    assert payload["precedence_bulk"] is True
    assert "headers" not in payload


def test_mailersend_gets_the_tags_that_ours_leave_room_for() -> None:
    ours = [t.partition(":")[0] for t in payload_of("mailersend", an_email())["tags"]]
    assert ours == ["mailmux_attempt", "mailmux_email"]
    assert payload_of("mailersend", an_email(tags=("a", "b", "c")))["tags"][:-2] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("kind", "ours"),
    [
        ("brevo", lambda p: json.loads(p["headers"]["X-Mailin-custom"])),
        ("sparkpost", lambda p: p["metadata"]),
        ("mailjet", lambda p: json.loads(p["Messages"][0]["EventPayload"])),
        ("mailtrap", lambda p: p["custom_variables"]),
    ],
)
def test_metadata_travel_beside_our_ids(kind: str, ours: Callable[[dict[str, Any]], dict[str, str]]) -> None:
    def sent(**metadata: str) -> dict[str, str]:
        return ours(payload_of(kind, an_email(metadata=metadata)))

    assert set(sent()) == {"mailmux_attempt", "mailmux_email"}
    assert sent(order="17")["order"] == "17"


def test_sparkpost_is_told_what_is_transactional_and_in_which_subaccount() -> None:
    adapter = provider("sparkpost", subaccount=12, region="eu")
    request = adapter.compose(an_email(tracking=Tracking(opens=True, clicks=False)), new_id())
    options = {"open_tracking": True, "click_tracking": False, "transactional": True}
    assert json.loads(request.body)["options"] == options
    assert request.headers["X-MSYS-SUBACCOUNT"] == "12"


def test_mailjets_sandbox_mode_validates_and_has_no_id() -> None:
    assert payload_of("mailjet", an_email(), sandbox_mode=True)["SandboxMode"] is True
    told = {"Messages": [{"Status": "success", "To": [{"MessageID": 0, "MessageUUID": ""}]}]}
    answer = Response(200, {}, json.dumps(told).encode())
    assert provider("mailjet").parse(answer).provider_message_id is None


def test_the_same_attempt_twice_is_one_email_at_brevo(tmp_path: Path) -> None:
    from tests.contract.certificates import make_authority

    driver = DRIVERS["brevo"](make_authority(tmp_path))
    assert isinstance(driver, BrevoDriver)
    adapter, submission, attempt = driver.provider(a_world()), an_email(), new_id()
    first, again = adapter.send(submission, attempt), adapter.send(submission, attempt)
    adapter.close()
    driver.stop()
    assert first.provider_message_id is not None
    assert again.provider_message_id is None  # taken before; Brevo does not say as what


# -- Brevo's document ----------------------------------------------------------------------------------------

SPEC = CONTRACTS / "specs" / "brevo.yaml"


@pytest.mark.skipif(not SPEC.exists(), reason=f"no document of Brevo's in {CONTRACTS}")
@pytest.mark.parametrize(
    "submission",
    [
        an_email(),
        a_rich_email_for("brevo"),
        an_email(html="<p>x</p>", text=None, tags=("a", "b"), metadata={"a": "b"}),
        an_email(reply_to=(Address("a@b.example", "A"),), attachments=(PDF,)),
    ],
    ids=["plain", "rich", "html", "file"],
)
def test_brevos_request_is_valid_by_its_document(submission: Submission) -> None:
    definitions = yaml.safe_load(SPEC.read_text())["definitions"]
    schema = {"$ref": "#/definitions/sendSmtpEmail", "definitions": definitions}
    payload = payload_of("brevo", submission)
    checker = jsonschema.FormatChecker(formats=["email"])
    errors = [
        e.message for e in jsonschema.Draft4Validator(schema, format_checker=checker).iter_errors(payload)
    ]
    assert errors == []
    known = definitions["sendSmtpEmail"]["properties"]
    assert set(payload) <= set(known)
    for field in ("to", "cc", "bcc", "attachment"):
        for entry in payload.get(field, []):
            assert set(entry) <= set(known[field]["items"]["properties"])
