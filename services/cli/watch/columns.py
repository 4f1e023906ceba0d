"""The columns of a live table: as many as the terminal has room for, at least those of 80."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from services.cli.watch.board import WatchRow
from services.cli.watch.recent_outcomes import FEWEST
from shared.core.online.prediction import Prediction
from shared.core.online.scores import Scores
from shared.core.timestamps import format_timestamp

SHOWN_COVERAGE: Final = 90  # per cent, of the bounds in the table
GAP: Final = 1  # between columns

# Okabe and Ito (2008): colour-blind people can tell them apart; shapes say the same.
UP: Final = "#56b4e9"
DOWN: Final = "#e69f00"
DIM: Final = "dim"
_TROUBLE: Final = "bold #d55e00"

SortKey: TypeAlias = float | str


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the live table."""

    title: str
    width: int  # cells
    text: Callable[[WatchRow], str]
    sort_key: Callable[[WatchRow], SortKey]
    style: Callable[[WatchRow], str] = lambda _: ""
    is_left: bool = False


def choose_columns(width: int) -> list[Column]:
    """Return the columns that fit into a width in cells, those of an 80-column terminal always."""
    chosen = list(COLUMNS)
    used = sum(column.width + GAP for column in chosen) - GAP
    for column in WIDE_COLUMNS:
        used += column.width + GAP
        if used > width:
            break
        chosen.append(column)
    return chosen


def sort_rows(rows: Iterable[WatchRow], column: Column, *, is_reversed: bool) -> list[WatchRow]:
    """Return the rows in the order of a column; those that have nothing there come last."""
    ordered = sorted(rows, key=lambda row: row.symbol)
    empty = [row for row in ordered if not column.text(row)]
    filled = [row for row in ordered if column.text(row)]
    return [*sorted(filled, key=column.sort_key, reverse=is_reversed), *empty]


def filter_rows(rows: Iterable[WatchRow], text: str) -> list[WatchRow]:
    """Return the rows whose symbol or standing contains a text, whatever its capitals."""
    wanted = text.strip().upper()
    return [row for row in rows if wanted in f"{row.symbol} {row.standing}".upper()]


def describe_standing(row: WatchRow) -> str:
    """Return a symbol's standing in a word, with the candles it is behind."""
    return f"{row.standing} {row.behind}" if row.standing == "late" else row.standing


def describe_hit(row: WatchRow) -> str:
    """Return whether the last forecast hit, as a shape and a word."""
    return {True: "▲ hit", False: "▽ miss", None: ""}[row.last_hit]


def describe_skill(row: WatchRow) -> str:
    """Return the skill in per cent and half of its 95 % interval.

    Without an interval: that since the promotion with its number of outcomes, from twelve on.
    """
    if row.skill is not None:
        value, half = 100 * row.skill.value, 50 * (row.skill.high - row.skill.low)
        digits = 2 if max(abs(value), half) < 10 else 1
        return f"{value:+.{digits}f}±{half:.{digits}f}%"
    scores = Scores() if row.prediction is None else row.prediction.scores
    skill, count = scores.calibrated_skill(), _describe_count(scores.n)
    if not scores.n:
        return ""
    return f"n{count}" if skill is None or scores.n < FEWEST else f"{100 * skill:+.2f}% n{count}"


def _describe_count(count: int) -> str:
    return str(count) if count < 10_000 else f"{count / 1000:.0f}k"


def describe_bounds(prediction: Prediction) -> str:
    """Return the bounds that hold the next change nine times in ten, in per cent."""
    for one in prediction.intervals:
        if one.coverage == SHOWN_COVERAGE:
            return f"{100 * one.lower_change:+.2f} to {100 * one.upper_change:+.2f}%"
    return ""


def describe_change(prediction: Prediction) -> str:
    """Return the calibrated change in per cent, with an asterisk if it is actionable."""
    return f"{100 * prediction.calibrated_change:+.3f}%{'*' if prediction.actionable else ' '}"


def _of_prediction(describe: Callable[[Prediction], str]) -> Callable[[WatchRow], str]:
    return lambda row: "" if row.prediction is None else describe(row.prediction)


def _number(read: Callable[[Prediction], float]) -> Callable[[WatchRow], float]:
    return lambda row: 0.0 if row.prediction is None else read(row.prediction)


def _width_of_bounds(prediction: Prediction) -> float:
    bounds = (one for one in prediction.intervals if one.coverage == SHOWN_COVERAGE)
    return next((one.upper_change - one.lower_change for one in bounds), 0.0)


def _skill(row: WatchRow) -> float:
    if row.skill is not None:
        return row.skill.value
    scores = Scores() if row.prediction is None else row.prediction.scores
    return (scores.calibrated_skill() or 0.0) if scores.n >= FEWEST else 0.0


def _covered(prediction: Prediction) -> float:
    scores = prediction.interval_scores
    shares = dict(zip((one.coverage for one in prediction.intervals), scores.covered, strict=False))
    return shares.get(SHOWN_COVERAGE, 0) / scores.n if scores.n else 0.0


def _hit_rate(prediction: Prediction) -> float:
    scores = prediction.scores
    return scores.sign_hits / scores.moves if scores.moves else 0.0


def _share(value: float) -> str:
    return f"{100 * value:.1f}%" if value else ""


def _hit_style(row: WatchRow) -> str:
    return {True: UP, False: DOWN, None: ""}[row.last_hit]


def _change_style(row: WatchRow) -> str:
    change = row.prediction.calibrated_change if row.prediction else 0.0
    return UP if change > 0 else DOWN if change < 0 else ""


def _standing_style(row: WatchRow) -> str:
    return {"live": DIM, "late": _TROUBLE, "halted": _TROUBLE}.get(row.standing, DIM)


COLUMNS: Final[Sequence[Column]] = (
    Column("symbol", 12, lambda row: row.symbol, lambda row: row.symbol, is_left=True),
    Column("close", 10, _of_prediction(lambda p: f"{p.close:.8g}"), _number(lambda p: p.close)),
    Column(
        "next",
        9,
        _of_prediction(describe_change),
        _number(lambda p: p.calibrated_change),
        _change_style,
    ),
    Column("90% bounds", 16, _of_prediction(describe_bounds), _number(_width_of_bounds)),
    Column("last", 6, describe_hit, lambda row: row.last_hit is not True, _hit_style, is_left=True),
    Column("skill", 12, describe_skill, _skill),
    Column(
        "standing",
        8,
        describe_standing,
        lambda row: -row.behind if row.standing == "live" else -row.behind - 1,
        _standing_style,
        is_left=True,
    ),
)
WIDE_COLUMNS: Final[Sequence[Column]] = (
    Column(
        "next close",
        11,
        _of_prediction(lambda p: f"{p.calibrated_close:.8g}"),
        _number(lambda p: p.calibrated_close),
    ),
    Column("hits", 6, _of_prediction(lambda p: _share(_hit_rate(p))), _number(_hit_rate)),
    Column("within", 6, _of_prediction(lambda p: _share(_covered(p))), _number(_covered)),
    Column("steps", 8, _of_prediction(lambda p: f"{p.steps:,}"), _number(lambda p: p.steps)),
    Column(
        "opens (UTC)",
        20,
        _of_prediction(lambda p: format_timestamp(p.open_time_ms)),
        _number(lambda p: p.open_time_ms),
    ),
    Column(
        "model",
        24,
        _of_prediction(lambda p: p.model_version),
        lambda row: "" if row.prediction is None else row.prediction.model_version,
        is_left=True,
    ),
)
