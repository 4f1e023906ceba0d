"""Progress displays on standard error."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

log = logging.getLogger(__name__)


class RateColumn(ProgressColumn):
    """Events per second."""

    def render(self, task: Task) -> Text:
        """Return the rate of the last half minute; empty before there is one."""
        return Text(f"{task.speed:,.0f}/s" if task.speed else "")


def progress_bar() -> Progress:
    """Return a progress display with rate and time left; its tasks have a field `note`.

    It is shown only if standard error is a terminal.
    """
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[note]}"),
        RateColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


@contextmanager
def track_count(text: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """Show the progress of some work; yields the callback that advances it by a count."""
    with progress_bar() as progress:
        task = progress.add_task(text, total=total, note="")

        def advance(count: int) -> None:
            progress.update(task, advance=count, note=f"{progress.tasks[0].completed + count:,.0f}")

        yield advance


class EpochProgress:
    """Shows the progress of a fit, and the losses of each epoch."""

    def __init__(self, progress: Progress, epochs: int) -> None:
        """Take the display, and the number of epochs at most."""
        self._progress, self._epochs = progress, epochs
        self._task = progress.add_task("", note="")

    def begin(self, epoch: int, batches: int) -> None:
        """Show that an epoch of so many batches begins, counted from 0."""
        total, done = self._epochs * batches, epoch * batches
        self._progress.update(
            self._task, total=total, description=f"epoch {epoch + 1}/{self._epochs}, batches"
        )
        if self._progress.tasks[0].completed != done:  # a fit that resumes
            self._progress.reset(self._task, total=total, completed=done)

    def advance(self, loss: float) -> None:
        """Show that a batch is done, with the mean loss of the epoch so far."""
        self._progress.update(self._task, advance=1, note=f"loss {loss:.5f}")

    def end(self, epoch: int, loss: float, validation_loss: float, *skill: float | None) -> None:
        """Print an epoch's losses, and its online skill if it was scored; log them elsewhere."""
        shown = ["none" if one is None else f"{one:+.4%}" for one in skill]
        line = ", ".join(
            [
                f"loss {loss:.5f}",
                f"validation {validation_loss:.5f}",
                *(f"online skill {s}" for s in shown),
            ]
        )
        self._progress.update(self._task, note=line)
        if self._progress.console.is_terminal:
            self._progress.console.print(f"epoch {epoch + 1}: {line}", highlight=False)
        else:
            log.info("epoch %d: %s", epoch + 1, line)


@contextmanager
def track_epochs(epochs: int) -> Iterator[EpochProgress]:
    """Show the progress of a fit; yields the callbacks of its epochs."""
    with progress_bar() as progress:
        yield EpochProgress(progress, epochs)
