"""Records of one market as the board takes them."""

from typing import Any, Final

from services.dashboard.live.arrival import Arrival
from services.dashboard.live.board import LiveBoard
from services.dashboard.live.columns import COLUMNS
from shared.core.online.prediction import Outcome, Prediction
from shared.core.topics import partition_for
from shared.log.feed_pace import FeedPace
from tests.services.dashboard.history.symbol_topics import SYMBOL, a_prediction
from tests.support.builders import START_MS, STEP_MS, a_candle

PARTITIONS: Final = 6
MOMENTS: Final = 12
PARTITION: Final = partition_for(SYMBOL, PARTITIONS)
NOTHING: Final[dict[str, bytes]] = {}


def open_time(at: int) -> int:
    return START_MS + at * STEP_MS


def arrived_at(at: int) -> int:
    """Return the wall time at which candle number `at` arrives: 50 ms after its close."""
    return open_time(at + 1) + 50


def streamed(at: int, offset: int = 0, *, is_older: bool = False) -> Arrival:
    """The arrival of candle number `at` by stream; it could be read 10 ms later."""
    headers = {"source": b"stream", "arrival_ms": str(arrived_at(at)).encode()}
    read_ms = None if is_older else arrived_at(at) + 10.0
    return Arrival(PARTITION, offset, headers, read_ms, is_older)


def outcome_of(at: int, change: float, predicted: float = 0.001, version: str = "m1") -> Outcome:
    return Outcome(open_time(at), version, 2 * predicted, predicted, change)


def next_prediction(at: int, change: float | None = 0.002, **fields: Any) -> Prediction:
    """The prediction made from candle number `at`, whose change from the one before is given."""
    previous = None if change is None else outcome_of(at, change)
    return a_prediction(at + 1, **{"previous": previous, **fields})


def a_board() -> LiveBoard:
    return LiveBoard(FeedPace(STEP_MS), PARTITIONS, MOMENTS)


def add_close(board: LiveBoard, at: int, symbol: str = SYMBOL, close: float = 100.0) -> None:
    """Add a candle and the prediction made from it, 40 ms after its arrival."""
    board.add_kline(a_candle(at, close, symbol), streamed(at))
    board.add_prediction(next_prediction(at, symbol=symbol), arrived_at(at) + 40.0)


def cell(board: LiveBoard, column: str, symbol: str = SYMBOL) -> object:
    return board.rows([symbol])[symbol][COLUMNS.index(column)]
