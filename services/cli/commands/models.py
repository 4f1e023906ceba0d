"""`ulstm models`: the model versions in the log.

A card's scores and training fields are free-form JSON, which a foreign program may have written:
whatever has another shape than ours is not shown.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from math import isinf
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from services.cli.cli_options import AsJson
from services.cli.completion import complete_symbol, complete_version
from services.cli.examples import examples
from services.cli.terminal import PlainConsole, plain_text, print_json, print_text
from services.cli.topic_checks import open_deployment
from services.cli.trainer import First, Last, Symbols, run_trainer, setting
from shared.adapters.schemas.withdrawals import is_model_version
from shared.core.evaluation.comparison import CHALLENGER
from shared.core.model.card import Bundle
from shared.core.symbols import normalise_symbol
from shared.core.timestamps import format_timestamp
from shared.log.model_registry import ModelRegistry

app = typer.Typer(no_args_is_help=True)

Version = Annotated[
    str, typer.Argument(help="A version of `ulstm models list`.", autocompletion=complete_version)
]


@app.command("list", epilog=examples("ulstm models list", "ulstm models list --json"))
def list_command(context: typer.Context, as_json: AsJson = False) -> None:
    """List the model versions in the order of their publication."""
    registry = _registry(context.obj)
    current = registry.promotions.current()
    current_version = None if current is None else current.promotion.model_version
    rows = [_summary_to_json(bundle, current_version) for bundle in registry.bundles.load_all()]
    if as_json:
        print_json(rows, indent=2)
    else:
        PlainConsole().print(_versions_table(rows))


@app.command(
    "show",
    epilog=examples(
        "ulstm models show 20250131T2355-9f2c41d7",
        "ulstm models show 20250131T2355-9f2c41d7 --json",
    ),
)
def show_command(context: typer.Context, version: Version, as_json: AsJson = False) -> None:
    """Show the card of a version: settings, history, scores."""
    bundle = _registry(context.obj).bundles.load(version)
    if as_json:
        print_json(_card_to_json(bundle), indent=2)
    else:
        PlainConsole().print(_card_table(bundle))


@app.command("promote", epilog=examples("ulstm models promote 20250131T2355-9f2c41d7"))
def promote_command(context: typer.Context, version: Version, as_json: AsJson = False) -> None:
    """Predict with this version from the next candle on, in every partition."""
    _registry(context.obj).promote(version)
    _print_promoted(version, as_json=as_json)


@app.command("rollback", epilog=examples("ulstm models rollback", "ulstm models rollback --json"))
def rollback_command(context: typer.Context, as_json: AsJson = False) -> None:
    """Promote the version that was promoted before the current one."""
    _print_promoted(_registry(context.obj).rollback(), as_json=as_json)


@app.command(
    "withdraw",
    epilog=examples(
        "ulstm models withdraw 20250131T2355-9f2c41d7 --reason mistake",
    ),
)
def withdraw_command(
    context: typer.Context,
    version: Annotated[str, typer.Argument(help="A version that was promoted and never came.")],
    reason: Annotated[str, typer.Option(help="Why, as the dead letters will repeat it.")],
    as_json: AsJson = False,
) -> None:
    """End the wait for a version that was promoted and is not in the log.

    Predictors reject its promotion, and the model before goes on. A version that is in the log can
    be rolled back, not withdrawn.
    """
    if not is_model_version(version):
        raise typer.BadParameter(f"{version!r} is no model version: letters, digits and ._- only")
    _registry(context.obj).withdraw(version, reason)
    if as_json:
        print_json({"withdrawn": version})
    else:
        print_text(f"withdrew {version}")


@app.command(
    "export",
    epilog=examples(
        "ulstm models export 20250131T2355-9f2c41d7 model.keras",
        "ulstm models export --symbol BTCUSDT btcusdt.keras",
    ),
)
def export_command(
    context: typer.Context,
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="[VERSION] FILE",
            help="A version, unless --symbol is given; the .keras file.",
            autocompletion=complete_version,
        ),
    ],
    symbol: Annotated[
        str | None,
        typer.Option(
            help="Export what its weights have become, such as BTCUSDT.",
            autocompletion=complete_symbol,
        ),
    ] = None,
) -> None:
    """Write a version, or a symbol's live weights, as a .keras file; it takes scaled windows.

    The live weights are those at the end of the log, under the version promoted last.
    """
    *version, file = names
    chosen = ["--symbol", normalise_symbol(symbol)] if symbol else ["--version", *version]
    if len(version) != (0 if symbol else 1):
        raise typer.BadParameter("wanted: VERSION FILE, or --symbol SYMBOL FILE")
    run_trainer(context, "export", file, *chosen, topics=("klines", "models"))


@app.command(
    "import",
    epilog=examples(
        "ulstm models import model.keras --like 20250131T2355-9f2c41d7",
        "ulstm models import model.keras --scalers ranges.csv --to 2025-01-31",
    ),
)
def import_command(
    context: typer.Context,
    file: Annotated[
        Path, typer.Argument(help="A .keras file of the card's architecture.", exists=True)
    ],
    like: Annotated[
        str | None,
        typer.Option(
            help="The version whose card the weights get.", autocompletion=complete_version
        ),
    ] = None,
    scalers: Annotated[
        Path | None,
        typer.Option(
            help="A .csv or .json table of ranges, for a card of its own"
            " (docs/how-to/import-the-original.md)."
        ),
    ] = None,
    preset: Annotated[str, setting("PRESET", "Settings of a card of its own.")] = "original",
    symbols: Symbols = None,
    first: First = None,
    last: Last = None,
) -> None:
    """Publish the weights of a .keras file as a version, not promoted. Prints the version.

    --from and --to are the first and last open time of its training; by default it counts as
    trained up to now.
    """
    if (like is None) == (scalers is None):
        raise typer.BadParameter("a card needs --like VERSION or --scalers FILE: give one of them")
    card = {"--like": like, "--scalers": scalers}
    flags = [text for flag, v in card.items() if v is not None for text in (flag, str(v))]
    run_trainer(context, "import", str(file), *flags)


def _print_promoted(version: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"promoted": version})
    else:
        print_text(f"promoted {version}")


def _registry(environ: Mapping[str, str]) -> ModelRegistry:
    settings = open_deployment(environ, "models", "klines")
    return ModelRegistry(settings.kafka, settings.topics)


def _summary_to_json(bundle: Bundle, current_version: str | None) -> dict[str, Any]:
    """Return a version's row of `ulstm models list`."""
    card = bundle.card
    symbols = card.training.get("symbols")
    return {
        "version": bundle.version,
        "current": bundle.version == current_version,
        "trained_from_ms": card.trained_from_ms,
        "trained_through_ms": card.trained_through_ms,
        "parent": card.parent,
        "symbols": len(symbols if isinstance(symbols, list) else card.scalers),
        "skill": _skills(card.scores).get(CHALLENGER),
        "bundle_sha256": bundle.sha256,
    }


def _versions_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """Return the rows of `ulstm models list` as a table."""
    table = Table()
    for name in ("version", "", "symbols", "skill", "parent"):
        table.add_column(name, no_wrap=name != "skill")  # users copy the versions
    for row in rows:
        table.add_row(
            plain_text(row["version"]),
            "current" if row["current"] else "",
            str(row["symbols"]),
            _percent(row["skill"]),
            plain_text(row["parent"] or ""),
        )
    return table


def _card_to_json(bundle: Bundle) -> dict[str, Any]:
    """Return a bundle's card with its version and digest."""
    fields = {"version": bundle.version, "bundle_sha256": bundle.sha256, **asdict(bundle.card)}
    if isinf(bundle.card.huber_delta):
        fields["huber_delta"] = None  # JSON has no infinity
    return fields


def _card_table(bundle: Bundle) -> Table:
    """Return a bundle's card as a table; the scalers are left out, as they are many."""
    table = Table(show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in _card_to_json(bundle).items():
        if name == "scores":
            for row in _describe_scores(bundle.card.scores):
                table.add_row(*map(plain_text, row))
        elif name != "scalers":
            table.add_row(*map(plain_text, _describe_field(name, value)))
    return table


def _describe_field(name: str, value: object) -> tuple[str, str]:
    label = name.replace("_", " ")
    if name.endswith("_ms") and isinstance(value, int):
        return label.removesuffix(" ms"), format_timestamp(value)
    if isinstance(value, Mapping):
        # `ulstm baskets show` has a definition of baskets; it is long.
        shown = {key: part for key, part in value.items() if key != "baskets"}
        return label, ", ".join(f"{key} {part}" for key, part in shown.items())
    return label, str(value)


def _describe_scores(scores: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for forecast, skill in _skills(scores).items():
        yield f"skill, {forecast}", _percent(skill)
    decision = _mapping(scores.get("decision"))
    if decision:
        is_promoted = decision.get("promote") is True
        yield "promoted" if is_promoted else "not promoted", str(decision.get("reason", ""))


def _skills(scores: Mapping[str, Any]) -> dict[str, float | None]:
    """Return the skill against zero change of each forecast in a card's scores."""
    skills: dict[str, float | None] = {}
    for forecast, fields in _mapping(scores.get("forecasts")).items():
        value = _mapping(_mapping(fields).get("skill")).get("value")
        skills[str(forecast)] = value if isinstance(value, float) else None
    return skills


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _percent(skill: float | None) -> str:
    return "" if skill is None else f"{100 * skill:+.3f} %"
