"""Fields of a JSON Schema as a table in Markdown, examples as JSON that people can read."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from scripts.markdown import LINE_LENGTH, cell, table

_WORDS: Final = {
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "true or false",
    "array": "list",
    "object": "object",
    "null": "null",
}

Schema = Mapping[str, Any]


def field_table(schema: Schema) -> str:
    """Return the fields of a schema and of the objects inside it, a row each."""
    return table(["field", "type", "meaning"], _rows(schema, schema, ""))


def format_json(value: Any, indent: str = "") -> str:
    """Return JSON with short objects and lists on one line."""
    text = json.dumps(value, ensure_ascii=False)
    if len(indent) + len(text) < LINE_LENGTH - 20 or _is_flat(value):
        return text
    inner = f"{indent}  "
    if isinstance(value, Mapping):
        parts = [f"{json.dumps(k)}: {format_json(v, inner)}" for k, v in value.items()]
        opening, closing = "{", "}"
    else:
        parts = [format_json(one, inner) for one in value]
        opening, closing = "[", "]"
    lines = ",\n".join(f"{inner}{part}" for part in parts)
    return f"{opening}\n{lines}\n{indent}{closing}"


def _is_flat(value: Any) -> bool:
    """Return whether a value is a number, a text, or a list of numbers."""
    return not isinstance(value, list | Mapping) or (
        isinstance(value, list) and all(isinstance(one, int | float) for one in value)
    )


def _rows(document: Schema, schema: Schema, prefix: str) -> Iterator[tuple[str, str, str]]:
    required = schema.get("required", ())
    for name, field in schema["properties"].items():
        options = [_follow(document, option) for option in field.get("anyOf", [field])]
        words = " or ".join(_word(option) for option in options)
        optional = "" if name in required else ", optional"
        notes = (one["description"].split("\n\n")[0] for one in options if "description" in one)
        meaning = cell(field.get("description") or next(notes, ""))
        yield f"`{prefix}{name}`", f"{words}{optional}", meaning
        for option in options:
            inner = _follow(document, option.get("items", option))
            if "properties" in inner:
                mark = "[]" if "items" in option else ""
                yield from _rows(document, inner, f"{prefix}{name}{mark}.")


def _follow(document: Schema, schema: Schema) -> Schema:
    reference = schema.get("$ref")
    if reference is None:
        return schema
    target: Schema = document["$defs"][reference.removeprefix("#/$defs/")]
    return target


def _word(schema: Schema) -> str:
    if "const" in schema:
        return f"`{json.dumps(schema['const'])}`"
    if "enum" in schema:
        return ", ".join(f"`{json.dumps(value)}`" for value in schema["enum"])
    bounds = [f"from {schema['minimum']:g}"] if schema.get("minimum", -1) >= 0 else []
    if 0 <= schema.get("maximum", -1) < 1e12:
        bounds.append(f"to {schema['maximum']:g}")
    return " ".join([_WORDS[schema["type"]], *bounds])
