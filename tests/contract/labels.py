"""What a provider would read of an email's tags, metadata and tracking in a request, by its own document."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from providers.exchange import Request
from tests.contract.http_servers import read_form

_TAG = re.compile(r"tag(?:_\d+)?\Z")
_SWITCHES = {
    "enabled": True, "disabled": False, "ENABLED": True, "DISABLED": False, "yes": True, "no": False,
    "HtmlAndText": True, "None": False, True: True, False: False,
}  # fmt: skip


@dataclass(frozen=True)
class Labels:
    """Without our ids. `opens`, `clicks` None: nothing is said."""

    tags: tuple[str, ...]
    metadata: dict[str, str]
    opens: bool | None = None
    clicks: bool | None = None


def labels_of(kind: str, request: Request) -> Labels:
    if kind == "mailgun":
        return _of_a_form(request)
    tags, metadata, opens, clicks = _of_json(kind, json.loads(request.body))
    return _labels(tags, metadata, opens, clicks)


def _labels(tags: list[str], metadata: Mapping[str, str], opens: Any, clicks: Any) -> Labels:
    ours = ("mailmux_attempt", "mailmux_email")
    return Labels(
        tuple(t for t in tags if not t.startswith(tuple(f"{name}:" for name in ours))),
        {name: value for name, value in metadata.items() if name not in ours},
        None if opens is None else _SWITCHES[opens],
        None if clicks is None else _SWITCHES[clicks],
    )


def _of_a_form(request: Request) -> Labels:
    tags, metadata, told = [], {}, dict[str, str]()
    for name, _, _, content in read_form(request.headers["Content-Type"], request.body):
        if name == "o:tag":
            tags.append(content.decode())
        elif name.startswith("v:"):
            metadata[name.removeprefix("v:")] = content.decode()
        elif name.startswith("o:tracking-"):
            told[name] = content.decode()
    return _labels(tags, metadata, told.get("o:tracking-opens"), told.get("o:tracking-clicks"))


def _of_json(kind: str, body: dict[str, Any]) -> tuple[list[str], Mapping[str, str], Any, Any]:
    match kind:
        case "brevo":
            return body.get("tags", []), json.loads(body["headers"]["X-Mailin-custom"]), None, None
        case "mailersend":
            told = body.get("settings", {})
            return body["tags"], {}, told.get("track_opens"), told.get("track_clicks")
        case "mailjet":
            (one,) = body["Messages"]
            campaign = [one["CustomCampaign"]] if "CustomCampaign" in one else []
            return campaign, json.loads(one["EventPayload"]), one.get("TrackOpens"), one.get("TrackClicks")
        case "mailtrap":
            return [body["category"]] if "category" in body else [], body["custom_variables"], None, None
        case "postmark":
            tag = [body["Tag"]] if "Tag" in body else []
            return tag, body["Metadata"], body.get("TrackOpens"), body.get("TrackLinks")
        case "sendgrid":
            told = body.get("tracking_settings", {})
            opens, clicks = (told.get(f"{name}_tracking", {}).get("enable") for name in ("open", "click"))
            return body.get("categories", []), body["personalizations"][0]["custom_args"], opens, clicks
        case "sparkpost":
            told = body.get("options", {})
            campaign = [body["campaign_id"]] if "campaign_id" in body else []
            return campaign, body["metadata"], told.get("open_tracking"), told.get("click_tracking")
        case "resend":
            pairs = {t["name"]: t["value"] for t in body["tags"]}
            opens = clicks = None
        case "ses":
            pairs = {t["Name"]: t["Value"] for t in body["EmailTags"]}
            told = body.get("ConfigurationOverrides", {}).get("Tracking", {})
            opens, clicks = told.get("OpenTrackingEnabled"), told.get("ClickTrackingEnabled")
        case _:
            raise LookupError(kind)
    tags = [value for name, value in pairs.items() if _TAG.match(name)]
    return tags, {n: v for n, v in pairs.items() if not _TAG.match(n)}, opens, clicks
