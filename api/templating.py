"""Giving emails the content of their templates, before they are accepted: what is committed is what will be sent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from api.auth import caller
from api.payload import text_problem
from api.requests import dependencies
from domain.headers import value_problem
from domain.intake import Draft, Objection
from domain.templates import Flaw, Rendered, Source, TemplateFaulty
from domain.unsubscribe import PLACEHOLDER, VARIABLE

Path = tuple[str | int, ...]


def fill(drafts: Sequence[Draft]) -> list[Draft]:
    """The same emails, rendered where they name a template. What cannot be rendered in the time of one request bears
    objections.

    Raises domain.templates.RenderingUnavailable.
    """
    wanted = {(d.template.ref, d.template.version) for d in drafts if d.template is not None}
    if not wanted:
        return list(drafts)
    deps = dependencies()
    with deps.units() as unit:
        found = unit.templates.find(caller().library, sorted(wanted, key=str))
    end = deps.clock.monotonic() + deps.limits.render_seconds
    filled = []
    for draft in drafts:
        if draft.template is None:
            filled.append(draft)
        elif filled and deps.clock.monotonic() > end:
            filled.append(replace(draft, objections=(_too_costly(draft, deps.limits.render_seconds),)))
        else:
            filled.append(_filled(draft, found))
    return filled


def render(source: Source, variables: Mapping[str, Any]) -> Rendered:
    """A part that comes out empty is left out. Raises TemplateFaulty also where what comes out is no content of an
    email, and RenderingUnavailable.
    """
    made = dependencies().renderer.render(source, variables, caller().user_id)
    made = replace(made, text=made.text or None, html=made.html or None)
    if flaws := list(_unfit(made)):
        raise TemplateFaulty(flaws)
    return made


def place(flaw: Flaw) -> Path:
    """The field of a request that renders: a variable, or the template."""
    return ("variables", flaw.name) if flaw.name else ("template",)


def words(flaw: Flaw) -> str:
    return flaw.detail if flaw.name else f"{flaw.part}: {flaw.detail}"


def _filled(draft: Draft, found: Mapping[tuple[str, int | None], Source | None]) -> Draft:
    wish = draft.template
    assert wish is not None
    key = wish.ref, wish.version
    source = found.get(key)
    if source is None:
        return replace(draft, objections=(_absent(draft, there=key in found),))
    try:
        made = render(source, {VARIABLE: PLACEHOLDER, **wish.variables})
    except TemplateFaulty as faulty:
        said = tuple(Objection(draft.item, place(f), f.code, words(f)) for f in faulty.flaws)
        return replace(draft, objections=said)
    message = replace(draft.message, subject=made.subject, text=made.text, html=made.html)
    return replace(draft, message=message)


def _too_costly(draft: Draft, seconds: float) -> Objection:
    detail = f"the request's templates take more than {seconds:g} s to render: make it smaller"
    return Objection(draft.item, ("template",), "template_too_costly", detail)


def _absent(draft: Draft, *, there: bool) -> Objection:
    wish = draft.template
    assert wish is not None
    if not there:
        return Objection(draft.item, ("template",), "unknown_template", f"there is no template {wish.ref!r}")
    if wish.version is None:
        return Objection(
            draft.item, ("template",), "unpublished_template", "no version of the template is published"
        )
    return Objection(
        draft.item, ("template_version",), "unknown_version", f"the template has no version {wish.version}"
    )


def _unfit(made: Rendered) -> Iterator[Flaw]:
    """What would be refused of an email without a template, too: a line break in a subject begins another field."""
    if not made.subject:
        yield Flaw("subject", "empty", "it comes out empty")
    if made.text is None and made.html is None:
        yield Flaw("template", "empty", "text and html come out empty")
    if (problem := value_problem(made.subject)) is not None:
        yield Flaw("subject", "header_value", problem)
    for part in ("text", "html"):
        text = getattr(made, part)
        if text is not None and (problem := text_problem(text)) is not None:
            yield Flaw(part, "not_text", problem)
