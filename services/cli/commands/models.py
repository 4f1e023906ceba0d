"""`ulstm models …` and `ulstm train`: the registry in the log."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from math import isinf
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from services.cli.commands.servers import DEFAULT_DATA
from shared.adapters.env_settings import ServiceSettings
from shared.core.errors import BadSetting, UlstmError
from shared.core.evaluation.comparison import CANDIDATE, skill_of
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
    run_trainer(context.obj, ["export", version, str(file)])


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
            help="A .csv or .json table of ranges: a card of its own (docs/how-to/import-the-original.md)."
        ),
    ] = None,
    preset: Annotated[
        str | None, typer.Option(help="Settings of a card of its own; default: original.")
    ] = None,
    symbols: Annotated[
        str | None, typer.Option(help="Comma-separated; default: all of the table.")
    ] = None,
    from_: Annotated[
        str | None, typer.Option("--from", help="First open time it was trained on.")
    ] = None,
    to: Annotated[
        str | None, typer.Option(help="Last open time it was trained on; default: now.")
    ] = None,
) -> None:
    """Publish the weights of a .keras file as a new version, which is not promoted. Prints the version."""
    given = {
        "--like": like,
        "--scalers": scalers,
        "--preset": preset,
        "--symbols": symbols,
        "--from": from_,
        "--to": to,
    }
    run_trainer(context.obj, ["import", str(file), *flags_of(given)])


def train_command(
    context: typer.Context,
    from_: Annotated[
        str | None, typer.Option("--from", help="First open time: ISO 8601 or ms.")
    ] = None,
    to: Annotated[str | None, typer.Option("--to", help="Last open time: ISO 8601 or ms.")] = None,
    symbols: Annotated[
        str | None, typer.Option(help="Comma-separated; default: all of the archive.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(min=1)] = None,
    windows: Annotated[int | None, typer.Option(min=1, help="Windows drawn for an epoch.")] = None,
    promote: Annotated[str | None, typer.Option(help="better, always or never.")] = None,
    report: Annotated[
        str | None, typer.Option(help="Write the model's report to this .html file.")
    ] = None,
) -> None:
    """Train a model version on the archived candles, score it, and promote it if it is better.

    Ended in the midst and started again with the same settings, it goes on where it was (CHECKPOINTS).
    """
    given = {
        "--from": from_,
        "--to": to,
        "--symbols": symbols,
        "--epochs": epochs,
        "--windows": windows,
        "--promote": promote,
        "--report": report,
    }
    run_trainer(context.obj, ["fit", *flags_of(given)])


def flags_of(given: Mapping[str, object]) -> list[str]:
    """Return the flags that are given, as arguments."""
    return [
        text for flag, value in given.items() if value is not None for text in (flag, str(value))
    ]


def _registry(environ: Mapping[str, str]) -> ModelRegistry:
    settings = ServiceSettings.from_env(environ)
    return ModelRegistry(settings.kafka_bootstrap_servers, settings.topics)


def run_trainer(environ: Mapping[str, str], arguments: list[str]) -> None:
    """Run the trainer as a process of its own: it alone carries TensorFlow. It is told what signals tell us to stop."""
    environ = {"CHECKPOINTS": f"{DEFAULT_DATA}/training", **environ}
    process = subprocess.Popen([sys.executable, "-m", "services.trainer", *arguments], env=environ)
    stops = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, lambda told, _: process.send_signal(told)) for number in stops]
    try:
        code = process.wait()
    finally:
        for number, handler in zip(stops, before, strict=True):
            signal.signal(number, handler)
    if code:
        raise typer.Exit(code if code in {1, 2} else 1)


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
    card, found = bundle.card, skill_of(bundle.card.scores, CANDIDATE)
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
                found = skill_of(value, forecast)
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
