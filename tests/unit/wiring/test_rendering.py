"""Rendering what users write: right, bounded, and shut in. The processes are real."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

from domain.templates import RenderingUnavailable, Source, TemplateFaulty
from wiring.rendering.pool import RendererPool, RenderLimits

LIMITS = RenderLimits(cpu_seconds=0.5, seconds=1.0, output=100_000)


@pytest.fixture(scope="module")
def renderer() -> Iterator[RendererPool]:
    made = RendererPool(1, LIMITS)
    yield made
    made.close()


def flaws(renderer: RendererPool, source: Source, **variables: Any) -> set[tuple[str, str]]:
    with pytest.raises(TemplateFaulty) as caught:
        renderer.render(source, variables)
    return {(f.part, f.code) for f in caught.value.flaws}


def body(text: str) -> Source:
    return Source("s", text=text)


def test_values_are_escaped_in_html_and_plain_elsewhere(renderer: RendererPool) -> None:
    source = Source("For {{ name }}", text="Dear {{ name }}", html="<p>{{ name }}</p>")
    made = renderer.render(source, {"name": "<b>A & B"})
    assert (made.subject, made.text) == ("For <b>A & B", "Dear <b>A & B")
    assert "<p>&lt;b&gt;A &amp; B</p>" in str(made.html)


def test_style_sheets_move_into_elements_and_queries_of_the_screen_stay(renderer: RendererPool) -> None:
    sheet = "<style>p { color: red } @media (max-width: 600px) { p { color: blue } }</style>"
    html = str(renderer.render(Source("s", html=f"{sheet}<p>a</p>"), {}).html)
    assert '<p style="color: red;">' in html
    assert "@media" in html


def test_text_is_made_from_html(renderer: RendererPool) -> None:
    source = Source("s", html='<h1>Hello</h1><p>Go <a href="https://shop.example/x">there</a></p>')
    text = str(renderer.render(source, {}).text)
    assert text.startswith("Hello")
    assert "[there](https://shop.example/x)" in text
    assert "<" not in text


def test_mjml_becomes_html_after_its_loops_have_run(renderer: RendererPool) -> None:
    mjml = (
        "<mjml><mj-body>{% for line in lines %}<mj-section><mj-column><mj-text>{{ line }}</mj-text>"
        "</mj-column></mj-section>{% endfor %}</mj-body></mjml>"
    )
    made = renderer.render(Source("s", mjml=mjml), {"lines": ["one", "<two>"]})
    assert "mj-" not in str(made.html).replace("mj-column-per-100", "").replace("mj-outlook-group-fix", "")
    assert "&lt;two&gt;" in str(made.html)
    assert "<two>" in str(made.text)


def test_every_missing_variable_is_named_once(renderer: RendererPool) -> None:
    source = Source("{{ a }}", text="{{ b }} {{ a }} {{ c.name }}", html="{% for x in d %}{% endfor %}")
    with pytest.raises(TemplateFaulty) as caught:
        renderer.render(source, {"z": 1})
    assert sorted(f.name for f in caught.value.flaws) == ["a", "b", "c", "d"]


def test_what_has_a_default_may_be_left_out(renderer: RendererPool) -> None:
    source = body("{{ a|default('x') }}{% if b is defined %}{{ b }}{% endif %}{{ none or 'y' }}")
    assert renderer.render(source, {"none": None}).text == "xy"


def test_variables_of_one_email_are_not_seen_by_the_next(renderer: RendererPool) -> None:
    assert renderer.render(body("{{ a }}"), {"a": 1}).text == "1"
    assert flaws(renderer, body("{{ a }}")) == {("variables", "missing_variable")}


def test_mistakes_are_told_with_their_part_and_line(renderer: RendererPool) -> None:
    with pytest.raises(TemplateFaulty) as caught:
        renderer.check(Source("{{ a", text="x\n{% if %}", html="fine"))
    assert [(f.part, f.code) for f in caught.value.flaws] == [
        ("subject", "template_syntax"),
        ("text", "template_syntax"),
    ]
    assert "(line 2)" in caught.value.flaws[1].detail


def test_a_check_names_what_a_template_reads(renderer: RendererPool) -> None:
    source = Source("{{ a }}", html="{% set x = b %}{{ x }}{{ c|default(1) }}")
    assert renderer.check(source) == ["a", "b", "c"]


ESCAPES = [
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ ().__class__ }}",
    "{{ self._TemplateReference__context }}",
    "{{ self.__init__.__globals__ }}",
    "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
    "{{ joiner.__init__.__globals__ }}",
    "{{ namespace.__init__.__globals__ }}",
    "{{ '{0.__class__}'.format('') }}",
    "{{ '{x.__class__}'.format_map({'x': 1}) }}",
    "{{ ''|attr('__class__') }}",
    "{{ ''['__class__'] }}",
    "{% set x = {} %}{% if x.update({'a': 1}) %}{% endif %}{{ xs.append(1) }}",
    "{{ xs.__class__ }}",
    "{{ (xs|map(attribute='__class__')|list)[0] }}",
]


@pytest.mark.parametrize("text", ESCAPES)
def test_no_way_leads_out_of_the_sandbox(renderer: RendererPool, text: str) -> None:
    try:
        made = str(renderer.render(body(text), {"xs": [1]}).text)
    except TemplateFaulty:
        return
    assert "class" not in made
    assert "global" not in made


FILES = [
    Source("s", text="{% include '/etc/passwd' %}"),
    Source("s", text="{% extends '/etc/passwd' %}"),
    Source("s", text="{% import 'os' as os %}{{ os }}"),
    Source("s", text="{% from 'os' import path %}{{ path }}"),
    Source("s", mjml='<mjml><mj-body><mj-include path="/etc/passwd" /></mj-body></mjml>'),
]


@pytest.mark.parametrize("source", FILES)
def test_nothing_is_included(renderer: RendererPool, source: Source) -> None:
    assert flaws(renderer, source)


@pytest.mark.parametrize(
    "href", ["file:///etc/passwd", "/etc/passwd", "https://127.0.0.1/x.css", "../../etc/passwd"]
)
def test_linked_style_sheets_are_not_fetched(renderer: RendererPool, href: str) -> None:
    html = f'<head><link rel="stylesheet" href="{href}"></head><p>a</p>'
    assert "root:" not in str(renderer.render(Source("s", html=html), {}).html)


BOMBS = [
    "{{ ('a' * 10**9)|length }}",
    "{{ ('a' * n)|length }}",
    "{{ '%1000000000d'|format(1) }}",
    "{{ ([0] * n)|length }}",
    "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
    "{{ 7 ** (7 ** 9) }}",
    "{% set ns = namespace(x='a') %}{% for i in range(40) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}{{ ns.x }}",
    "{% for a in range(99999) %}0123456789{% endfor %}",
    "{% macro m() %}{{ m() }}{{ m() }}{% endmacro %}{{ m() }}",
    "{{ " + "(" * 5000 + ")" * 5000 + " }}",
    "{{ range(10 ** 9)|list }}",
]


@pytest.mark.parametrize("text", BOMBS, ids=range(len(BOMBS)))
def test_a_bomb_is_refused_and_the_next_email_is_rendered(renderer: RendererPool, text: str) -> None:
    found = flaws(renderer, body(text), n=10**10)
    assert {code for _, code in found} <= {
        "template_too_costly",
        "template_too_long",
        "template_failed",
        "template_syntax",
    }
    assert renderer.render(body("well"), {}).text == "well"


@pytest.mark.parametrize(
    "text", [*ESCAPES, "{{ '\\N{BULLET}' }}", "{{ 'a'.encode('idna') }}", "{{ lipsum() }}"]
)
def test_what_a_refusal_says_names_no_file_of_the_machine(renderer: RendererPool, text: str) -> None:
    said = ""
    try:
        renderer.render(body(text), {"xs": [1]})
    except TemplateFaulty as faulty:
        said = str(faulty)
    assert "/" not in said


def test_a_renderer_has_none_of_the_secrets_of_the_service() -> None:
    os.environ["MAILMUX_PROOF"] = "secret"
    pool = RendererPool(1)
    try:
        pool.render(body("x"), {})
        process = pool._processes[0]._process
        assert process is not None
        with open(f"/proc/{process.pid}/environ", "rb") as environ:
            assert b"secret" not in environ.read()
        with open(f"/proc/{process.pid}/limits") as limits:
            told = {line[:25].strip(): line[25:].split()[0] for line in limits}
        assert told["Max open files"] == "3"
        assert told["Max processes"] == "0"
        assert told["Max address space"] == str(RenderLimits().memory)
        assert told["Max file size"] == "0"
    finally:
        del os.environ["MAILMUX_PROOF"]
        pool.close()


def test_a_renderer_that_was_killed_is_replaced(renderer: RendererPool) -> None:
    renderer.render(body("x"), {})
    process = renderer._processes[0]._process
    assert process is not None
    process.kill()
    process.wait()
    assert renderer.render(body("well"), {}).text == "well"


def test_who_finds_all_renderers_busy_is_told_so() -> None:
    pool = RendererPool(1, LIMITS, patience=0.05)
    taken = pool._free.get()
    with pytest.raises(RenderingUnavailable):
        pool.render(body("x"), {})
    pool._free.put(taken)
    pool.close()
