"""When the changes of the board are handed out."""

from dataclasses import replace
from itertools import pairwise
from typing import Final

import pytest

from services.dashboard.live.board import LiveBoard
from services.dashboard.live.changed_symbols import HOLD_MS
from services.dashboard.live.summary import Reading
from services.dashboard.live.topic_feed import TopicFeed
from services.dashboard.live.update_publisher import UpdatePublisher
from services.dashboard.live.updates import BoardUpdate
from services.dashboard.metrics import DashboardMetrics
from shared.adapters.prometheus import Telemetry
from shared.adapters.schemas.klines import KlineCodec
from shared.core.topics import Topics
from tests.services.dashboard.live.records import (
    PARTITIONS,
    a_board,
    add_close,
    arrived_at,
    next_prediction,
    streamed,
)
from tests.support.builders import STEP_MS, a_candle

SYMBOLS: Final = tuple(f"S{number}USDT" for number in range(8))
CODEC: Final = KlineCodec("5m", STEP_MS, PARTITIONS)
READING: Final = Reading("5m", is_caught_up=True)
PROMISED_MS: Final = 5_000.0  # the longest silence that a browser takes for a live server
POLL_MS: Final = 100.0  # between two polls of the topics


class Browsers:
    """What a publisher hands out while a clock that the test moves goes on."""

    def __init__(self, board: LiveBoard) -> None:
        self.board = board
        self.updates: list[tuple[float, BoardUpdate]] = []
        self._now_ms = 0.0
        self._feed = TopicFeed(board, Topics("5m", PARTITIONS), CODEC)
        self._publisher = UpdatePublisher(DashboardMetrics(Telemetry("dashboard")), self._take)

    def poll(self, now_ms: float) -> None:
        """Let the publisher look at the board."""
        self._now_ms = now_ms
        self._publisher.publish_if_due(self._feed, READING, now_ms)

    def poll_until(self, start_ms: float, end_ms: float) -> None:
        """Let it look again and again."""
        while start_ms < end_ms:
            self.poll(start_ms)
            start_ms += POLL_MS

    def rows(self) -> list[set[str]]:
        """The symbols of each update that has any."""
        return [set(update.rows) for _, update in self.updates if update.rows]

    def _take(self, update: BoardUpdate) -> None:
        self.updates.append((self._now_ms, update))


@pytest.fixture
def browsers() -> Browsers:
    """Browsers that show a first close of all symbols already."""
    board = a_board()
    for symbol in SYMBOLS:
        add_close(board, 0, symbol)
    shown = Browsers(board)
    shown.poll(arrived_at(0) + 1_000.0)
    shown.updates.clear()
    return shown


def test_symbols_that_close_at_the_same_moment_are_handed_out_together(browsers: Browsers) -> None:
    now_ms = arrived_at(1) + 10.0
    for symbol in SYMBOLS:
        browsers.board.add_kline(a_candle(1, symbol=symbol), streamed(1))
    for number, symbol in enumerate(SYMBOLS):
        browsers.board.add_prediction(next_prediction(1, symbol=symbol), now_ms)
        browsers.poll(now_ms + number)
        if number < len(SYMBOLS) - 1:
            assert browsers.rows() == []

    assert browsers.rows() == [set(SYMBOLS)]


def test_a_symbol_whose_prediction_does_not_come_does_not_keep_the_others(
    browsers: Browsers,
) -> None:
    now_ms, (absent, *others) = arrived_at(1) + 10.0, SYMBOLS
    browsers.board.add_kline(a_candle(1, symbol=absent), streamed(1))
    for symbol in others:
        add_close(browsers.board, 1, symbol)
    browsers.poll_until(now_ms, now_ms + HOLD_MS + POLL_MS)

    assert browsers.rows() == [set(SYMBOLS)]
    assert browsers.updates[0][0] - now_ms <= HOLD_MS


def test_candles_that_trickle_in_are_shown_all_the_same(browsers: Browsers) -> None:
    start_ms = arrived_at(1) + 10.0
    for number, symbol in enumerate(SYMBOLS):
        now_ms = start_ms + 2 * POLL_MS * number
        waits = replace(streamed(1), read_ms=now_ms)
        browsers.board.add_kline(a_candle(1, symbol=symbol), waits)
        browsers.poll(now_ms)
        browsers.poll(now_ms + POLL_MS)
        browsers.board.add_prediction(next_prediction(1, symbol=symbol), now_ms + 1.5 * POLL_MS)

    time_ms, update = browsers.updates[0]
    assert time_ms - start_ms <= HOLD_MS
    assert 1 < len(update.rows) < len(SYMBOLS)


def test_browsers_hear_of_us_in_the_midst_of_a_close_too(browsers: Browsers) -> None:
    start_ms = arrived_at(0) + 1_000.0
    read_ms = [start_ms + number * HOLD_MS / 2 for number in range(40)]
    for number, now_ms in enumerate(read_ms, 1):
        candle = a_candle(number, symbol=SYMBOLS[0])
        browsers.board.add_kline(candle, replace(streamed(1), read_ms=now_ms))
        browsers.poll_until(now_ms, now_ms + HOLD_MS / 2)

    times_ms = [start_ms, *(time_ms for time_ms, _ in browsers.updates), read_ms[-1]]
    assert max(later - earlier for earlier, later in pairwise(times_ms)) <= PROMISED_MS
