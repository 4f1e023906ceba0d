"""`ulstm models …`: the registry in the log."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from math import isinf
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from services.cli.trainer import First, Last, Symbols, environment_from_options, run_trainer
from shared.adapters.env_settings import ServiceSettings
from shared.core.errors import BadSetting, UlstmError
from shared.core.evaluation.comparison import CHALLENGER
from shared.core.evaluation.skill_score import skill_from_scores
from shared.core.model.card import Bundle
from shared.core.timestamps import format_timestamp
from shared.log.model_registry import ModelRegistry

app = typer.Typer(
    help="Model versions: list, show, promote, roll back, export, import.", no_args_is_help=True
)

Version = Annotated[str, typer.Argument(help="A version of `ulstm models list`.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


@app.command("list")
def list_versions(context: typer.Context, as_json: AsJson = False) -> None:
    """List the model versions in the order of their publication."""
    with _refusals():
        registry = _registry(context.obj)
        placed = registry.promotions.current()
        current = None if placed is None else placed.promotion.model_version
        rows = [_summary(bundle, current) for bundle in registry.bundles.load_all()]
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
    else:
        _print_versions(rows)


@app.command()
def show(context: typer.Context, version: Version, as_json: AsJson = False) -> None:
    """Show a version's card: settings, history, scores."""
    with _refusals():
        bundle = _registry(context.obj).bundles.load(version)
    card = {"version": bundle.version, "bundle_sha256": bundle.sha256, **asdict(bundle.card)}
    if isinf(bundle.card.huber_delta):
        card["huber_delta"] = None  # JSON has no infinity
    if as_json:
        typer.echo(json.dumps(card, indent=2))
        return
    table = Table(show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in _readable(card):
        table.add_row(name, value)
    Console().print(table)


@app.command()
def promote(context: typer.Context, version: Version) -> None:
    """Predict with this version from the next candle on, in every symbol group."""
    with _refusals():
        _registry(context.obj).promote(version)
    typer.echo(f"promoted {version}")


@app.command()
def rollback(context: typer.Context) -> None:
    """Promote the version that was promoted before the current one."""
    with _refusals():
        version = _registry(context.obj).rollback()
    typer.echo(f"promoted {version}")


@app.command("export")
def export_version(
    context: typer.Context,
    version: Version,
    file: Annotated[Path, typer.Argument(help="The .keras file to write.")],
) -> None:
    """Write a version as a .keras file; it takes scaled windows."""
    run_trainer(context.obj, "export", version, str(file))


@app.command("import")
def import_version(
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


@contextmanager
def _refusals() -> Iterator[None]:
    """Turn our errors into a message and an exit code: 2 for wrong use, 1 for what failed."""
    try:
        yield
    except BadSetting as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error
    except UlstmError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error


def _summary(bundle: Bundle, current: str | None) -> dict[str, Any]:
    card, found = bundle.card, skill_from_scores(bundle.card.scores, CHALLENGER)
    return {
        "version": bundle.version,
        "current": bundle.version == current,
        "trained_from_ms": card.trained_from_ms,
        "trained_through_ms": card.trained_through_ms,
        "parent": card.parent,
        "symbols": len(card.training.get("symbols", card.scalers)),
        "skill": None if found is None else found.value,
        "bundle_sha256": bundle.sha256,
    }


def _print_versions(rows: list[dict[str, Any]]) -> None:
    table = Table()
    for name in ("version", "", "symbols", "skill", "made while in use"):
        table.add_column(name, no_wrap=name != "skill")  # versions are there to be copied
    for row in rows:
        table.add_row(
            row["version"],
            "current" if row["current"] else "",
            str(row["symbols"]),
            _percent(row["skill"]),
            row["parent"] or "",
        )
    Console().print(table)


def _readable(card: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in card.items():
        if name == "scalers":
            continue
        elif name == "scores":
            for forecast in value.get("forecasts", {}):
                found = skill_from_scores(value, forecast)
                yield f"skill, {forecast}", "" if found is None else _percent(found.value)
            decision = value.get("decision")
            if decision:
                yield "promoted" if decision["promote"] else "not promoted", decision["reason"]
        elif name.endswith("_ms"):
            yield name.removesuffix("_ms").replace("_", " "), format_timestamp(value)
        elif isinstance(value, Mapping):
            yield name, ", ".join(f"{key} {part}" for key, part in value.items())
        else:
            yield name.replace("_", " "), str(value)


def _percent(skill: float | None) -> str:
    return "" if skill is None else f"{100 * skill:+.3f} %"
