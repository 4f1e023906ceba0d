"""What `ulstm watch` and `ulstm up` know of a running deployment, from its topics alone."""

from dataclasses import replace

import pytest

from services.cli.terminal import PlainConsole
from services.cli.watch.board import WatchBoard
from services.cli.watch.recent_outcomes import FEWEST, WINDOW, RecentOutcomes
from services.cli.watch.summary import count_line, status_lines, summary_panel
from shared.adapters.kafka.reader import ConsumerRecord
from shared.adapters.kafka.tail import TailRecord
from shared.adapters.schemas.klines import KlineCodec
from shared.adapters.schemas.predictions import decode_prediction
from shared.core.online.prediction import Outcome
from tests.services.cli.foreign_records import FOREIGN_VALUES
from tests.support.builders import START_MS, STEP_MS
from tests.support.recorded_log import (
    TOPICS,
    eventful_klines,
    later_klines,
    record_log,
    status,
)

LOG = record_log(eventful_klines())
STREAM = {"source": b"stream", "arrival_ms": b"%d" % START_MS}


def a_board(began_ms: float = 0.0) -> WatchBoard:
    return WatchBoard(TOPICS, KlineCodec(TOPICS.interval, STEP_MS, TOPICS.partitions), began_ms)


def arrived(
    topic: str, records: list[ConsumerRecord], headers: dict[str, bytes] | None = None
) -> list[TailRecord]:
    return [TailRecord(topic, record._replace(headers=headers or {})) for record in records]


def standing_of(board: WatchBoard, symbol: str) -> tuple[str, int]:
    (row,) = [row for row in board.rows() if row.symbol == symbol]
    return row.standing, row.behind


def test_candles_gaps_predictions_and_dead_letters_are_counted() -> None:
    board = a_board()

    board.add(arrived(TOPICS.klines, LOG.klines, STREAM), START_MS)
    added = board.add(arrived(TOPICS.predictions, LOG.predictions), START_MS + 7.0)
    board.add(arrived(TOPICS.dead_letters, LOG.dead_letters), START_MS)

    assert (board.candles.total(), board.gaps, board.dead_letters) == (71, 1, 2)
    assert board.candles == {"BTCUSDT": 34, "ETHUSDT": 37}
    assert (len(added), board.predictions) == (34, 34)
    assert board.latencies.to_readable_ms(0.5) == 7.0
    assert "34 predictions of 2 symbols" in count_line(board)


def test_foreign_records_are_counted_and_named_and_end_nothing() -> None:
    board = a_board()
    foreign = [
        ConsumerRecord(0, offset, START_MS, b"BTCUSDT", value)
        for offset, value in enumerate(FOREIGN_VALUES)
    ]

    for topic in (TOPICS.klines, TOPICS.predictions, TOPICS.dead_letters):
        board.add(arrived(topic, foreign), START_MS)

    assert (board.candles.total(), board.predictions) == (0, 0)
    assert board.dead_letters == len(foreign)  # whatever is there is a dead letter
    assert board.unreadable.count == 2 * len(foreign)
    assert f"{2 * len(foreign)} unreadable records" in count_line(board)
    assert board.unreadable.descriptions[3].startswith("klines.5m, partition 0, offset 3: not_json")
    PlainConsole().print(summary_panel(board, 1.0, "x"))


@pytest.mark.parametrize("arrival", [{}, {"arrival_ms": b""}, {"arrival_ms": b"9" * 5000}])
def test_a_candle_of_the_stream_without_its_arrival_time_has_no_latency(
    arrival: dict[str, bytes],
) -> None:
    board = a_board()

    board.add(arrived(TOPICS.klines, LOG.klines, {"source": b"stream", **arrival}), START_MS)
    board.add(arrived(TOPICS.predictions, LOG.predictions), START_MS)

    assert board.latencies.to_readable_ms(0.5) is None


def test_what_was_there_before_has_no_latency() -> None:
    board = a_board(began_ms=START_MS + 1)

    board.add(arrived(TOPICS.klines, LOG.klines, STREAM), START_MS + 2)
    board.add(arrived(TOPICS.predictions, LOG.predictions), START_MS + 3)

    assert board.latencies.to_readable_ms(0.5) is None


def test_a_symbol_waits_for_its_first_prediction_then_it_is_live() -> None:
    board = a_board()

    board.add(arrived(TOPICS.klines, LOG.klines), START_MS)
    assert standing_of(board, "BTCUSDT") == ("waiting", 0)

    board.add(arrived(TOPICS.predictions, LOG.predictions), START_MS)
    assert standing_of(board, "BTCUSDT") == ("live", 0)


def test_a_symbol_that_others_leave_behind_is_late() -> None:
    board = a_board()
    board.add(arrived(TOPICS.predictions, LOG.predictions), START_MS)
    board.add(arrived(TOPICS.klines, record_log(eventful_klines()[:-2]).klines), START_MS)
    assert standing_of(board, "ETHUSDT") == ("live", 0)

    other = record_log([*eventful_klines(), *later_klines()[1:5:2]]).klines
    board.add(arrived(TOPICS.klines, [r for r in other if r.key == b"BTCUSDT"]), START_MS)

    assert standing_of(board, "ETHUSDT")[0] == "late"
    lines = status_lines(board, board.rows(), START_MS)
    assert "1 late (ETHUSDT)" in lines[0]


@pytest.mark.parametrize(
    ("name", "standing"), [("halted", "halted"), ("delisted", "ended"), ("removed", "ended")]
)
def test_a_status_is_the_standing_until_the_next_candle(name: str, standing: str) -> None:
    board = a_board()
    board.add(arrived(TOPICS.klines, LOG.klines), START_MS)
    ended = record_log([status("ETHUSDT", 36, name)]).klines  # type: ignore[arg-type]

    board.add(arrived(TOPICS.klines, ended), START_MS)
    assert standing_of(board, "ETHUSDT")[0] == standing

    board.add(arrived(TOPICS.klines, LOG.klines[-1:]), START_MS)
    assert standing_of(board, "ETHUSDT")[0] == "waiting"


def test_the_last_forecast_hit_or_missed_or_is_not_known() -> None:
    board = a_board()
    board.add(arrived(TOPICS.predictions, LOG.predictions), START_MS)
    row = board.rows()[0]
    assert row.prediction is not None
    outcome = Outcome(START_MS, "v1", 0.001, 0.0005, 0.002)

    def hit(previous: Outcome | None) -> bool | None:
        assert row.prediction is not None
        return replace(row, prediction=replace(row.prediction, previous=previous)).last_hit

    assert hit(outcome) is True
    assert hit(replace(outcome, outcome_change=-0.002)) is False
    assert [hit(replace(outcome, outcome_change=x)) for x in (None, 0.0)] == [None, None]
    assert hit(replace(outcome, calibrated_change=0.0)) is None
    assert hit(None) is None


def test_skill_is_sure_only_of_enough_outcomes_and_of_the_newest() -> None:
    outcomes, times = RecentOutcomes(), iter(range(10_000))

    def add(count: int, forecast: float) -> None:
        for at in range(count):
            change = 0.001 if at % 2 else -0.0012
            outcomes.add(Outcome(next(times), "v1", 0.0, forecast * change, change))

    add(FEWEST - 1, 0.0)
    assert outcomes.skill() is None
    add(1, 0.0)
    assert outcomes.skill() is not None
    add(WINDOW, 0.5)
    skill = outcomes.skill()
    assert skill is not None
    assert skill.value == pytest.approx(0.75)
    assert skill.n == WINDOW


def test_an_outcome_across_a_gap_or_one_seen_before_does_not_count() -> None:
    outcomes = RecentOutcomes()
    for at in range(FEWEST + 3):
        outcomes.add(Outcome(at, "v1", 0.0, 0.0, None if at == 3 else 0.001 * (1 + at % 2)))
        outcomes.add(Outcome(at, "v1", 0.0, 9.0, 0.5))  # later: at 3 it is new

    skill = outcomes.skill()

    assert skill is not None
    assert skill.n == FEWEST + 3


def test_the_status_says_what_is_missing() -> None:
    board = a_board()
    assert status_lines(board, board.rows(), 0.0)[0].startswith("EMPTY")
    board.add(arrived(TOPICS.klines, LOG.klines, STREAM), START_MS + 1_000.0)
    assert status_lines(board, board.rows(), START_MS + 2_000.0)[0].startswith("WAITING")
    board.add(arrived(TOPICS.predictions, LOG.predictions), START_MS)
    lines = status_lines(board, board.rows(), START_MS + 2_000.0)
    assert lines[0].startswith("LIVE · 2 symbols")
    assert "last candle 2 s ago" in lines[1]
    later_ms = START_MS + 60_000.0 + board.pace.stale_after_ms
    assert status_lines(board, board.rows(), later_ms)[0].startswith("STALE: no candle for")


def test_the_newest_prediction_of_a_symbol_is_kept() -> None:
    board = a_board()
    board.add(arrived(TOPICS.predictions, LOG.predictions), START_MS)

    last = [decode_prediction(record.value) for record in LOG.predictions][-1]
    assert board.by_symbol[last.symbol] == last
