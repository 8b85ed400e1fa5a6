"""Rendering what users write: right, bounded, and shut in. The processes are real."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any
from uuid import UUID

import pytest

from domain.templates import RenderingUnavailable, Source, TemplateFaulty
from wiring.rendering.pool import RendererPool, RenderLimits

LIMITS = RenderLimits(cpu_seconds=0.5, seconds=10.0, output=100_000)


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


@pytest.mark.parametrize(
    "text",
    [
        "{{ [a] }}", "{{ {'k': a} }}", "{% if a == 'Ada' %}x{% else %}y{% endif %}", "{{ a in ['x'] }}",
        "{{ 'x' in a }}", "{{ a is none }}", "{{ [a]|sort }}", "{{ a|first }}", "{{ a|random }}", "{{ a + 1 }}",
        "{{ 1 + a }}", "{{ a|int }}",
        "{{ a > 1 }}", "{{ a|tojson }}", "{{ [a]|tojson }}", "{{ a|join }}", "{{ -a }}", "{{ a.b.c }}", "{{ a() }}",
        "{{ '%s'|format(a) }}", "{{ a ~ 'x' }}", "{{ a|length }}", "{% for x in a %}{% endfor %}", "{{ a|float }}",
    ],
)  # fmt: skip
def test_however_a_missing_variable_is_used_it_is_named_and_so_is_the_next(
    renderer: RendererPool, text: str
) -> None:
    with pytest.raises(TemplateFaulty) as caught:
        renderer.render(body(f"{text} {{{{ other }}}}"), {})
    named = {f.name for f in caught.value.flaws if f.code == "missing_variable"}
    assert named == {"a", "other"}
    assert {f.code for f in caught.value.flaws} == {"missing_variable"}


def test_the_first_of_nothing_is_told_without_a_variable(renderer: RendererPool) -> None:
    assert flaws(renderer, body("{{ a|first }}"), a=[]) == {("text", "template_failed")}


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("{{ 'abc def'|wordwrap(3) }}", "abc\ndef"),
        ("{{ [1]|pprint }}", "[1]"),
        ("{{ {'a': 1}|tojson }}", '{"a": 1}'),
        ("{{ self_ }} {{ v.self }}", "x y"),
        ("{{ none is none }}{{ 1 is none }}", "TrueFalse"),
    ],
)
def test_filters_and_names_work_as_jinja_has_them(renderer: RendererPool, text: str, made: str) -> None:
    rendered = renderer.render(body(text), {"self_": "x", "v": {"self": "y"}, "self": "z"})
    assert str(rendered.text).strip() == made


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


def test_every_rendering_has_its_own_share_of_processor_time() -> None:
    program = (
        "import time\n"
        "from wiring.rendering.process import _grant\n"
        "def use(seconds):\n"
        "    end = time.process_time() + seconds\n"
        "    while time.process_time() < end: pass\n"
        "for _ in range(5): _grant(0.3); use(0.15)\n"
        "print('five', flush=True)\n"
        "_grant(0.3); use(0.8)\n"
        "print('too much', flush=True)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30)
    assert (done.stdout, done.returncode) == ("five\n", -signal.SIGPROF)


def test_who_finds_all_renderers_busy_is_told_so() -> None:
    pool = RendererPool(1, LIMITS, patience=0.05)
    taken = pool._take(None)
    with pytest.raises(RenderingUnavailable):
        pool.render(body("x"), {})
    pool._give_back(taken, None)
    pool.close()


def test_users_take_turns_and_who_waits_goes_before_who_comes_back() -> None:
    pool, greedy, other = RendererPool(2, LIMITS), UUID(int=1), UUID(int=2)
    first, second = pool._take(greedy), pool._take(None)
    served: list[str] = []

    def ask(name: str, whose: UUID) -> None:
        process = pool._take(whose)
        served.append(name)
        pool._give_back(process, whose)

    with ThreadPoolExecutor(2) as threads:
        for count, (name, whose) in enumerate([("greedy", greedy), ("other", other)], 1):
            threads.submit(ask, name, whose)
            while len(pool._waiting) < count:
                time.sleep(0.001)
        pool._give_back(second, None)
        ask("greedy, back again", greedy)
    pool._give_back(first, greedy)
    pool.close()
    assert served == ["other", "greedy", "greedy, back again"]


def test_a_machine_that_is_too_busy_is_no_fault_of_the_template() -> None:
    pool = RendererPool(1, RenderLimits(seconds=0.3))
    pool.render(body("x"), {})
    process = pool._processes[0]._process
    assert process is not None
    process.send_signal(signal.SIGSTOP)
    with pytest.raises(RenderingUnavailable):
        pool.render(body("x"), {})
    assert pool.render(body("well"), {}).text == "well"
    pool.close()


def test_a_user_who_keeps_renderers_busy_keeps_no_other_waiting() -> None:
    costly = body("{% for i in range(20000) %}{% for k in range(100) %}{% endfor %}{% endfor %}")
    pool = RendererPool(2, RenderLimits(cpu_seconds=2.0, seconds=4.0))
    greedy, other = UUID(int=1), UUID(int=2)
    pool.render(body("x"), {}, other)
    stop = threading.Event()

    def go_on() -> None:
        while not stop.is_set():
            with suppress(RenderingUnavailable):
                pool.render(costly, {}, greedy)

    with ThreadPoolExecutor(6) as threads:
        for _ in range(6):
            threads.submit(go_on)
        time.sleep(0.5)
        waits = []
        for _ in range(10):
            began = time.monotonic()
            assert pool.render(body("Hello {{ name }}"), {"name": "Ada"}, other).text == "Hello Ada"
            waits.append(time.monotonic() - began)
        stop.set()
    pool.close()
    alone = min(waits)
    assert max(waits) < alone + 1.0, "it waited behind the other's"
