"""Writes mailmux_client/shapes.py from the service's own document: the types of all that it answers.

python make_shapes.py http://127.0.0.1:8025/openapi.json > mailmux_client/shapes.py
"""

from __future__ import annotations

import json
import keyword
import sys
import textwrap
import urllib.request
from collections.abc import Iterator, Mapping
from typing import Any

_PLAIN = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "null": "None"}
_HEAD = '''"""What the service answers. Made by make_shapes.py from /openapi.json: do not change it by hand."""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict
'''


def shapes(document: Mapping[str, Any]) -> str:
    """The source of the module."""
    schemas = document["components"]["schemas"]
    names = sorted(_answered(document))
    parts = [_HEAD]
    parts += [f"{name} = {_type(schemas[name])}\n" for name in names if "properties" not in schemas[name]]
    parts += [_typed_dict(name, schemas[name]) for name in names if "properties" in schemas[name]]
    return "\n\n".join(parts)


def _answered(document: Mapping[str, Any]) -> set[str]:
    """The components of successes, and what these are made of."""
    found: set[str] = set()

    def follow(part: Any) -> None:
        for name in _references(part):
            if name not in found:
                found.add(name)
                follow(document["components"]["schemas"][name])

    for operations in document["paths"].values():
        for operation in operations.values():
            for status, answer in operation["responses"].items():
                if status.startswith("2"):
                    follow([content["schema"] for content in answer.get("content", {}).values()])
    return found


def _references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        if isinstance(part.get("$ref"), str):
            yield part["$ref"].rpartition("/")[2]
        for inner in part.values():
            yield from _references(inner)
    elif isinstance(part, list):
        for inner in part:
            yield from _references(inner)


def _typed_dict(name: str, schema: Mapping[str, Any]) -> str:
    needed = schema.get("required", ())
    fields = {
        field: _type(inner) if field in needed else f"NotRequired[{_type(inner)}]"
        for field, inner in schema["properties"].items()
    }
    about = " ".join(schema.get("description", "").split())
    if any(keyword.iskeyword(field) for field in fields):
        inside = "".join(f"        {field!r}: {kind!r},\n" for field, kind in fields.items())
        said = "".join(f"# {line}\n" for line in textwrap.wrap(about, 100))
        return f'{said}{name} = TypedDict(\n    "{name}",\n    {{\n{inside}    }},\n)\n'
    lines = [f"class {name}(TypedDict):"]
    if about:
        lines += textwrap.indent(f'"""{textwrap.fill(about, 100)}"""', "    ").split("\n")
        lines.append("")
    return "\n".join([*lines, *(f"    {field}: {kind}" for field, kind in fields.items()), ""])


def _type(schema: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        return str(schema["$ref"].rpartition("/")[2])
    if kinds := schema.get("anyOf") or schema.get("oneOf"):
        return " | ".join(dict.fromkeys(_type(kind) for kind in kinds))
    if "const" in schema or "enum" in schema:
        given = [schema["const"]] if "const" in schema else schema["enum"]
        return (
            f"Literal[{', '.join(json.dumps(one) if isinstance(one, str) else repr(one) for one in given)}]"
        )
    match schema.get("type"):
        case "array":
            return f"list[{_type(schema.get('items', {}))}]"
        case "object":
            inner = schema.get("additionalProperties")
            return f"dict[str, {_type(inner) if isinstance(inner, dict) else 'Any'}]"
        case kind:
            return _PLAIN.get(str(kind), "Any")


if __name__ == "__main__":
    with urllib.request.urlopen(sys.argv[1], timeout=30) as answer:  # noqa: S310  # whatever its caller names
        sys.stdout.write(shapes(json.load(answer)))
