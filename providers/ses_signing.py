"""Requests to AWS as boto3 composes and signs them.

boto3 hands each over just before it would send (its documented event `before-send`); what carries it is the same as for
all other providers. So boto3's own retries, proxies and endless waits have no part in it.
"""

from __future__ import annotations

import os
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from providers.exchange import Request


class _Ready(Exception):
    """boto3 has composed and signed the request."""

    def __init__(self, request: Any) -> None:
        super().__init__("ready")
        self.request = request


def _hand_over(request: Any, **_: Any) -> None:
    raise _Ready(request)


class Signer:
    """One account in one region. `endpoint`: where its requests go."""

    def __init__(self, region: str, base_url: str | None, key: str, secret: str, token: str | None) -> None:
        self._client = _client(region, base_url, key, secret, token)
        self.endpoint = str(self._client.meta.endpoint_url)

    def request(self, operation: str, **asked: Any) -> Request:
        """What boto3 would send for this. Raises ValueError where its model does not allow it."""
        try:
            getattr(self._client, operation)(**asked)
        except _Ready as ready:
            request = ready.request
        except Exception as error:  # a parameter that the model forbids, say: nothing has gone
            raise ValueError(type(error).__name__) from error
        else:
            raise AssertionError("boto3 sent by itself")
        parts = urlsplit(request.url)
        prefix = urlsplit(self.endpoint).path.rstrip("/")
        path = parts.path.removeprefix(prefix) + (f"?{parts.query}" if parts.query else "")
        headers = {
            n: v.decode("ascii") if isinstance(v, bytes) else str(v) for n, v in request.headers.items()
        }
        body = request.body or b""
        return Request(
            request.method, path, headers, body if isinstance(body, bytes) else body.encode("utf-8")
        )


@cache
def _models() -> Any:
    """boto3's models, read once for all accounts: that is most of what a client costs."""
    from botocore.loaders import create_loader

    return create_loader()


def _client(region: str, base_url: str | None, key: str, secret: str, token: str | None) -> Any:
    """boto3's client, which opens no connection, and asks neither files nor the environment whose account it is."""
    import boto3
    import botocore.session
    from botocore.config import Config as Settings

    nothing = (None, None, os.devnull, None)
    of_nobody = botocore.session.Session(
        {"profile": (None, None, None, None), "config_file": nothing, "credentials_file": nothing}
    )
    of_nobody.register_component("data_loader", _models())
    session = boto3.session.Session(key, secret, token, region_name=region, botocore_session=of_nobody)
    settings = Settings(
        retries={"total_max_attempts": 1},
        proxies={},
        ignore_configured_endpoint_urls=True,
        parameter_validation=True,
    )
    client = session.client("sesv2", endpoint_url=base_url, config=settings)
    client.meta.events.register("before-send.sesv2", _hand_over)
    return client
