"""`ulstm baskets`: symbols that move together, as the log defines them."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer
from rich.table import Table

from services.cli.cli_options import AsJson
from services.cli.examples import examples
from services.cli.terminal import PlainConsole, print_json
from services.cli.topic_checks import open_deployment
from services.cli.trainer import First, Last, run_trainer
from shared.adapters.schemas.baskets import baskets_to_json
from shared.core.errors import Unknown
from shared.core.market import BasketDefinition
from shared.core.timestamps import format_timestamp
from shared.log.basket_store import BasketStore

app = typer.Typer(no_args_is_help=True)


@app.command("list", epilog=examples("ulstm baskets list", "ulstm baskets list --json"))
def list_command(context: typer.Context, as_json: AsJson = False) -> None:
    """List the definitions in the order of their publication; the last one is in force."""
    rows = [_summary_to_json(each) for each in _read_all(context.obj)]
    if as_json:
        print_json(rows, indent=2)
    else:
        PlainConsole().print(_definitions_table(rows))


@app.command("show", epilog=examples("ulstm baskets show", "ulstm baskets show 1a2b3c4d --json"))
def show_command(
    context: typer.Context,
    version: Annotated[
        str | None, typer.Argument(help="A version of `ulstm baskets list`; default: in force.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show the baskets of a definition, in the order of the candles' entries."""
    definition = _find(_read_all(context.obj), version)
    if as_json:
        print_json(baskets_to_json(definition), indent=2)
    else:
        PlainConsole().print(_baskets_table(definition))


@app.command("make", epilog=examples("ulstm baskets make", "ulstm baskets make --to 2025-01-31"))
def make_command(context: typer.Context, first: First = None, last: Last = None) -> None:
    """Make baskets of the archive and put them in force. Prints the version.

    They are made of the candles that a training would be fitted on now. A model that was trained
    with other baskets does not know these: train soon. Without this command, the trainer makes
    baskets when there are none, or when they are old (BASKETS_MAX_AGE_DAYS).
    """
    run_trainer(context, "baskets", topics=("klines",))


def _read_all(environ: Mapping[str, str]) -> list[BasketDefinition]:
    settings = open_deployment(environ, "models")
    return BasketStore(settings.kafka, settings.topics).all()


def _find(definitions: Sequence[BasketDefinition], version: str | None) -> BasketDefinition:
    for definition in reversed(definitions):
        if version in {None, definition.version}:
            return definition
    if version is None:
        raise Unknown("the log defines no baskets yet: train, or run `ulstm baskets make`")
    raise Unknown(f"the log defines no baskets {version}: choose one of `ulstm baskets list`")


def _summary_to_json(definition: BasketDefinition) -> dict[str, Any]:
    return {
        "version": definition.version,
        "baskets": len(definition.baskets),
        "symbols": len(definition.members),
        "made_from_ms": definition.made_from_ms,
        "made_through_ms": definition.made_through_ms,
    }


def _definitions_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    table = Table()
    for name in ("version", "", "baskets", "symbols", "made from", "made through"):
        table.add_column(name, no_wrap=True)
    for number, row in enumerate(rows, start=1):
        times = (format_timestamp(row[name]) for name in ("made_from_ms", "made_through_ms"))
        counts = (str(row["baskets"]), str(row["symbols"]))
        table.add_row(row["version"], "in force" if number == len(rows) else "", *counts, *times)
    return table


def _baskets_table(definition: BasketDefinition) -> Table:
    table = Table(title=f"baskets {definition.version}")
    table.add_column("basket", justify="right")
    table.add_column("symbols", overflow="fold")
    for number, members in enumerate(definition.baskets):
        table.add_row(str(number), " ".join(members))
    return table
