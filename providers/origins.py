"""Which addresses of an HTTP API a user may set."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, ValidationInfo

PLAIN_HTTP = (
    "plain_http"  # of the validation's context: hosts beside this machine that may be spoken to in http
)


def _origin(url: str, info: ValidationInfo) -> str:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError("not an address") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise ValueError("not an http or https address")
    if not url.isascii() or any(c <= " " or c in "\\<>\"'" for c in url):
        raise ValueError("not an address")
    if (
        parts.username is not None
        or parts.password is not None
        or parts.query
        or parts.fragment
        or "?" in url
    ):
        raise ValueError("an address without user, query and fragment")
    plain = (info.context or {}).get(PLAIN_HTTP, ())
    if parts.scheme == "http" and not is_loopback(parts.hostname) and parts.hostname not in plain:
        raise ValueError("https, or http on this machine only")
    return url.rstrip("/")


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


# The beginning of an API's addresses: https, or http where it stays on this machine.
BaseURL = Annotated[str, Field(max_length=2000), AfterValidator(_origin)]
