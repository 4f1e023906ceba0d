import pytest

from services.dashboard.live.arrival import Arrival
from services.dashboard.live.board import MAX_SYMBOLS
from services.dashboard.live.changed_symbols import HOLD_MS
from shared.core.online.interval_scores import IntervalScores
from shared.core.online.scores import Scores
from shared.core.records import Amendment, Fill, Gap, Promotion, StatusName, SymbolStatus
from tests.services.dashboard.history.symbol_topics import SYMBOL, a_prediction
from tests.services.dashboard.live.records import (
    NOTHING,
    PARTITION,
    a_board,
    add_close,
    arrived_at,
    cell,
    next_prediction,
    open_time,
    outcome_of,
    streamed,
)
from tests.support.builders import STEP_MS, a_candle

UNTOLD = Arrival(PARTITION, 0, NOTHING, 5_000.0)


def test_a_row_has_the_newest_candle_and_its_prediction() -> None:
    board = a_board()
    add_close(board, 0, close=100.0)
    add_close(board, 1, close=101.0)
    board.update_standings(arrived_at(1))

    assert cell(board, "standing") == "live"
    assert cell(board, "open_time_ms") == open_time(2)
    assert cell(board, "close") == 101.0
    assert cell(board, "last_change") == pytest.approx(0.01)
    assert cell(board, "lower_close") == 99.0
    assert cell(board, "arrived_ms") == arrived_at(1)
    assert cell(board, "close_to_arrival_ms") == 50
    assert cell(board, "arrival_to_readable_ms") == 40


def test_a_change_is_not_told_across_a_gap() -> None:
    board = a_board()
    add_close(board, 0)
    add_close(board, 3)

    assert cell(board, "last_change") is None


@pytest.mark.parametrize(
    ("outcome", "hit", "inside"),
    [(0.002, True, True), (-0.002, False, True), (0.02, True, False), (0.0, None, True)],
)
def test_a_forecast_turns_into_a_hit_or_a_miss_with_its_outcome(
    outcome: float, hit: bool | None, inside: bool
) -> None:
    board = a_board()
    board.add_prediction(a_prediction(1), None)
    board.add_prediction(next_prediction(1, outcome), None)

    assert cell(board, "last_hit") is hit
    assert cell(board, "last_inside") is inside


def test_a_forecast_of_no_change_is_neither_a_hit_nor_a_miss() -> None:
    board = a_board()
    board.add_prediction(a_prediction(1), None)
    previous = outcome_of(1, 0.002, predicted=0.0)
    board.add_prediction(a_prediction(2, previous=previous), None)

    assert cell(board, "last_hit") is None
    assert cell(board, "last_inside") is True


def test_a_prediction_of_an_earlier_profile_without_intervals_has_no_bounds() -> None:
    board = a_board()
    board.add_prediction(
        a_prediction(1, intervals=(), interval_scores=IntervalScores(3, (1,))), None
    )
    board.add_prediction(next_prediction(1, intervals=()), None)

    assert cell(board, "lower_close") is None
    assert cell(board, "last_inside") is None
    assert cell(board, "coverage") is None
    assert list(board.newest_scores) == [IntervalScores()]


def test_the_scores_since_the_promotion_are_shares() -> None:
    board = a_board()
    scores = Scores(10, sign_hits=6, moves=8)
    covered = IntervalScores(10, (5, 8, 9, 10))
    board.add_prediction(a_prediction(1, scores=scores, interval_scores=covered), None)

    assert cell(board, "hit_rate") == 0.75
    assert cell(board, "coverage") == 0.9


def test_a_correction_changes_the_candle_and_not_its_arrival() -> None:
    board = a_board()
    add_close(board, 0)
    add_close(board, 1, close=101.0)

    board.add_kline(Amendment(a_candle(1, 102.0)), streamed(9))
    board.add_kline(Fill(a_candle(0, 51.0)), streamed(9))

    assert cell(board, "close") == 102.0
    assert cell(board, "last_change") == 1.0
    assert cell(board, "arrived_ms") == arrived_at(1)
    assert (board.counts.amendments, board.counts.fills) == (1, 1)


def test_older_records_complete_the_board_and_replace_nothing() -> None:
    board = a_board()
    board.add_kline(Amendment(a_candle(5, 105.0)), streamed(5))
    board.add_prediction(next_prediction(5), None)
    for at in (5, 4, 3):
        board.add_kline(a_candle(at, 100.0), streamed(at, is_older=True))
        board.add_prediction(next_prediction(at), None)

    assert cell(board, "close") == 105.0
    assert cell(board, "last_change") == pytest.approx(0.05)
    assert cell(board, "open_time_ms") == open_time(6)
    assert cell(board, "skill_n") == 2


def test_a_symbol_without_the_close_that_others_have_is_late_after_a_grace() -> None:
    board = a_board()
    for at in range(4):
        add_close(board, at, "AAAUSDT")
        add_close(board, at, "BBBUSDT")
    add_close(board, 4, "AAAUSDT")

    board.update_standings(arrived_at(4) + 500)
    assert board.late() == {}

    board.update_standings(arrived_at(4) + 20_000)
    assert board.late() == {"BBBUSDT": arrived_at(3)}
    assert board.standings() == {"live": 1, "late": 1}


def test_a_candle_without_its_prediction_is_late_too() -> None:
    board = a_board()
    add_close(board, 0)
    board.add_kline(a_candle(1), streamed(1))

    board.update_standings(arrived_at(1) + 20_000)

    assert cell(board, "standing") == "late"


@pytest.mark.parametrize(
    ("status", "standing"), [("halted", "halted"), ("delisted", "ended"), ("removed", "ended")]
)
def test_a_status_holds_until_the_next_candle(status: StatusName, standing: str) -> None:
    board = a_board()
    add_close(board, 0)
    board.add_kline(SymbolStatus(SYMBOL, open_time(1), status, "why"), UNTOLD)
    board.update_standings(arrived_at(0))
    assert cell(board, "standing") == standing

    add_close(board, 1)
    board.update_standings(arrived_at(1))
    assert cell(board, "standing") == "live"


def test_a_symbol_waits_until_somebody_predicts_it() -> None:
    board = a_board()
    board.add_kline(a_candle(0), streamed(0))
    board.update_standings(arrived_at(0))

    assert cell(board, "standing") == "waiting"
    assert cell(board, "close") == 100.0
    assert cell(board, "calibrated_change") is None


def test_the_champion_is_the_newest_promotion_of_the_first_partition() -> None:
    board = a_board()
    first, second = Promotion("m1", "", ""), Promotion("m2", "", "")
    board.add_kline(first, Arrival(2, 10, NOTHING))
    board.add_kline(second, Arrival(2, 90, NOTHING))
    board.add_kline(first, Arrival(2, 10, NOTHING, is_older=True))
    assert board.champion is not None
    assert board.champion.version == "m2"

    board.add_kline(first, Arrival(0, 30, NOTHING))
    assert (board.champion.version, board.champion.partition) == ("m1", 0)


def test_a_candle_whose_arrival_nobody_tells_arrived_when_it_was_read() -> None:
    board = a_board()
    board.add_kline(a_candle(0), UNTOLD)

    assert cell(board, "arrived_ms") == 5_000
    assert board.newest_open_time_ms == open_time(0)


def test_a_damaged_arrival_is_none() -> None:
    headers = {"source": b"stream", "arrival_ms": b"9" * 400}

    assert Arrival(0, 0, headers, 7.0).arrived_ms == 7.0
    assert Arrival(0, 0, {"arrival_ms": "٣".encode()}, None).arrived_ms is None


def test_gaps_are_counted() -> None:
    board = a_board()
    board.add_kline(Gap(SYMBOL, open_time(0), open_time(3)), UNTOLD)

    assert board.counts.gaps == 1
    assert board.symbols == {}


def test_no_more_symbols_are_kept_than_the_limit() -> None:
    board = a_board()
    for number in range(MAX_SYMBOLS + 3):
        board.add_kline(a_candle(0, symbol=f"S{number}"), UNTOLD)

    assert len(board.symbols) == MAX_SYMBOLS
    assert board.counts.unreadable.total() == 3


def test_only_what_has_changed_is_told() -> None:
    board, now_ms = a_board(), arrived_at(0) + 100.0
    add_close(board, 0, "AAAUSDT")
    add_close(board, 0, "BBBUSDT")
    board.update_standings(now_ms)
    assert board.changes.take(now_ms) == {"AAAUSDT", "BBBUSDT"}

    board.update_standings(now_ms)
    assert not board.changes.are_due(now_ms)

    add_close(board, 1, "BBBUSDT")
    assert board.changes.take(now_ms) == {"BBBUSDT"}


def test_a_candle_is_told_together_with_the_prediction_that_follows_soon() -> None:
    board, read_ms = a_board(), arrived_at(1) + 10.0
    add_close(board, 0)
    board.changes.take(read_ms)
    board.add_kline(a_candle(1), streamed(1))
    assert not board.changes.are_due(read_ms + 100.0)

    board.add_prediction(next_prediction(1), read_ms + 110.0)
    assert board.changes.take(read_ms + 110.0) == {SYMBOL}


def test_a_candle_is_told_by_itself_when_its_prediction_does_not_come() -> None:
    board, read_ms = a_board(), arrived_at(1) + 10.0
    add_close(board, 0)
    board.changes.take(read_ms)
    board.add_kline(a_candle(1), streamed(1))

    assert board.changes.take(read_ms + HOLD_MS) == {SYMBOL}


def test_latencies_are_measured_of_records_that_came_while_we_were_there() -> None:
    board = a_board()
    board.add_kline(a_candle(0), streamed(0, is_older=True))
    board.add_prediction(next_prediction(0), None)
    assert board.take_latencies().close_to_arrival == []

    add_close(board, 1)
    samples = board.take_latencies()
    assert (samples.close_to_arrival, samples.arrival_to_readable) == ([50], [40])
    assert board.hourly.count(arrived_at(1)) == 1
    assert board.hourly.count(arrived_at(1) + 3_700_000) == 0


def test_the_interval_between_two_open_times_is_the_boards_own() -> None:
    assert a_board().interval_ms == STEP_MS
