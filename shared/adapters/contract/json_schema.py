"""JSON Schemas (draft 2020-12) of the records, generated from the models that decode them."""

import sys
from collections.abc import Iterable
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue, models_json_schema
from pydantic_core import core_schema

from shared.adapters.contract.record_kinds import RecordKind

DIALECT: Final = GenerateJsonSchema.schema_dialect
_LARGEST: Final = sys.float_info.max


class FiniteNumbers(GenerateJsonSchema):
    """Generates what decoders accept: finite numbers; descriptions without line breaks."""

    def float_schema(self, schema: core_schema.FloatSchema) -> JsonSchemaValue:
        """Return the schema of a float64 that is finite: a reader may take 1e999 for infinity."""
        return {"minimum": -_LARGEST, "maximum": _LARGEST, **super().float_schema(schema)}

    def field_title_should_be_set(self, schema: Any) -> bool:
        """Leave out titles that only repeat the field's name."""
        return False

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        """Return a model's schema, its description without the docstring's line breaks."""
        found = super().model_schema(schema)
        if "description" in found:
            paragraphs = found["description"].split("\n\n")
            found["description"] = "\n\n".join(" ".join(text.split()) for text in paragraphs)
        return found


def record_schema(kind: RecordKind) -> dict[str, Any]:
    """Return the JSON Schema of a record kind, its example included."""
    schema = kind.model.model_json_schema(schema_generator=FiniteNumbers)
    number = schema_number(schema)
    return {
        "$schema": DIALECT,
        "$id": f"urn:updating-lstm:schema:{kind.name}:{number}",
        **schema,
        "title": kind.name,
        "examples": [kind.example],
    }


def schema_number(schema: dict[str, Any]) -> int:
    """Return the number of a record's schema; 1 if its records have none."""
    return int(schema["properties"].get("schema", {}).get("const", 1))


def component_schemas(models: Iterable[type[BaseModel]], template: str) -> dict[str, Any]:
    """Return the schemas of models and of the models inside them, by name.

    Args:
        models: the models.
        template: how a schema refers to another, with `{model}` for its name.
    """
    _, schemas = models_json_schema(
        [(model, "validation") for model in models],
        ref_template=template,
        schema_generator=FiniteNumbers,
    )
    return dict(schemas["$defs"])
