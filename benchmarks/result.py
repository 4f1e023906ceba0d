"""One measured figure beside its target and beside what a user would pick instead."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from rich.table import Table


@dataclass(frozen=True, slots=True)
class Peer:
    """What the figure is held against, measured in the same run, in the figure's unit."""

    name: str
    figure: float


@dataclass(frozen=True, slots=True)
class Result:
    """A figure; less is better, whatever the unit. None: it could not be measured, and the note says why."""

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
        held = []
        if self.at_most is not None and self.figure is not None:
            held.append(self.figure <= self.at_most)
        if self.least_ratio is not None and self.ratio is not None:
            held.append(self.ratio >= self.least_ratio)
        return all(held) if held else None

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
            ""
            if self.peer is None
            else f"{self.peer.name}: {_number(self.peer.figure)} {self.unit}",
            "" if self.ratio is None else f"{_number(self.ratio)}x",
            self.note,
        )

    def fields(self) -> dict[str, Any]:
        """Return the row as plain values."""
        return asdict(self) | {"ratio": self.ratio, "is_met": self.is_met}


HEADINGS = ("what", "figure", "target", "", "side by side", "ratio", "how")


def table_of(rows: Iterable[Result], title: str, caption: str) -> Table:
    """Return a table for the terminal."""
    table = Table(title=title, caption=caption, show_lines=True)
    for heading in HEADINGS:
        table.add_column(heading, justify="right" if heading in {"figure", "ratio"} else "left")
    for row in rows:
        style = {True: "green", False: "red", None: "default"}[row.is_met]
        cells = row.cells()
        table.add_row(*cells[:3], f"[{style}]{cells[3]}[/{style}]", *cells[4:])
    return table


def markdown_of(rows: Iterable[Result], caption: str) -> str:
    """Return the same table for a document, without what the figures' notes say."""
    headings = HEADINGS[:-1]
    lines = [f"| {' | '.join(headings)} |", f"|{' --- |' * len(headings)}"]
    lines += [f"| {' | '.join(row.cells()[:-1])} |" for row in rows]
    return "\n".join([*lines, "", caption, ""])


def _number(value: float | None) -> str:
    if value is None:
        return ""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"
