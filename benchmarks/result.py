"""A measured figure with its target and its peer, the tool a user would choose instead."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.table import Table

from shared.reporting.charts import bar_chart


@dataclass(frozen=True, slots=True)
class Peer:
    """The peer's figure, measured in the same run, in the same unit."""

    name: str
    figure: float


@dataclass(frozen=True, slots=True)
class Result:
    """A figure of which less is better; None with the reason as its note if there is none."""

    what: str
    figure: float | None
    unit: str
    at_most: float | None = None  # target, in the unit
    least_ratio: float | None = None  # target: the peer's figure over ours
    peer: Peer | None = None
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """The peer's figure over ours: above 1, ours is better."""
        return None if self.peer is None or not self.figure else self.peer.figure / self.figure

    @property
    def is_met(self) -> bool | None:
        """Whether every target is met; None if there is none, or no figure."""
        targets = []
        if self.at_most is not None and self.figure is not None:
            targets.append(self.figure <= self.at_most)
        if self.least_ratio is not None and self.ratio is not None:
            targets.append(self.ratio >= self.least_ratio)
        return all(targets) if targets else None

    def cells(self) -> tuple[str, ...]:
        """Return the row as text: figure, target, met or not, peer, ratio, note."""
        wanted = [f"<= {_number(self.at_most)} {self.unit}"] if self.at_most is not None else []
        wanted += [f">= {_number(self.least_ratio)}x"] if self.least_ratio is not None else []
        met = {True: "met", False: "missed", None: ""}[self.is_met]
        return (
            self.what,
            "not measured" if self.figure is None else f"{_number(self.figure)} {self.unit}",
            "; ".join(wanted),
            met,
            f"{self.peer.name}: {_number(self.peer.figure)} {self.unit}" if self.peer else "",
            "" if self.ratio is None else f"{_number(self.ratio)}x",
            self.note,
        )

    def fields(self) -> dict[str, Any]:
        """Return the row as plain values."""
        return asdict(self) | {"ratio": self.ratio, "is_met": self.is_met}


HEADINGS = ("what", "figure", "target", "", "side by side", "ratio", "how")


def results_table(rows: Iterable[Result], title: str, caption: str) -> Table:
    """Return a table for the terminal."""
    table = Table(title=title, caption=caption, show_lines=True)
    for heading in HEADINGS:
        table.add_column(heading, justify="right" if heading in {"figure", "ratio"} else "left")
    for row in rows:
        style = {True: "green", False: "red", None: "default"}[row.is_met]
        cells = row.cells()
        table.add_row(*cells[:3], f"[{style}]{cells[3]}[/{style}]", *cells[4:])
    return table


def to_markdown(rows: Iterable[Result], caption: str) -> str:
    """Return the same table for a document, without the notes."""
    headings = HEADINGS[:-1]
    lines = [f"| {' | '.join(headings)} |", f"|{' --- |' * len(headings)}"]
    lines += [f"| {' | '.join(row.cells()[:-1])} |" for row in rows]
    return "\n".join([*lines, "", caption, ""])


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def draw_bars(title: str, results: Sequence[Result]) -> str:
    """Draw figures above zero as an SVG document; empty if there are none.

    What all of them measure, before the comma of their names, is left to the title.
    """
    rows = [
        (one.what.partition(", ")[2], one.figure, f"{one.figure:.3g} {one.unit}")
        for one in results
        if one.figure
    ]
    if not rows:
        return ""
    # A document of its own, unlike an element of a page, has to name its namespace.
    namespace = 'xmlns="http://www.w3.org/2000/svg"'
    return bar_chart(title, rows).replace("<svg ", f"<svg {namespace} ", 1) + "\n"
