"""The columns of a live table: what they show, in which order, how wide."""

from dataclasses import replace

import pytest

from services.cli.terminal import PlainConsole
from services.cli.watch.board import WatchRow
from services.cli.watch.columns import (
    COLUMNS,
    WIDE_COLUMNS,
    choose_columns,
    describe_standing,
    filter_rows,
    sort_rows,
)
from services.cli.watch.lines import prediction_line
from services.cli.watch.table import heading_line, live_table, row_line
from shared.core.evaluation.skill_score import Skill
from shared.core.online.prediction import Prediction
from shared.core.online.scores import Scores
from tests.support.builders import a_model, a_promotion, a_walk, candles, fold_all

NAMES = [column.title for column in COLUMNS]


def a_prediction() -> Prediction:
    model = a_model()
    _, predictions = fold_all([a_promotion(model), *candles(a_walk(60))], {model.version: model})
    return replace(predictions[-1], calibrated_change=0.00012, actionable=True)


def a_row(symbol: str = "BTCUSDT", change: float = 0.001) -> WatchRow:
    prediction = replace(a_prediction(), symbol=symbol, calibrated_change=change)
    skill = Skill(0.0123, -0.01, 0.0346, 0.01, 288)
    return WatchRow(symbol, "live", 0, prediction, skill)


def shown(row: WatchRow) -> dict[str, str]:
    return {column.title: column.text(row) for column in (*COLUMNS, *WIDE_COLUMNS)}


def test_a_row_shows_bounds_skill_and_how_sure_it_is() -> None:
    row = a_row()
    assert row.prediction is not None
    interval = row.prediction.intervals[2]

    cells = shown(row)

    lower, upper = 100 * interval.lower_change, 100 * interval.upper_change
    assert cells["90% bounds"] == f"{lower:+.2f} to {upper:+.2f}%"
    assert cells["next"] == "+0.100%*"
    assert cells["skill"] == "+1.23±2.23%"
    assert cells["last"] in {"▲ hit", "▽ miss"}


def test_a_skill_that_is_far_from_sure_has_room_too() -> None:
    row = replace(a_row(), skill=Skill(-0.208, -0.9876, 0.5716, 0.5, 288))

    assert shown(row)["skill"] == "-20.8±78.0%"


@pytest.mark.parametrize(
    ("outcomes", "text"), [(0, ""), (11, "n11"), (12, "+75.00% n12"), (123_456, "+75.00% n123k")]
)
def test_skill_without_an_interval_says_of_how_many_outcomes_it_is(
    outcomes: int, text: str
) -> None:
    scores = Scores(n=outcomes, squared_error_zero=4.0, squared_error_calibrated=1.0)
    prediction = replace(a_prediction(), scores=scores)

    assert shown(WatchRow("BTCUSDT", "live", 0, prediction))["skill"] == text


def test_a_symbol_without_a_prediction_has_a_name_and_a_standing_only() -> None:
    cells = shown(WatchRow("NEWUSDT", "waiting", 0))

    assert {name for name, text in cells.items() if text} == {"symbol", "standing"}
    assert describe_standing(WatchRow("A", "late", 7)) == "late 7"


def test_an_80_column_terminal_has_all_it_needs_and_a_wider_one_more() -> None:
    assert choose_columns(79) == list(COLUMNS)
    assert choose_columns(20) == list(COLUMNS)
    assert [each.title for each in choose_columns(99)][-2:] == ["next close", "hits"]
    assert choose_columns(500) == [*COLUMNS, *WIDE_COLUMNS]
    for width in (79, 100, 120, 200):
        assert heading_line(choose_columns(width)).cell_len <= width


@pytest.mark.parametrize("symbol", ["BTCUSDT", "1000000BABYDOGEUSDT", "币安人生USDT"])
@pytest.mark.parametrize("change", [0.0, -0.00012, 12.5, 1e300])
def test_every_line_is_as_wide_as_its_heading(symbol: str, change: float) -> None:
    line = row_line(COLUMNS, a_row(symbol, change))

    assert line.cell_len == heading_line(COLUMNS).cell_len <= 79
    assert line.plain.replace("\n", "").isprintable()


def test_rows_sort_by_any_column_and_empty_cells_come_last() -> None:
    rows = [a_row("B", 0.2), a_row("A", 0.1), WatchRow("C", "waiting", 0), a_row("D", 0.3)]
    by = {column.title: column for column in COLUMNS}

    def order(title: str, *, is_reversed: bool) -> str:
        return "".join(row.symbol for row in sort_rows(rows, by[title], is_reversed=is_reversed))

    assert order("symbol", is_reversed=False) == "ABCD"
    assert order("symbol", is_reversed=True) == "DCBA"
    assert order("next", is_reversed=False) == "ABDC"
    assert order("next", is_reversed=True) == "DBAC"
    for title in NAMES:
        assert sorted(order(title, is_reversed=True)) == ["A", "B", "C", "D"]


def test_rows_are_filtered_by_symbol_or_standing() -> None:
    rows = [WatchRow("BTCUSDT", "live", 0), WatchRow("ETHUSDT", "late", 3)]

    assert [row.symbol for row in filter_rows(rows, " btc ")] == ["BTCUSDT"]
    assert [row.symbol for row in filter_rows(rows, "late")] == ["ETHUSDT"]
    assert filter_rows(rows, "") == rows


def test_a_terminal_that_is_not_taken_over_shows_as_many_rows_as_fit() -> None:
    console = PlainConsole()
    rows = [a_row(f"S{number}USDT") for number in range(50)]

    with console.capture() as captured:
        console.print(live_table(rows, 80, 20))

    lines = captured.get().splitlines()
    assert len(lines) == 20
    assert lines[-1] == "and 32 more symbols: `ulstm watch` shows all"
    assert max(map(len, lines)) <= 80


def test_without_a_terminal_a_prediction_is_a_line() -> None:
    line = prediction_line(a_prediction())

    assert "BTCUSDT  close " in line
    assert "next +0.012%* (" in line
    assert "skill " in line
    assert line.isprintable()
