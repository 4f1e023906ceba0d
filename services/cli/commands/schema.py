"""`ulstm schema`: the contract of the topics, for programs."""

from typing import Annotated, Any, Final

import typer
from rich.table import Table

from services.cli.cli_options import AsJson
from services.cli.examples import examples
from services.cli.terminal import PlainConsole, print_json
from shared.adapters.contract.asyncapi import asyncapi_document
from shared.adapters.contract.json_schema import record_schema
from shared.adapters.contract.record_kinds import KINDS, RecordKind, find_kind

ASYNCAPI: Final = "asyncapi"
EXAMPLES: Final = examples("ulstm schema", "ulstm schema prediction", "ulstm schema asyncapi")


def complete_name(incomplete: str) -> list[str]:
    """Return the names that begin with a text."""
    return [name for name in (*KINDS, ASYNCAPI) if name.startswith(incomplete)]


def schema_command(
    name: Annotated[
        str,
        typer.Argument(
            help="A record kind, or `asyncapi` for all topics; none lists them.",
            autocompletion=complete_name,
        ),
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Print the JSON Schema (draft 2020-12) of a record kind, or the AsyncAPI 3.0 document."""
    if name:
        document = asyncapi_document() if name == ASYNCAPI else record_schema(find_kind(name))
        print_json(document, indent=2)
    elif as_json:
        print_json([_describe(kind) for kind in KINDS.values()])
    else:
        PlainConsole().print(_table())


def _describe(kind: RecordKind) -> dict[str, Any]:
    schema = record_schema(kind)
    first, *_ = schema["description"].split("\n\n")
    return {
        "name": kind.name,
        "topic": kind.channel,
        "part": kind.part,
        "id": schema["$id"],
        "description": first,
    }


def _table() -> Table:
    table = Table("name", "topic", "what it describes")
    for kind in KINDS.values():
        found = _describe(kind)
        table.add_row(found["name"], found["topic"], found["description"])
    table.add_row(ASYNCAPI, "all", "All topics: keys, headers, messages and what they promise.")
    return table
