"""`ulstm search`: better settings for a model."""

from pathlib import Path
from typing import Annotated, Final

import typer

from services.cli.examples import examples
from services.cli.trainer import First, Last, Promote, Report, Symbols, run_trainer, setting

EXAMPLES: Final = examples(
    "ulstm search --hours 2", "ulstm search --minutes 30 --trials 20 --train"
)


def search_command(
    context: typer.Context,
    hours: Annotated[
        float | None, setting("SEARCH_HOURS", "Time budget of all starts together.")
    ] = None,
    minutes: Annotated[
        float | None, setting("SEARCH_MINUTES", "Added to the hours; 60 if neither is given.")
    ] = None,
    trials: Annotated[int | None, setting("SEARCH_TRIALS", "Trials, at most.")] = None,
    folder: Annotated[
        Path | None,
        setting(
            "SEARCH_FOLDER", "Keeps the search: the same command resumes. Default: .ulstm/search."
        ),
    ] = None,
    train: Annotated[
        bool,
        setting(
            "SEARCH_TRAIN", "Train the best settings at the end, as `ulstm train` does.", "--train"
        ),
    ] = False,
    first: First = None,
    last: Last = None,
    symbols: Symbols = None,
    seed: Annotated[
        int | None, setting("SEED", "Same seed and candles: same trials; default: 0.")
    ] = None,
    epochs: Annotated[
        int | None, setting("SEARCH_EPOCHS", "Epochs of a trial, at most; default: 8.")
    ] = None,
    windows: Annotated[
        int | None, setting("SEARCH_WINDOWS", "Drawn for an epoch of a trial; default: 100000.")
    ] = None,
    trial_minutes: Annotated[
        float | None,
        setting(
            "SEARCH_TRIAL_MINUTES", "Time of a trial, at most; default: a tenth of the budget."
        ),
    ] = None,
    with_dropout: Annotated[
        bool,
        setting(
            "SEARCH_DROPOUT",
            "Search dropout too: Keras fits those trials, slowly.",
            "--with-dropout",
        ),
    ] = False,
    promote: Promote = None,
    report: Report = None,
) -> None:
    """Search better settings by Bayesian optimisation, scored on the validation span.

    Writes them to a file. Interrupted at any time, the same command resumes.
    """
    run_trainer(context, "search", topics=("klines",))
