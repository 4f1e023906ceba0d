"""`ulstm search`: better settings for a model."""

from pathlib import Path
from typing import Annotated

import typer

from services.cli.commands.models import flags_of, run_trainer
from services.cli.commands.servers import DEFAULT_DATA


def search_command(
    context: typer.Context,
    hours: Annotated[float, typer.Option(min=0, help="The budget of time, over all starts.")] = 0.0,
    minutes: Annotated[
        float, typer.Option(min=0, help="Added to the hours; default: 60 if neither is given.")
    ] = 0.0,
    trials: Annotated[int | None, typer.Option(min=1, help="Try at most so many.")] = None,
    folder: Annotated[
        Path, typer.Option(help="Keeps the search: the same command goes on.")
    ] = Path(DEFAULT_DATA, "search"),
    train: Annotated[
        bool, typer.Option("--train", help="Train the best at the end, as `ulstm train` does.")
    ] = False,
    from_: Annotated[
        str | None, typer.Option("--from", help="First open time: ISO 8601 or ms.")
    ] = None,
    to: Annotated[str | None, typer.Option("--to", help="Last open time: ISO 8601 or ms.")] = None,
    symbols: Annotated[
        str | None, typer.Option(help="Comma-separated; default: all of the archive.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="The same seed, candles and trials: the same search.")
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Of a trial at most; default: 8.")
    ] = None,
    windows: Annotated[
        int | None, typer.Option(min=1, help="Drawn for an epoch of a trial; default: 100000.")
    ] = None,
    trial_minutes: Annotated[
        float | None,
        typer.Option(min=0.01, help="Of a trial at most; default: a tenth of the budget."),
    ] = None,
    with_dropout: Annotated[
        bool, typer.Option("--with-dropout", help="Try dropout too: Keras trains it, slowly.")
    ] = (False),
    promote: Annotated[
        str | None, typer.Option(help="With --train: better, always or never.")
    ] = None,
    report: Annotated[
        str | None, typer.Option(help="With --train: the model's report, a .html file.")
    ] = None,
) -> None:
    """Look for better settings by Bayesian optimisation, judged on the validation span; writes them to a file.

    Can be broken off at any time: the same command goes on.
    """
    given = {
        "--minutes": 60 * hours + minutes or None,
        "--trials": trials,
        "--folder": folder,
        "--from": from_,
        "--to": to,
        "--symbols": symbols,
        "--seed": seed,
        "--epochs": epochs,
        "--windows": windows,
        "--trial-minutes": trial_minutes,
        "--promote": promote,
        "--report": report,
    }
    switches = [
        name for name, is_on in {"--train": train, "--with-dropout": with_dropout}.items() if is_on
    ]
    run_trainer(context.obj, ["search", *flags_of(given), *switches])
