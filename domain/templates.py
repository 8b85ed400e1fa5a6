"""Templates: what they are made of, what a rendering gives, and what may be wrong with either."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Source:
    """One version of a template, in Jinja2. `mjml` and `html` exclude each other; at least one body is given."""

    subject: str
    text: str | None = None
    html: str | None = None
    mjml: str | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """The template that an email is to be rendered with: `ref` is its name or id. No `version`: the published one."""

    ref: str
    version: int | None
    variables: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Rendered:
    """What an email is sent with: CSS inlined in `html`, `text` made from it where the template has none."""

    subject: str
    text: str | None
    html: str | None


@dataclass(frozen=True, slots=True)
class Flaw:
    """What is wrong with a `part` of a template: subject, text, html, mjml, or its variables, then with the `name`."""

    part: str
    code: str
    detail: str
    name: str = ""


class TemplateFaulty(Exception):
    """The template cannot be rendered, or not with these variables. `flaws` has every one that was found."""

    def __init__(self, flaws: Sequence[Flaw]) -> None:
        super().__init__("; ".join(f.detail for f in flaws))
        self.flaws = tuple(flaws)


class RenderingUnavailable(Exception):
    """No renderer became free in time, or none starts. Nothing is known of the template: ask again."""


class Renderer(Protocol):
    """Renders what users wrote, where it can neither read anything nor take more than its share."""

    def render(self, source: Source, variables: Mapping[str, Any], whose: UUID | None = None) -> Rendered:
        """Raises TemplateFaulty and RenderingUnavailable."""
        ...

    def check(self, source: Source, whose: UUID | None = None) -> Sequence[str]:
        """The names of the variables that it reads. Raises TemplateFaulty and RenderingUnavailable."""
        ...
