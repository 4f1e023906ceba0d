"""Pages of the contract: topics and messages, JSON Schemas, the AsyncAPI document."""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from scripts.field_table import field_table, format_json
from scripts.markdown import table, wrap
from shared.adapters.contract.asyncapi import asyncapi_document
from shared.adapters.contract.channels import CHANNELS, read_contract, topic_of
from shared.adapters.contract.compatibility import find_violations
from shared.adapters.contract.json_schema import record_schema, schema_number
from shared.adapters.contract.record_kinds import KINDS, RecordKind
from shared.core.errors import Incompatible
from shared.core.topics import Topics

_TOPICS: Final = Topics("5m", 1)
TOPICS_INTRODUCTION: Final = (
    "What others may rely on. The same for programs: `ulstm schema` prints the JSON Schemas (draft"
    " 2020-12, in `docs/reference/schemas/`) and the AsyncAPI 3.0 document"
    " ([asyncapi.json](asyncapi.json)). Consumers to begin with:"
    " [read predictions](../how-to/read-predictions.md)."
)
_BUNDLE: Final = """## bundle

A record on `models` with the model version as key. Its value is binary: a line `ULSTM-BUNDLE-1`, a
line with the length of the [card](#bundle-card), the card, then the arrays that it describes:
weights (float32), head (float64), starts of symbols. No pickle, no code. `ulstm models export`
makes a `.keras` file of it."""
_DEAD_LETTER: Final = """## dead-letter

Key and value are the rejected record's bytes, place and reason are [headers](#dead-letter-headers).
`ulstm dead-letters list` prints them, `ulstm dead-letters redrive` writes what readers would accept
now back into the log."""
_BINARY: Final = {"bundle-card": _BUNDLE, "dead-letter-headers": _DEAD_LETTER}


def topics_page() -> str:
    """Return the page of the topics: the contract in words, then each kind of record."""
    blocks = [_topics_table(), read_contract().rstrip()]
    for kind in KINDS.values():
        blocks += [_BINARY[kind.name]] if kind.name in _BINARY else []
        blocks += list(_describe(kind))
    return "\n\n".join(blocks)


def contract_files() -> dict[str, Callable[[], str]]:
    """Return the files beside the pages, by their path in docs/reference."""
    schemas = {
        f"schemas/{name}.json": lambda kind=kind: _to_text(record_schema(kind))
        for name, kind in KINDS.items()
    }
    return {**schemas, "asyncapi.json": lambda: _to_text(asyncapi_document())}


def check_compatible(path: Path, text: str) -> None:
    """Check that a schema does not break the one that a file has, unless its number is raised.

    Raises:
        Incompatible: it does; the message names each place.
    """
    if path.parent.name != "schemas" or not path.exists():
        return
    earlier, later = json.loads(path.read_text(encoding="utf-8")), json.loads(text)
    if schema_number(earlier) != schema_number(later):
        return
    violations = find_violations(earlier, later)
    if violations:
        listed = "\n".join(violations)
        raise Incompatible(
            f"{path.name}: within a schema number only optional fields are added; raise the number"
            f" or take back:\n{listed}"
        )


def _to_text(document: Mapping[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _topics_table() -> str:
    rows = []
    for name, channel in CHANNELS.items():
        partitions = "`SYMBOL_GROUPS`" if channel.is_partitioned else "1"
        records = ", ".join(f"[{each}](#{each})" for each in channel.messages)
        topic = topic_of(name, _TOPICS)
        rows.append([f"`{topic}`", partitions, records, channel.description])
    return table(["topic", "partitions", "records", "what"], rows)


def _describe(kind: RecordKind) -> Iterator[str]:
    schema = record_schema(kind)
    yield f"## {kind.name}"
    place = "A record" if kind.part == "value" else f"The {kind.part} of a record"
    key = f"{place} on `{kind.channel}`; its key is {kind.key}."
    yield "\n\n".join(map(wrap, [key, *schema["description"].split("\n\n")]))
    yield f"```json\n{format_json(kind.example)}\n```"
    yield field_table(schema)
