"""`ulstm search`: better settings for a model."""

from pathlib import Path
from typing import Annotated

import typer

from services.cli.trainer import (
    First,
    Last,
    Promote,
    Report,
    Symbols,
    environment_from_options,
    run_trainer,
)


def search_command(
    context: typer.Context,
    hours: Annotated[
        float | None,
        typer.Option(envvar="SEARCH_HOURS", help="Time budget of all starts together."),
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(envvar="SEARCH_MINUTES", help="Added to the hours; 60 if neither is given."),
    ] = None,
    trials: Annotated[
        int | None, typer.Option(envvar="SEARCH_TRIALS", help="Trials, at most.")
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option(
            envvar="SEARCH_FOLDER",
            help="Keeps the search: the same command resumes. Default: .ulstm/search.",
        ),
    ] = None,
    train: Annotated[
        bool,
        typer.Option(
            "--train",
            envvar="SEARCH_TRAIN",
            help="Train the best settings at the end, as `ulstm train` does.",
        ),
    ] = False,
    first: First = None,
    last: Last = None,
    symbols: Symbols = None,
    seed: Annotated[
        int | None,
        typer.Option(envvar="SEED", help="Same seed and candles: same trials; default: 0."),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(envvar="SEARCH_EPOCHS", help="Epochs of a trial, at most; default: 8."),
    ] = None,
    windows: Annotated[
        int | None,
        typer.Option(
            envvar="SEARCH_WINDOWS", help="Drawn for an epoch of a trial; default: 100000."
        ),
    ] = None,
    trial_minutes: Annotated[
        float | None,
        typer.Option(
            envvar="SEARCH_TRIAL_MINUTES",
            help="Time of a trial, at most; default: a tenth of the budget.",
        ),
    ] = None,
    with_dropout: Annotated[
        bool,
        typer.Option(
            "--with-dropout",
            envvar="SEARCH_DROPOUT",
            help="Search dropout too: Keras fits those trials, slowly.",
        ),
    ] = False,
    promote: Promote = None,
    report: Report = None,
) -> None:
    """Search better settings by Bayesian optimisation, scored on the validation span.

    Writes them to a file. Interrupted at any time, the same command resumes.
    """
    run_trainer(environment_from_options(context), "search")
