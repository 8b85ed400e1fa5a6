"""The recorded webhooks, where they are: what a provider posted, and what another library made of it."""

from __future__ import annotations

import json
import os
from base64 import b64decode
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from domain.events import DeliveryEvent, WebhookRequest

CONTRACTS = Path(
    os.environ.get("MAILMUX_CONTRACTS") or Path(__file__).resolve().parents[2] / ".." / "shared" / "contracts"
)


def samples(provider: str) -> list[Path]:
    return sorted((CONTRACTS / "webhooks" / provider).glob("*.json"))


def request_of(sample: Mapping[str, Any]) -> WebhookRequest:
    body = sample["body"]
    raw = b64decode(body) if sample.get("body_encoding") == "base64" else body.encode()
    headers = {name.lower(): value for name, value in sample["headers"].items()}
    return WebhookRequest(f"https://mailmux.example{sample['path']}", headers, raw)


def load(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def compared(event: DeliveryEvent) -> dict[str, Any]:
    """Our event under the other library's names, without what that one does not have."""
    return {
        "event_type": event.type.value,
        "recipient": event.recipient,
        "message_id": event.provider_message_id,
        "reject_reason": event.reject_reason.value if event.reject_reason else None,
        "timestamp": event.occurred_at,
        "event_id": event.event_id,
        "metadata": dict(event.metadata),
        "tags": list(event.tags),
        "description": event.description,
        "mta_response": event.mta_response,
        "click_url": event.click_url,
        "user_agent": event.user_agent,
    }


def expected(sample: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = []
    for event in sample["expected_events"]:
        fields = {name: event[name] for name in event if name not in ("esp_name", "class")}
        fields["timestamp"] = datetime.fromisoformat(fields["timestamp"]) if fields["timestamp"] else None
        found.append(fields)
    return found


def differences(mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    return {name: (mine[name], theirs[name]) for name in theirs if mine.get(name) != theirs[name]}
