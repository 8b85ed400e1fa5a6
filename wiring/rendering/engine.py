"""From a template and its variables to an email's content. Runs only inside a renderer process."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import css_inline
import mrml
from inscriptis import get_text
from inscriptis.model.config import ParserConfig
from jinja2 import Template, TemplateSyntaxError, meta
from jinja2.exceptions import SecurityError, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from wiring.rendering.missing import Missing, dumps, is_none

PARTS = ("subject", "text", "html", "mjml")
_MARKUP = ("html", "mjml")  # in these, values are escaped
_MOST_COMPILED = 256  # templates' parts that are kept compiled
_LINE = 998  # characters of a subject


class Flawed(Exception):
    """(part, code, detail, and the name of a variable) of everything that was found."""

    def __init__(self, *flaws: tuple[str, ...]) -> None:
        super().__init__(flaws)
        self.flaws = flaws


def _none_as_empty(value: Any) -> Any:
    return "" if value is None else value


class Engine:
    """Compiles, renders, inlines. `most_output`: characters of one rendered part."""

    def __init__(self, most_output: int) -> None:
        self._most_output = most_output
        self._environments = {
            markup: ImmutableSandboxedEnvironment(
                autoescape=markup, undefined=Missing, finalize=_none_as_empty, keep_trailing_newline=True
            )
            for markup in (True, False)
        }
        for environment in self._environments.values():
            del environment.globals["lipsum"]  # nobody sends it, and it makes texts of any length
            environment.tests["none"] = is_none
            environment.policies["json.dumps_function"] = dumps
        self._compiled: OrderedDict[tuple[bool, str], Template] = OrderedDict()
        # Links to style sheets are not followed: neither over the network nor to files.
        self._inliner = css_inline.CSSInliner(load_remote_stylesheets=False, keep_at_rules=True)
        self._reading = ParserConfig(display_links=True)

    def filters(self) -> list[str]:
        """The names of Jinja's filters that are offered."""
        return sorted(self._environments[False].filters)

    def check(self, source: Mapping[str, str | None]) -> list[str]:
        """The names of the variables that the template reads."""
        flaws: list[tuple[str, ...]] = []
        names: set[str] = set()
        for part, text in self._parts(source):
            try:
                self._compile(part, text)
                names |= meta.find_undeclared_variables(self._environments[part in _MARKUP].parse(text))
            except Flawed as flawed:
                flaws.extend(flawed.flaws)
        if flaws:
            raise Flawed(*flaws)
        return sorted(names)

    def render(self, source: Mapping[str, str | None], variables: Mapping[str, Any]) -> dict[str, str | None]:
        """Subject, text and html. Raises Flawed."""
        made: dict[str, str | None] = {}
        flaws: list[tuple[str, ...]] = []
        Missing.found.clear()
        for part, text in self._parts(source):
            try:
                made[part] = self._fill(part, text, variables)
            except Flawed as flawed:
                flaws.extend(flawed.flaws)
        flaws.extend(
            ("variables", "missing_variable", f"the template needs the variable {name!r}", name)
            for name in Missing.found
        )
        if flaws:
            raise Flawed(*flaws)
        html = made.get("html")
        if made.get("mjml") is not None:
            html = self._from_mjml(str(made["mjml"]))
        if html is not None:
            html = self._inline(html)
        text_part = made.get("text")
        if text_part is None and html is not None:
            text_part = get_text(html, self._reading).strip() + "\n"
        self._bound("text", text_part)
        self._bound("html", html)
        return {"subject": _one_line(str(made["subject"])), "text": text_part, "html": html}

    @staticmethod
    def _parts(source: Mapping[str, str | None]) -> list[tuple[str, str]]:
        return [(part, text) for part in PARTS if (text := source.get(part)) is not None]

    def _compile(self, part: str, text: str) -> Template:
        key = part in _MARKUP, text
        found = self._compiled.get(key)
        if found is None:
            try:
                found = self._environments[key[0]].from_string(text)
            except TemplateSyntaxError as error:
                raise Flawed((part, "template_syntax", f"{error.message} (line {error.lineno})")) from None
            except OSError:  # its words name files of this machine
                raise Flawed((part, "template_syntax", "it needs what a template may not load")) from None
            except (RecursionError, OverflowError, ValueError) as error:
                raise Flawed((part, "template_syntax", f"it cannot be compiled: {error}")) from None
            self._compiled[key] = found
            if len(self._compiled) > _MOST_COMPILED:
                self._compiled.popitem(last=False)
        else:
            self._compiled.move_to_end(key)
        return found

    def _fill(self, part: str, text: str, variables: Mapping[str, Any]) -> str:
        template, size = self._compile(part, text), 0
        pieces: list[str] = []
        try:
            for piece in template.generate(variables):
                size += len(piece)
                if size > self._most_output:
                    raise self._too_long(part)
                pieces.append(piece)
        except SecurityError as error:
            raise Flawed((part, "template_forbidden", str(error))) from None
        except (Flawed, MemoryError):
            raise
        except TypeError as error:
            said = "includes and inheritance are not offered" if "no loader" in str(error) else str(error)
            raise Flawed((part, "template_failed", said[:500])) from None
        except TemplateError as error:
            raise Flawed((part, "template_failed", f"{type(error).__name__}: {error}"[:500])) from None
        except OSError:  # its words name files of this machine
            raise Flawed((part, "template_failed", "it needs what a template may not load")) from None
        except Exception as error:  # noqa: BLE001  # what users' expressions raise: wrong types, keys, numbers
            raise Flawed((part, "template_failed", f"{type(error).__name__}: {error}"[:500])) from None
        return "".join(pieces)

    @staticmethod
    def _from_mjml(text: str) -> str:
        try:
            return str(mrml.to_html(text).content)
        except OSError as error:
            raise Flawed(("mjml", "mjml", str(error))) from None

    def _inline(self, html: str) -> str:
        try:
            return self._inliner.inline(html)
        except (css_inline.InlineError, ValueError) as error:
            raise Flawed(("html", "css", str(error))) from None

    def _bound(self, part: str, text: str | None) -> None:
        if text is not None and len(text) > self._most_output:
            raise self._too_long(part)

    def _too_long(self, part: str) -> Flawed:
        return Flawed((part, "template_too_long", f"it renders to more than {self._most_output} characters"))


def _one_line(subject: str) -> str:
    """A subject as it may stand in a header; line breaks that the template itself ends with are no content."""
    subject = subject.strip()
    if not subject:
        raise Flawed(("subject", "empty_subject", "the subject renders to nothing"))
    if len(subject) > _LINE:
        raise Flawed(("subject", "template_too_long", f"the subject renders to more than {_LINE} characters"))
    return subject
