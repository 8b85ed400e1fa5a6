"""Tags and metadata, as far as a provider has a place for them.

They are the sender's, kept by us, and come back with our own events, so that no email goes elsewhere, or nowhere, for
want of a place for one of them. A provider gets those that it takes as they are, for its own statistics. An adapter
refuses what it cannot express: it is handed what fits.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache

from domain.capabilities import Capabilities, MetadataForm, TextForm
from domain.message import Submission


def fitting(can: Capabilities, submission: Submission) -> Submission:
    """The email with those of its tags and metadata that the provider takes: the first ones, where not so many fit."""
    if not submission.tags and not submission.metadata:
        return submission
    tags = tuple(tag for tag in submission.tags if _is(can.tag, tag))[: can.max_tags]
    metadata = _metadata(can.metadata, submission.metadata)
    if len(tags) == len(submission.tags) and len(metadata) == len(submission.metadata):
        return submission
    return replace(submission, tags=tags, metadata=metadata)


def mislabelled(can: Capabilities, submission: Submission) -> tuple[str, ...]:
    """What of the email's tags and metadata the provider cannot express, in words."""
    tags, metadata, form = submission.tags, submission.metadata, can.metadata
    if not tags and not metadata:
        return ()
    lacking: list[str] = []
    if can.max_tags is not None and len(tags) > can.max_tags:
        lacking.append(f"more than {can.max_tags} tags")
    if can.tag is not None and not all(_is(can.tag, tag) for tag in tags):
        lacking.append(f"a tag that is not {can.tag.words}")
    if form.most is not None and len(metadata) > form.most:
        lacking.append(f"more than {form.most} metadata" if form.most else "metadata")
    if form.name is not None and not all(_is(form.name, name) for name in metadata):
        lacking.append(f"metadata whose name is not {form.name.words}")
    if form.value is not None and not all(_is(form.value, value) for value in metadata.values()):
        lacking.append(f"metadata whose value is not {form.value.words}")
    if form.reserved and not form.reserved.isdisjoint([name.lower() for name in metadata]):
        lacking.append("metadata of a name that it uses itself")
    if form.most_bytes is not None and metadata and len(_json(metadata)) > form.most_bytes:
        lacking.append(f"more than {form.most_bytes} bytes of metadata")
    return tuple(lacking)


def _metadata(form: MetadataForm, metadata: Mapping[str, str]) -> dict[str, str]:
    found: dict[str, str] = {}
    size = len("{}")
    for name, value in metadata.items():
        if form.most is not None and len(found) == form.most:
            break
        if name.lower() in form.reserved or not _is(form.name, name) or not _is(form.value, value):
            continue
        if form.most_bytes is not None:
            more = len(_json({name: value})) - len("{}") + (len(",") if found else 0)
            if size + more > form.most_bytes:
                continue
            size += more
        found[name] = value
    return found


def _is(form: TextForm | None, text: str) -> bool:
    return form is None or _matcher(form)(text) is not None


@lru_cache(maxsize=64)
def _matcher(form: TextForm) -> Callable[[str], object]:
    return re.compile(form.pattern, re.DOTALL).fullmatch


def _json(metadata: Mapping[str, str]) -> bytes:
    return json.dumps(dict(metadata), ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
