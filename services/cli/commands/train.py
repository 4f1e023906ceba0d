"""`ulstm train`: one training on the archived candles."""

from typing import Annotated, Final

import typer

from services.cli.examples import examples
from services.cli.trainer import First, Last, Promote, Report, Symbols, run_trainer, setting

EXAMPLES: Final = examples(
    "ulstm train --report report.html", "ulstm train --from 2024-01-01 --epochs 5 --promote never"
)


def train_command(
    context: typer.Context,
    first: First = None,
    last: Last = None,
    symbols: Symbols = None,
    epochs: Annotated[int | None, setting("EPOCHS", "Epochs, at most; default: 10.")] = None,
    windows: Annotated[
        int | None, setting("WINDOWS_PER_EPOCH", "Windows drawn for an epoch; default: 250000.")
    ] = None,
    promote: Promote = None,
    report: Report = None,
) -> None:
    """Train a model version, score it, and promote it if it is better. Prints the version.

    Interrupted and started again with the same settings, it resumes (CHECKPOINTS).
    """
    run_trainer(context, "fit", topics=("klines",))
