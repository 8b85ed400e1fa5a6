"""Adapters of the providers that take an email as JSON, at their own addresses: nothing is sent."""

from __future__ import annotations

import json
from typing import Any, cast

from domain.message import Submission
from providers import registry
from providers.base import HTTPProvider
from tests.contract.emails import a_world, new_id

CREDENTIALS = {
    "brevo": {"api_key": "k-e-y-1"},
    "mailersend": {"api_token": "k-e-y-1"},
    "mailjet": {"api_key": "k-e-y-1", "secret_key": "s-e-c-1"},
    "mailtrap": {"api_token": "k-e-y-1"},
    "sparkpost": {"api_key": "k-e-y-1"},
}


def provider(kind: str, **config: Any) -> HTTPProvider:
    valid = registry.validate(kind, config, CREDENTIALS[kind])
    return cast(HTTPProvider, registry.build(kind, f"the-{kind}", *valid, a_world()))


def payload_of(kind: str, submission: Submission, **config: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(provider(kind, **config).compose(submission, new_id()).body)
    return found
