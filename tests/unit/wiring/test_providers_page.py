from dataclasses import replace

from domain.capabilities import Capabilities
from providers import registry
from wiring.providers_page import PAGE, render


def test_the_page_of_the_providers_is_that_of_the_code() -> None:
    assert PAGE.read_text() == render(), "run `python -m wiring.providers_page`"


def test_the_matrix_follows_the_capabilities() -> None:
    less = replace(
        registry.KINDS["resend"],
        capabilities=lambda _config: Capabilities(max_recipients=7, attachments=False),
    )
    page = render([less])
    assert "| recipients (To, Cc, Bcc) | 7 |" in page
    assert "| attachments | no |" in page
    assert "| tells events by webhook | yes |" in page


def test_every_kind_that_sends_is_on_the_page() -> None:
    page = render()
    for kind in registry.KINDS.values():
        assert (f"### {kind.title} (`{kind.name}`)" in page) is (kind.name != "memory")
