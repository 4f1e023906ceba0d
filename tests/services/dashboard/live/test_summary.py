from services.dashboard.live.board import LiveBoard
from services.dashboard.live.summary import Reading, describe_state, log_facts, measure, summarise
from services.dashboard.ports import Json
from shared.core.online.interval_scores import IntervalScores
from tests.services.dashboard.history.symbol_topics import SYMBOL, a_prediction
from tests.services.dashboard.live.records import (
    a_board,
    add_close,
    arrived_at,
    open_time,
    streamed,
)
from tests.support.builders import a_candle

READ = Reading("5m", is_caught_up=True)


def summary_of(board: LiveBoard, now_ms: float, cluster: Json | None = None) -> Json:
    board.update_standings(now_ms)
    return summarise(board, READ, measure(board, READ, now_ms), cluster or {}, now_ms)


def state_of(board: LiveBoard, reading: Reading, now_ms: float) -> str:
    return describe_state(board, reading, now_ms)[0]


def test_states_that_look_alike_are_told_apart() -> None:
    board, now_ms = a_board(), float(arrived_at(0))
    assert state_of(board, Reading("5m", kafka_error="gone", loading="x"), now_ms) == "kafka_down"
    assert state_of(board, Reading("5m", missing_topic="none yet", loading="x"), now_ms) == "empty"
    assert state_of(board, Reading("5m", loading="half"), now_ms) == "loading"
    assert state_of(board, READ, now_ms) == "empty"

    board.add_kline(a_candle(0), streamed(0))
    assert state_of(board, READ, now_ms) == "waiting_for_model"

    board.add_prediction(a_prediction(1), None)
    assert state_of(board, READ, now_ms) == "live"
    assert describe_state(board, READ, now_ms + 3_600_000) == (
        "stale",
        "no candle for 3,600 s; one comes every 300 s",
    )


def test_a_model_that_was_promoted_is_named_while_its_predictions_are_awaited() -> None:
    board = a_board()
    board.add_kline(a_candle(0), streamed(0))
    board.add_promotion("m7", 0, 5)

    reason = describe_state(board, READ, arrived_at(0))[1]

    assert reason == "version m7 was promoted; its first predictions are to come"


def test_the_summary_adds_up_the_symbols() -> None:
    board = a_board()
    covered = IntervalScores(4, (2, 3, 4, 4))
    for at in range(3):
        for symbol in ("AAAUSDT", "BBBUSDT"):
            board.add_kline(a_candle(at, symbol=symbol), streamed(at))
            prediction = a_prediction(at + 1, symbol=symbol, interval_scores=covered)
            board.add_prediction(prediction, arrived_at(at) + 40.0)

    summary = summary_of(board, arrived_at(2) + 100)

    assert summary["state"] == "live"
    assert summary["coverage"] == [
        {"coverage": 50, "share": 0.5, "n": 8},
        {"coverage": 80, "share": 0.75, "n": 8},
        {"coverage": 90, "share": 1.0, "n": 8},
        {"coverage": 95, "share": 1.0, "n": 8},
    ]
    assert summary["predictions_per_hour"] == 24  # two symbols, every five minutes
    assert summary["predictions_last_hour"] == 6
    assert summary["champion"] == {"version": "m1", "since_ms": None}
    assert summary["latency"] == {
        "close_to_arrival_ms": {"p50": 50, "p99": 50},
        "arrival_to_readable_ms": {"p50": 40, "p99": 40},
    }
    assert summary["symbols"] == {
        **{"live": 2, "late": 0, "halted": 0, "ended": 0, "waiting": 0},
        "late_names": [],
    }


def test_what_the_cluster_reports_is_part_of_the_summary() -> None:
    board, now_ms = a_board(), 1.0

    assert summary_of(board, now_ms)["reconnects"] is None
    assert summary_of(board, now_ms, {"reconnects": 3, "problems": 1})["reconnects"] == 3


def test_the_health_page_is_told_who_is_late() -> None:
    board = a_board()
    for at in range(3):
        add_close(board, at)
        add_close(board, at, "AAAUSDT")
    add_close(board, 3, "AAAUSDT")
    board.update_standings(arrived_at(3) + 60_000)

    facts = log_facts(board)

    assert facts.late == {SYMBOL: arrived_at(2)}
    assert facts.has_candles
    assert facts.newest_arrived_ms == arrived_at(3)
    assert sum(facts.symbols_by_partition.values()) == 2
    assert board.oldest_wanted_ms == open_time(3 - 12)


def test_the_page_is_ready_once_the_newest_records_are_read() -> None:
    assert Reading("5m", loading="begins").not_ready == "begins"
    assert Reading("5m", loading="half", is_caught_up=True).not_ready is None
    assert Reading("5m", kafka_error="gone", is_caught_up=True).not_ready == "gone"
    assert Reading("5m", missing_topic="none yet", loading="x").not_ready is None
