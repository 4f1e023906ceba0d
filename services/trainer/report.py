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
