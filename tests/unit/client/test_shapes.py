"""The client's types are those of the document: a field that is new in an answer is missing there, and fails here."""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

from mailmux_client import shapes

from api.app import create_app
from api.deps import Limits

MAKER = Path(__file__).parents[3] / "clients/python/make_shapes.py"


def made(document: dict[str, Any]) -> str:
    spec = importlib.util.spec_from_file_location("make_shapes", MAKER)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return str(module.shapes(document))


def document() -> dict[str, Any]:
    """The service's own, without the service."""
    deps = MagicMock()
    deps.limits = Limits()
    found: dict[str, Any] = create_app(deps).extensions["mailmux.document"]
    return found


def test_the_types_of_answers_are_those_of_the_document() -> None:
    written = Path(shapes.__file__).read_text()
    assert ast.dump(ast.parse(written)) == ast.dump(ast.parse(made(document()))), (
        "write it anew: python -m tests.unit.client.test_shapes, then make format"
    )


def test_what_may_be_missing_null_or_a_word_of_a_list_is_typed_so() -> None:
    ref = "#/components/schemas/"
    answer = {"type": "object", "required": ["from", "kind", "many"], "properties": {
        "from": {"anyOf": [{"type": "string"}, {"type": "null"}]}, "kind": {"enum": ["a", "b"]},
        "many": {"type": "array", "items": {"$ref": f"{ref}Inner"}}, "perhaps": {"type": "integer"}}}  # fmt: skip
    inner = {
        "type": "object",
        "description": "Within.",
        "required": ["at"],
        "properties": {"at": {"type": "number"}},
    }
    content = {"application/json": {"schema": {"$ref": f"{ref}Answer"}}}
    source = made({
        "paths": {"/x": {"get": {"responses": {"200": {"content": content}, "404": {"content": {}}}}}},
        "components": {"schemas": {"Answer": answer, "Inner": inner, "Unused": inner}},
    })  # fmt: skip
    names: dict[str, Any] = {}
    exec(source, names)
    assert names["Inner"].__annotations__.keys() == {"at"}
    assert names["Answer"].__annotations__.keys() == {"from", "kind", "many", "perhaps"}
    assert "'NotRequired[int]'" in source
    assert "Unused" not in names
    assert """'from': 'str | None'""" in source
    assert "Literal[" in source


if __name__ == "__main__":
    Path(shapes.__file__).write_text(made(document()))
