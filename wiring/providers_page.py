"""Writes docs/reference/providers.md from the providers themselves: `python -m wiring.providers_page`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel

from domain.capabilities import Capabilities, MetadataForm, Search, TextForm
from providers import prices, registry
from providers.registry import ProviderKind

PAGE: Final = Path(__file__).parent.parent / "docs" / "reference" / "providers.md"

_HEAD: Final = """\
# Providers

What each kind of provider can express, how an account of it is set up, and what it publicly costs. An email that needs
what a provider cannot express goes to another one: the routing record says why (`UNSUPPORTED`), or, where only the
email's content shows it, the attempt does (`unsupported`), before anything is sent. Nothing is dropped in silence. Tags
and metadata keep no email from going: Mailmux keeps them, and they come back with its own events. For its own
statistics a provider gets, unchanged, those that the table says it takes, and no others; over SMTP none
([why](../adr/0015-labels-keep-no-email-from-going.md)).

Where an adapter does something else than what others do, [providers-differences.md](providers-differences.md) says so
and why. How to add a kind: [add-a-provider.md](../howto/add-a-provider.md).

This page is written by `python -m wiring.providers_page` from `providers/`, and a test compares the two.
"""

_Shown = Callable[[Capabilities], str]
_STAR: Final = {True: "", False: r" \*"}


def _limit(value: int | None) -> str:
    return "any" if value is None else f"{value:,}"


def _size(value: int | None) -> str:
    return "any" if value is None else f"{value / 1_000_000:.1f} MB".replace(".0 MB", " MB")


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _words(form: TextForm | None) -> str:
    return "any text" if form is None else form.words


def _metadata(form: MetadataForm) -> str:
    if form.most == 0:
        return "none"
    bytes_ = "" if form.most_bytes is None else f", {form.most_bytes:,} bytes"
    return f"{_limit(form.most)}{bytes_}"


_FOUND: Final = {None: "no", Search.EMAIL: "yes", Search.ATTEMPT: "by its attempt"}
_FEATURES: Final[dict[str, _Shown]] = {
    "recipients (To, Cc, Bcc)": lambda can: _limit(can.max_recipients),
    "size, encoded": lambda can: _size(can.max_bytes),
    "Reply-To addresses": lambda can: _limit(can.max_reply_to),
    "tags": lambda can: _limit(can.max_tags),
    "a tag is": lambda can: _words(can.tag),
    "metadata": lambda can: _metadata(can.metadata),
    "a name of metadata is": lambda can: _words(can.metadata.name),
    "a value of metadata is": lambda can: _words(can.metadata.value),
    "custom headers": lambda can: _yes(can.custom_headers),
    "attachments": lambda can: _yes(can.attachments),
    "inline images": lambda can: _yes(can.inline_images),
    "open tracking per email": lambda can: _yes(can.tracking_opens),
    "no open tracking of html, where the account tracks": lambda can: _yes(
        can.tracking_opens and can.tracking_opens_off
    ),
    "click tracking per email": lambda can: _yes(can.tracking_clicks),
    "an address named twice": lambda can: _yes(can.repeated_addresses),
    "emails in one call": lambda can: "1" if can.batch == 1 else f"{can.batch:,}, {_size(can.batch_bytes)}",
    "an attempt made again is one email": lambda can: (
        "no" if can.repeatable_seconds is None else f"for {can.repeatable_seconds / 3600:g} h"
    ),
    "finds an email in doubt": lambda can: _FOUND[can.search],
}


def render(kinds: Iterable[ProviderKind[Any, Any]] | None = None) -> str:
    shown = [k for k in (registry.KINDS.values() if kinds is None else kinds) if k.name != "memory"]
    shown.sort(key=lambda kind: kind.name)
    return "".join([_HEAD, *_features(shown), *_settings(shown), *_prices(shown)])


def capabilities_of(kind: ProviderKind[Any, Any]) -> Capabilities:
    """Of an account with nothing set but what must be."""
    return kind.capabilities(kind.Config.model_construct())


def _features(kinds: list[ProviderKind[Any, Any]]) -> Iterable[str]:
    yield "\n## What they can express\n\n"
    yield f"| | {' | '.join(f'`{kind.name}`' for kind in kinds)} |\n|---|{'---|' * len(kinds)}\n"
    for name, show in _FEATURES.items():
        yield f"| {name} | {' | '.join(show(capabilities_of(kind)) for kind in kinds)} |\n"
    yield f"| tells events by webhook | {' | '.join(_yes(kind.webhook is not None) for kind in kinds)} |\n"
    reserved = [(kind.name, sorted(capabilities_of(kind).reserved_headers)) for kind in kinds]
    for name, headers in reserved:
        if headers:
            yield f"\nHeaders that `{name}` keeps for itself: {', '.join(f'`{h}`' for h in headers)}.\n"
    for kind in kinds:
        if (only := capabilities_of(kind).only_headers) is not None:
            names = ", ".join(f"`{h}`" for h in sorted(only))
            yield f"\nThe only headers that `{kind.name}` carries, where nothing else is set: {names}.\n"


def _settings(kinds: list[ProviderKind[Any, Any]]) -> Iterable[str]:
    yield "\n## How an account is set up\n"
    for kind in kinds:
        yield f"\n### {kind.title} (`{kind.name}`)\n\n"
        if words := _prose(kind.Config):
            yield f"{words}\n\n"
        yield "| | Default |\n|---|---|\n"
        yield from _fields("config", kind.Config)
        yield from _fields("credentials", kind.Credentials)
        if kind.WebhookSecret is not None:
            yield from _fields("webhook secret", kind.WebhookSecret)


def _fields(part: str, model: type[BaseModel]) -> Iterable[str]:
    for name, field in model.model_fields.items():
        default = (
            "required" if field.is_required() else "–" if field.default is None else f"`{field.default}`"
        )
        yield f"| {part} `{name}` | {default} |\n"


def _prose(model: type[BaseModel]) -> str:
    """A model's docstring as one paragraph. An inherited one of pydantic's is none."""
    return re.sub(r"\s+", " ", model.__dict__.get("__doc__") or "").strip()


def _prices(kinds: list[ProviderKind[Any, Any]]) -> Iterable[str]:
    yield (
        "\n## What they publicly cost\n\n"
        "From `providers/prices.toml`: dated, and of use as a start only. What you pay is an account's `base_cost`.\n"
        "An asterisk marks what was not seen on the provider's own page.\n\n"
        "| | Plan | Since | Monthly fee | Included | Beyond it, per 1,000 | Attachments, per GB |\n"
        "|---|---|---|---|---|---|---|\n"
    )
    names = {kind.name for kind in kinds}
    for price in sorted(prices.every_price(), key=lambda p: p.kind):
        if price.kind in names:
            yield _price(price)


def _price(price: prices.ListPrice) -> str:
    included = f"{price.included:,} a {price.per}" if price.included else "–"
    tiers = [
        f"{_money(t.per_thousand, price)}" + (f" up to {t.up_to:,}" if t.up_to is not None else "")
        for t in price.beyond
    ]
    cells = (
        f"`{price.kind}`",
        f"[{price.plan}]({price.source}){_STAR[price.confirmed]}",
        f"{price.since:%Y-%m-%d}",
        _money(price.monthly_fee, price) if price.monthly_fee else "–",
        included,
        ", then ".join(tiers) or "none sold",
        _money(price.attachment_gb, price) if price.attachment_gb else "–",
    )
    return f"| {' | '.join(cells)} |\n"


def _money(amount: Decimal, price: prices.ListPrice) -> str:
    return f"{'$' if price.currency == 'USD' else price.currency + ' '}{amount:f}"


if __name__ == "__main__":
    PAGE.write_text(render())
