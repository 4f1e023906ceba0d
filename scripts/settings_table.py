"""Settings of a service as a table in Markdown."""

from collections.abc import Mapping
from typing import Any

from scripts.markdown import cell, table
from shared.adapters.env_settings import EnvSettings


def settings_table(settings: type[EnvSettings], left_out: set[str]) -> str:
    """Return a row for each setting but those left out."""
    schema = settings.model_json_schema()
    rows = []
    for name, field in settings.model_fields.items():
        if name not in left_out:
            default = "required" if field.is_required() else _default(field.default)
            allowed = _allowed(schema["properties"][field.validation_alias or name])
            rows.append(
                [
                    f"`{settings.variable_of(name)}`",
                    default,
                    allowed,
                    cell(field.description or ""),
                ]
            )
    return table(["setting", "default", "allowed", "meaning"], rows)


def _default(value: object) -> str:
    return "" if value in (None, "") else f"`{value}`"


def _allowed(schema: Mapping[str, Any]) -> str:
    """Describe the values that a JSON schema allows."""
    options = [option for option in schema.get("anyOf", [schema]) if option.get("type") != "null"]
    return " or ".join(_one(option) for option in options)


def _one(schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if "pattern" in schema:
        return f"`{cell(schema['pattern'])}`"
    low = schema.get("minimum", schema.get("exclusiveMinimum"))
    high = schema.get("maximum", schema.get("exclusiveMaximum"))
    bounds = (
        [f"{'above' if 'exclusiveMinimum' in schema else 'from'} {low}"] if low is not None else []
    )
    bounds += (
        [f"{'below' if 'exclusiveMaximum' in schema else 'to'} {high}"] if high is not None else []
    )
    return " ".join([schema.get("type", "text"), *bounds]).replace("string", "text")
