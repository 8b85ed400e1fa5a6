"""What a provider can express. Data, so that the chooser can exclude with a reason before the wire."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Search(StrEnum):
    """By which of our ids a provider finds an email that it may have sent: the attempt's alone, or the email's too."""

    ATTEMPT = "attempt"
    EMAIL = "email"


@dataclass(frozen=True, slots=True)
class TextForm:
    """`pattern`: a regular expression that all of a text matches; `words` says the same to people."""

    pattern: str
    words: str


@dataclass(frozen=True, slots=True)
class MetadataForm:
    """What a provider takes of the sender's metadata, beside our ids; None means as they come.

    `most`: how many; `most_bytes`: all of them as JSON in UTF-8. `reserved`: names in lower case that mean something
    else there.
    """

    most: int | None = None
    name: TextForm | None = None
    value: TextForm | None = None
    most_bytes: int | None = None
    reserved: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Capabilities:
    """Limits of one adapter; None means without a limit of its own.

    Here stands what the recipient or the sender would miss: an email that needs more than a provider can express
    goes to another one. Tags and metadata are not among that: domain.labels says why, and a worker hands over
    all but those that `max_tags`, `tag` and `metadata` have no place for.

    `tag`: of what form each tag has to be. `tracking_opens_off`: whether an email can be kept from being tracked, where
    the account tracks.
    Names of headers are in lower case: `reserved_headers` are those that it cannot carry, `only_headers` the only ones
    that it can.
    `max_bytes` is the size of the whole email as the provider counts it (encoded attachments included).
    `repeatable_seconds`: how long the provider knows an attempt by its id, so that the same call made again with the
    same bytes is the same email, and brings its answer back; None: a call made again is another email.
    `batch`: how many emails one call may carry, each of which gets an answer of its own or shares the call's where the
    account's owner has asked for that; `batch_bytes`: how large such a call may be.
    `search`: by what an email in doubt is looked for there (domain.lookups); None: it cannot be.
    """

    max_recipients: int | None = None
    max_bytes: int | None = None
    max_reply_to: int | None = None
    max_tags: int | None = None
    tag: TextForm | None = None
    metadata: MetadataForm = MetadataForm()
    custom_headers: bool = True
    attachments: bool = True
    inline_images: bool = True
    tracking_opens: bool = True
    tracking_opens_off: bool = True
    tracking_clicks: bool = True
    repeated_addresses: bool = True
    reserved_headers: frozenset[str] = frozenset()
    only_headers: frozenset[str] | None = None
    repeatable_seconds: int | None = None
    batch: int = 1
    batch_bytes: int | None = None
    search: Search | None = None
