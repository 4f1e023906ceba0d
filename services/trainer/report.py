"""What the trainer shows: progress while it works, a table when it is done."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from services.trainer.evaluate import ScoresBySymbol, pooled, relative_error

# Errors are relative to those of the forecast "no change"; skill is 1 - relative squared error.
_FIGURES = ("predictions", "squared error", "skill", "absolute error", "sign right")


def progress_bar() -> Progress:
    """Return a progress display on standard error whose tasks carry a `note`."""
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[note]}"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


@contextmanager
def counting(text: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """Show how far some work is; yields what to tell it."""
    with progress_bar() as progress:
        task = progress.add_task(text, total=total, note="")

        def advance(count: int) -> None:
            progress.update(task, advance=count, note=f"{progress.tasks[0].completed + count:,.0f}")

        yield advance


class EpochProgress:
    """Shows how far an epoch is, and its losses once it is over."""

    def __init__(self, progress: Progress, epochs: int) -> None:
        """Take the display and how many epochs there are at most."""
        self._progress, self._epochs = progress, epochs
        self._task = progress.add_task("", note="")

    def begin(self, epoch: int, batches: int) -> None:
        """Show that an epoch begins, counted from 0."""
        self._progress.reset(self._task, total=batches, description=f"epoch {epoch + 1}/{self._epochs}")

    def advance(self, loss: float) -> None:
        """Show that a batch is done, with the mean loss so far."""
        self._progress.update(self._task, advance=1, note=f"loss {loss:.5f}")

    def end(self, epoch: int, loss: float, validation_loss: float) -> None:
        """Write an epoch's losses into a line that stays."""
        losses = f"loss {loss:.5f}, validation {validation_loss:.5f}"
        self._progress.update(self._task, note=losses)
        self._progress.console.print(f"epoch {epoch + 1}: {losses}", highlight=False)


@contextmanager
def counting_epochs(epochs: int) -> Iterator[EpochProgress]:
    """Show how far a fit is; yields what to tell it."""
    with progress_bar() as progress:
        yield EpochProgress(progress, epochs)


def result_table(contest: Mapping[str, ScoresBySymbol]) -> Table:
    """Return the table of a contest: forecasts by name, each over the same held-out candles."""
    table = Table(title="Held-out candles, each predicted before it was learnt from. Errors: zero change is 1")
    table.add_column("forecast")
    for column in _FIGURES:
        table.add_column(column, justify="right")
    for name, scores in contest.items():
        table.add_row(name, *_figures(scores))
    table.add_row("zero change", str(_predictions(contest)), "1.00000", "+0.000 %", "1.00000", "")
    return table


def _figures(scores: ScoresBySymbol) -> list[str]:
    total, error = pooled(scores), relative_error(scores)
    if error is None or not total.absolute_error_zero:
        return [str(total.n), "", "", "", ""]
    return [
        str(total.n),
        f"{error:.5f}",
        f"{100 * (1 - error):+.3f} %",
        f"{total.absolute_error / total.absolute_error_zero:.5f}",
        f"{100 * total.sign_hits / total.moves:.1f} %" if total.moves else "",
    ]


def _predictions(contest: Mapping[str, ScoresBySymbol]) -> int:
    return max((pooled(scores).n for scores in contest.values()), default=0)
