"""Variants of the trainer's settings, one row each, kept as JSON lines to resume from."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from rich.table import Table

from shared.core.evaluation.comparison import (
    CHALLENGER,
    CHALLENGER_FROZEN,
    CHALLENGER_RAW,
    Comparison,
)
from shared.core.evaluation.skill_score import Skill, skill_score

DEFAULT: Final = "default"
ONE_SET: Final = "one set of weights"

Settings = Mapping[str, str]

# The longer the window, the fewer windows an epoch draws, so that a variant takes some minutes on
# two processors. The original trains with dropout, which the kernel lacks and which is slow in
# Keras: here it trains without.
_LONG: Final = {"WINDOW_LENGTH": "288", "WINDOWS_PER_EPOCH": "50000"}
_ORIGINAL: Final = {"PRESET": "original", "DROPOUT": "0"}

VARIANTS: Final[dict[str, Settings]] = {
    DEFAULT: {},
    "window 32": {"WINDOW_LENGTH": "32"},
    "window 64, 100k windows an epoch": {"WINDOW_LENGTH": "64", "WINDOWS_PER_EPOCH": "100000"},
    "window 288, 50k windows an epoch": _LONG,
    "levels, window 288, 50k an epoch": {**_LONG, "FEATURE_SET": "levels"},
    "original": _ORIGINAL,
    "original, online rate 1e-5": {**_ORIGINAL, "ONLINE_RATE": "1e-5"},
    "online rate 1e-5": {"ONLINE_RATE": "1e-5"},
    "online rate 2e-4": {"ONLINE_RATE": "2e-4"},
    "online rate 1e-3": {"ONLINE_RATE": "1e-3"},
    "SGD 3e-4": {"ONLINE_OPTIMISER": "sgd", "ONLINE_RATE": "3e-4"},
    "squared error": {"HUBER_DELTA": "0"},
    "common move kept": {"COMMON_MOVE": "kept"},
    "not mirrored": {"MIRRORED": "false"},
    "LSTM(32) x 2": {"WIDTHS": "32,32"},
    "epoch chosen by loss": {"CHOOSE_BY": "loss"},
}
ALSO_WITH_ONE_SET: Final = (DEFAULT, "original", "original, online rate 1e-5")


@dataclass(frozen=True, slots=True)
class VariantScore:
    """The scores of one variant."""

    name: str
    scored: str  # the candles
    settings: Settings
    symbols: int
    updating: Skill | None
    raw: Skill | None
    frozen: Skill | None
    worst_symbol: str
    worst: float
    against_default: Skill | None = None  # of the updating, calibrated forecast
    seconds: float = 0.0
    # The default's squared errors at each moment, which later rows are compared with.
    errors: Sequence[float] = ()

    def cells(self) -> tuple[str, ...]:
        """Return the row's cells as text."""
        against = self.against_default
        return (
            self.name,
            *map(_interval, (self.updating, self.raw, self.frozen)),
            f"{self.worst_symbol} {_percent(self.worst)} %" if self.worst_symbol else "",
            "" if against is None else f"{_percent(against.value)} %",
            "" if against is None else f"{against.p:.2g}",
        )

    def line(self) -> str:
        """Return the row as one line of text."""
        head, *cells = self.cells()
        titles = ("updating", "raw", "frozen", "worst", "against the default", "p")
        named = zip(titles, cells, strict=True)
        text = ", ".join(f"{title} {cell}" for title, cell in named if cell)
        return f"{head}: {text} ({self.seconds:.0f} s)"


def variant_names(name: str) -> list[str]:
    """Return the names of a variant's rows.

    >>> variant_names("default")
    ['default', 'default, one set of weights']
    """
    return [name, f"{name}, {ONE_SET}"] if name in ALSO_WITH_ONE_SET else [name]


def variant_rows(
    name: str,
    comparison: Comparison,
    default: Sequence[float],
    scored: str,
    settings: Settings,
    seconds: float,
) -> Iterator[VariantScore]:
    """Yield the rows of a variant.

    Args:
        name: the variant.
        comparison: its forecasts.
        default: the default's squared errors at each moment; empty if they are unknown.
        scored: names the candles.
        settings: the variant's settings.
        seconds: how long it took.
    """
    reference = comparison.errors(CHALLENGER) if name == DEFAULT else np.array(default)
    contenders = ((CHALLENGER, CHALLENGER_RAW), (ONE_SET, raw_name(ONE_SET)))
    for row, (contender, raw) in zip(variant_names(name), contenders, strict=False):
        errors = comparison.errors(contender)
        is_comparable = row != DEFAULT and len(reference) == len(errors)
        worst, symbol = comparison.worst_symbol(contender) or (0.0, "")
        yield VariantScore(
            row,
            scored,
            settings,
            len(comparison.symbols),
            comparison.skill(contender),
            comparison.skill(raw),
            comparison.skill(CHALLENGER_FROZEN),
            symbol,
            worst,
            skill_score(errors, reference) if is_comparable else None,
            seconds,
            errors.tolist() if row == DEFAULT else (),
        )


def raw_name(contender: str) -> str:
    """Return the name of a contender's forecasts without calibration."""
    return f"{contender}, raw"


def variants_table(rows: Sequence[VariantScore], title: str) -> Table:
    """Return a table of the rows."""
    table = Table(
        title=title,
        caption="skill against zero change; p: probability of this gain over the default by chance",
    )
    table.add_column("variant")
    scores = ("updating, calibrated", "updating, raw", "frozen, calibrated")
    for column in (*scores, "worst symbol", "against the default", "p"):
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(*row.cells())
    return table


def read_rows(file: Path | None) -> list[VariantScore]:
    """Read the rows of a file; none if it does not exist.

    Raises:
        ValueError: a line is not a row.
    """
    if file is None or not file.exists():
        return []
    rows = []
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        try:
            rows.append(_row(json.loads(line)))
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(
                f"line {number} of {file} is not a row ({error}): delete it to measure it again"
            ) from error
    return rows


def append_rows(file: Path | None, rows: Iterable[VariantScore]) -> None:
    """Append rows to a file, if there is one."""
    if file is not None:
        with file.open("a", encoding="utf-8") as lines:
            lines.writelines(json.dumps(asdict(row)) + "\n" for row in rows)


def _row(fields: dict[str, Any]) -> VariantScore:
    skills = ("updating", "raw", "frozen", "against_default")
    return VariantScore(
        **{**fields, **{name: fields[name] and Skill(**fields[name]) for name in skills}}
    )


def _interval(found: Skill | None) -> str:
    if found is None:
        return ""
    return f"{_percent(found.value)} % ({_percent(found.low)} to {_percent(found.high)})"


def _percent(share: float) -> str:
    return f"{100 * share:+.3f}" if abs(share) < 1 else f"{100 * share:+,.0f}"
