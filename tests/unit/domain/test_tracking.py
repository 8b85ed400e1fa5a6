"""Links of our own: they lead where they led, prove themselves, and change nothing else."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.message import Message, Submission, Tracking
from domain.tracking import Kind, is_of, key_of, links_for, read, token_of, tracked
from tests.builders import USER, a_submission, new_id

SECRET, BASE = b"s" * 32, "https://mail.example.com"
LINK = re.compile(re.escape(BASE) + r"/t/([A-Za-z0-9_-]+)")
ADDRESS = st.from_regex(r"https?://[a-z]{1,9}\.example(/[!-!#-;=?-\[\]_a-z~]{0,40})?", fullmatch=True)


def an_email(
    html: str | None, opens: bool | None = True, clicks: bool | None = True, **more: object
) -> Submission:
    email_id = new_id()
    links = links_for(BASE, SECRET, email_id, Tracking(opens, clicks))
    return a_submission(
        id=email_id,
        message=Message("s", more.pop("text", None) or "t", html, **more),  # type: ignore[arg-type]
        tracking=Tracking(opens, clicks, links),
    )


@given(ADDRESS)
def test_a_link_leads_to_its_address_and_no_other(address: str) -> None:
    email = an_email(f'<a href="{address.replace("&", "&amp;")}">x</a>', opens=False)
    html = tracked(email).message.html or ""
    followed = read(LINK.search(html)[1])  # type: ignore[index]
    assert followed is not None
    assert (followed.address, followed.email_id, followed.user_id) == (address, email.id, USER)
    assert is_of(followed, SECRET)


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_a_link_that_was_changed_anywhere_is_none_of_ours(place: int, change: int) -> None:
    import base64

    email = new_id()
    token = token_of(key_of(SECRET, email), Kind.CLICKED, USER, email, "https://a.example/")
    raw = bytearray(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    raw[place % len(raw)] ^= change
    changed = read(base64.urlsafe_b64encode(bytes(raw)).decode().rstrip("="))
    assert changed is None or not is_of(changed, SECRET)


@pytest.mark.parametrize("text", ["", "x", "é", "a" * 43, "====", "/" * 60, "-" * 4000])
def test_what_is_no_token_is_none(text: str) -> None:
    followed = read(text)
    assert followed is None or not is_of(followed, SECRET)


def test_a_link_has_one_name() -> None:
    for _ in range(50):
        email = new_id()
        token = token_of(key_of(SECRET, email), Kind.CLICKED, USER, email, "https://a.example/?>>???")
        assert read(token) is not None
        for other in (token.replace("-", "+"), token.replace("_", "/"), token + "="):
            assert other == token or read(other) is None


def test_another_account_cannot_make_a_link_of_this_one() -> None:
    email = new_id()
    followed = read(token_of(key_of(b"o" * 32, email), Kind.CLICKED, USER, email, "https://evil.example/"))
    assert followed is not None
    assert not is_of(followed, SECRET)


@pytest.mark.parametrize(
    "address",
    [
        "mailto:a@example.com", "tel:+4930", "#top", "/relative", "//host.example/", "cid:logo", "javascript:x()",
        "data:text/html,x", "ftp://a.example/", "https://bücher.example/", "https://a.example/ü",
        "https://a.example/a b",
        "https:\\\\a.example", "{{unsubscribe_url}}", "https://a.example/" + "x" * 2000,
        "https://a.example/\u212a", "https://a.example/\u017f", f"https://a.example/&#{'1' * 5000};",
        f"https://a.example/?{'&amp;x' * 3000}", f"{BASE}/u/token", f"{BASE}/t/token", "https://shop.example/leave",
    ],
)  # fmt: skip
def test_what_is_no_plain_web_address_is_left_alone(address: str) -> None:
    html = f'<a href="{address}">x</a>'
    email = an_email(html, opens=False, headers=(("List-Unsubscribe", "<https://shop.example/leave>"),))
    assert tracked(email).message.html == html


def test_the_text_part_stays() -> None:
    email = an_email('<a href="https://a.example/">x</a>', text="https://a.example/")
    assert tracked(email).message.text == "https://a.example/"


def test_only_what_was_asked_for_is_done() -> None:
    html = '<body><a href="https://a.example/">x</a></body>'
    opens = tracked(an_email(html, True, None)).message.html or ""
    clicks = tracked(an_email(html, None, True)).message.html or ""
    assert ('href="https://a.example/"' in opens, opens.count("<img")) == (True, 1)
    assert ('href="https://a.example/"' in clicks, clicks.count("<img")) == (False, 0)


def test_without_a_wish_or_without_html_the_email_is_the_very_same() -> None:
    plain, no_html = a_submission(), an_email(None)
    assert tracked(plain) is plain
    assert tracked(no_html) is no_html


def test_the_provider_is_told_to_do_nothing_itself() -> None:
    told = tracked(an_email("<p>x</p>", True, None)).tracking
    assert (told.opens, told.clicks) == (False, None)
