"""What a provider can express. Data, so that the chooser can exclude with a reason before the wire."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Capabilities:
    """Limits of one adapter; None means without a limit of its own.

    `max_bytes` is the size of the whole email as the provider counts it (encoded attachments included).
    """

    max_recipients: int | None = None
    max_bytes: int | None = None
    max_reply_to: int | None = None
    max_tags: int | None = None
    metadata: bool = True
    custom_headers: bool = True
    attachments: bool = True
    inline_images: bool = True
    tracking_opens: bool = True
    tracking_clicks: bool = True
    repeated_addresses: bool = True
    reserved_headers: frozenset[str] = frozenset()
