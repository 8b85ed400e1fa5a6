"""What several adapters' settings and metadata have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, Field, SecretStr

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
TagName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,256}$")]


def labels(
    submission: Submission,
    attempt_id: UUID,
    tag_name: str,
    fits: Callable[[str], object],
    most: int | None = None,
) -> dict[str, str]:
    """Our ids as pairs of name and value; then the metadata, and the one tag under `tag_name`, each where it fits.

    Metadata and tags are ours to keep, so a provider's own statistics get them whole or not at all.
    """
    ours = {ATTEMPT: str(attempt_id), EMAIL: str(submission.id)}
    found = ours
    metadata = {str(k): str(v) for k, v in submission.metadata.items()}
    for more in (metadata, {tag_name: submission.tags[0]} if len(submission.tags) == 1 else {}):
        together = {**found, **more}
        apart = len(together) == len(found) + len(more)
        if apart and all(fits(k) and fits(v) for k, v in more.items()):
            found = together if most is None or len(together) <= most else found
    return found
