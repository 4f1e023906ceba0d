"""`ulstm models`: the model versions in the log."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from services.cli.model_display import (
    build_card_table,
    build_versions_table,
    card_to_json,
    summary_to_json,
)
from services.cli.trainer import First, Last, Symbols, environment_from_options, run_trainer
from shared.adapters.env_settings import ServiceSettings
from shared.log.model_registry import ModelRegistry

app = typer.Typer(no_args_is_help=True)

Version = Annotated[str, typer.Argument(help="A version of `ulstm models list`.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


@app.command("list")
def list_command(context: typer.Context, as_json: AsJson = False) -> None:
    """List the model versions in the order of their publication."""
    registry = _registry(context.obj)
    current = registry.promotions.current()
    current_version = None if current is None else current.promotion.model_version
    rows = [summary_to_json(bundle, current_version) for bundle in registry.bundles.load_all()]
    if as_json:
        print(json.dumps(rows, indent=2))
    else:
        Console().print(build_versions_table(rows))


@app.command("show")
def show_command(context: typer.Context, version: Version, as_json: AsJson = False) -> None:
    """Show the card of a version: settings, history, scores."""
    bundle = _registry(context.obj).bundles.load(version)
    if as_json:
        print(json.dumps(card_to_json(bundle), indent=2))
    else:
        Console().print(build_card_table(bundle))


@app.command("promote")
def promote_command(context: typer.Context, version: Version) -> None:
    """Predict with this version from the next candle on, in every partition."""
    _registry(context.obj).promote(version)
    print(f"promoted {version}")


@app.command("rollback")
def rollback_command(context: typer.Context) -> None:
    """Promote the version that was promoted before the current one."""
    version = _registry(context.obj).rollback()
    print(f"promoted {version}")


@app.command("export")
def export_command(
    context: typer.Context,
    version: Version,
    file: Annotated[Path, typer.Argument(help="The .keras file to write.")],
) -> None:
    """Write a version as a .keras file; it takes scaled windows."""
    run_trainer(context.obj, "export", version, str(file))


@app.command("import")
def import_command(
    context: typer.Context,
    file: Annotated[
        Path, typer.Argument(help="A .keras file of the card's architecture.", exists=True)
    ],
    like: Annotated[
        str | None, typer.Option(help="The version whose card the weights get.")
    ] = None,
    scalers: Annotated[
        Path | None,
        typer.Option(
            help="A .csv or .json table of ranges, for a card of its own"
            " (docs/how-to/import-the-original.md)."
        ),
    ] = None,
    preset: Annotated[
        str, typer.Option(envvar="PRESET", help="Settings of a card of its own.")
    ] = "original",
    symbols: Symbols = None,
    first: First = None,
    last: Last = None,
) -> None:
    """Publish the weights of a .keras file as a version, not promoted. Prints the version.

    --from and --to are the first and last open time of its training; by default it counts as
    trained up to now.
    """
    card = {"--like": like, "--scalers": scalers}
    flags = [text for flag, v in card.items() if v is not None for text in (flag, str(v))]
    run_trainer(environment_from_options(context), "import", str(file), *flags)


def _registry(environ: Mapping[str, str]) -> ModelRegistry:
    settings = ServiceSettings.from_env(environ)
    return ModelRegistry(settings.kafka_bootstrap_servers, settings.topics)
