"""What several adapters' settings and metadata have in common."""

from __future__ import annotations

import re
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, Field, SecretStr

from domain.capabilities import TextForm
from domain.message import Submission

# The names under which our ids travel in a provider's metadata, and come back with its events.
ATTEMPT, EMAIL = "mailmux_attempt", "mailmux_email"
ATTEMPT_FIELD = "X-Mailmux-Attempt"  # the attempt's id in the head of an email that we compose


def _visible(longest: int) -> AfterValidator:
    def check(key: SecretStr) -> SecretStr:
        value = key.get_secret_value()
        if not 1 <= len(value) <= longest or not all("!" <= c <= "~" for c in value):
            raise ValueError(f"1 to {longest} visible ASCII characters")
        return key

    return AfterValidator(check)


# Secrets that travel in an HTTP field: keys, and tokens that are long because much is said in them.
SecretKey = Annotated[SecretStr, _visible(512)]
SecretToken = Annotated[SecretStr, _visible(8192)]
ASCII_TEXT = TextForm(r"[\x20-\x7e]*", "of printable ASCII")
WORD = TextForm(r"[A-Za-z0-9_-]{1,256}", "1 to 256 of the characters A-Z a-z 0-9 _ -")
OURS = frozenset({ATTEMPT, EMAIL})


def _not_ours(name: str) -> str:
    if name.lower().startswith("mailmux_"):
        raise ValueError("names that begin with mailmux_ are ours")
    return name


# Shorter than a name there may be, as those of further tags have a number behind it.
TagName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,250}$"), AfterValidator(_not_ours)]


def short(longest: int, least: int = 0) -> TextForm:
    """A text of so many characters."""
    return TextForm(f".{{{least},{longest}}}", f"{least} to {longest} characters")


def word_beside(tag_name: str) -> TextForm:
    """The names of metadata where the tags stand among it, named as `labels` does."""
    names = rf"(?!{re.escape(tag_name)}(?:_[0-9]+)?\Z)"
    return TextForm(names + WORD.pattern, f"{WORD.words}, and none that the tags have")


def labels(submission: Submission, attempt_id: UUID, tag_name: str) -> dict[str, str]:
    """Our ids, the metadata and the tags as pairs of name and value: the first tag under `tag_name`, the others under
    that with a number. Metadata has none of these names (`word_beside`).
    """
    tags = {
        tag_name if place == 1 else f"{tag_name}_{place}": tag for place, tag in enumerate(submission.tags, 1)
    }
    return {ATTEMPT: str(attempt_id), EMAIL: str(submission.id), **submission.metadata, **tags}
