"""What the topics say now: the newest records of each symbol, and their counts."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from services.dashboard.live.arrival import Arrival
from services.dashboard.live.changed_symbols import ChangedSymbols
from services.dashboard.live.columns import Row
from services.dashboard.live.error_window import ErrorWindow, Forecast
from services.dashboard.live.hourly_count import HourlyCount
from services.dashboard.live.symbol_board import SymbolBoard
from services.dashboard.ports import Standing
from shared.core.online.interval_scores import COVERAGES, IntervalScores
from shared.core.online.prediction import Prediction
from shared.core.records import Amendment, Candle, Fill, Gap, Promotion, Record, SymbolStatus
from shared.core.topics import partition_for
from shared.log.feed_pace import FeedPace
from shared.log.latencies import Latencies

MAX_SYMBOLS: Final = 10_000  # what an exchange lists, several times over
KEPT_LATENCIES: Final = 20_000


@dataclass(frozen=True, slots=True)
class Champion:
    """The promoted version, and where its promotion lies in `klines`."""

    version: str
    partition: int
    offset: int


@dataclass(slots=True)
class LatencySamples:
    """Latencies in ms that were measured since they were last taken."""

    close_to_arrival: list[float] = field(default_factory=list)
    arrival_to_readable: list[float] = field(default_factory=list)


@dataclass(slots=True)
class Counts:
    """Records by kind, since the oldest that was read."""

    gaps: int = 0
    fills: int = 0
    amendments: int = 0
    dead_letters: int = 0
    last_dead_letter: str = ""
    unreadable: Counter[str] = field(default_factory=Counter)  # by topic
    last_unreadable: str = ""


class LiveBoard:
    """Folds records into what the page shows. Pure: times come as arguments.

    Older records may be added after newer ones, each once. Memory is bounded by the number of
    symbols (at most MAX_SYMBOLS) times the recent window, and by KEPT_LATENCIES.
    """

    def __init__(self, pace: FeedPace, partitions: int, moments: int) -> None:
        """Begin with nothing read.

        Args:
            pace: measures the time between closes; it knows the interval of the candles.
            partitions: of the topics.
            moments: how many of the newest moments the recent skill is computed from.
        """
        interval_ms = pace.interval_ms
        self.interval_ms, self._partitions, self._moments = interval_ms, partitions, moments
        self.symbols: dict[str, SymbolBoard] = {}
        self.pace = pace
        self.window = ErrorWindow(interval_ms, moments)
        self.latencies = Latencies(interval_ms, KEPT_LATENCIES)
        self.counts = Counts()
        self.hourly = HourlyCount()  # predictions that were read
        self.champion: Champion | None = None
        self.champion_since_ms: int | None = None  # open time of the first candle after it
        self.newest_open_time_ms: int | None = None  # of all candles
        self.oldest_read_ms: int | None = None  # open time
        self.newest_seen_ms = 0.0  # wall time at which the first of these arrived
        self.newest_arrived_ms: float | None = None
        self.changes = ChangedSymbols()
        self._scored = set[str]()  # symbols with an outcome since their skill was computed
        self._latencies = LatencySamples()

    def add_kline(self, record: Record, arrival: Arrival) -> None:
        """Add a record of the klines topic."""
        if isinstance(record, Promotion):
            self.add_promotion(record.model_version, arrival.partition, arrival.offset)
        elif isinstance(record, Candle):
            self._add_candle(record, arrival)
        elif isinstance(record, Gap):
            self.counts.gaps += 1
        elif isinstance(record, SymbolStatus):
            if (board := self._board(record.symbol)) is not None:
                board.add_status(record, is_older=arrival.is_older)
        else:
            self._add_correction(record, arrival)

    def add_promotion(self, version: str, partition: int, offset: int) -> None:
        """Add a promotion, of its own record or as a prediction names it; the newest counts.

        It is in every partition by one transaction: the first partition speaks for all.
        """
        known = self.champion
        if (
            known is None
            or partition < known.partition
            or (partition == known.partition and offset > known.offset)
        ):
            self.champion = Champion(version, partition, offset)
            self.champion_since_ms = None

    def add_prediction(self, prediction: Prediction, read_ms: float | None) -> None:
        """Add a record of the predictions topic.

        Args:
            prediction: the prediction.
            read_ms: wall time at which it could be read; None: it was there before us.
        """
        board = self._board(prediction.symbol)
        if board is None:
            return
        if self.window.add(prediction):
            self._scored.add(prediction.symbol)
        board.add_prediction(prediction)
        self.changes.release(prediction.symbol)
        self.add_promotion(prediction.model_version, board.partition, prediction.promotion_offset)
        if read_ms is not None:
            self.hourly.add(read_ms)
            self._measure(board, prediction, read_ms)

    def wants_prediction(self, symbol: str) -> bool:
        """Say whether an older prediction of a symbol would be shown."""
        board = self.symbols.get(symbol)
        return board is None or board.prediction is None or board.prediction_before is None

    def add_older_forecast(self, forecast: Forecast) -> None:
        """Add a forecast that comes before all predictions that were added."""
        if forecast.symbol in self.symbols and self.window.add(forecast):
            self._scored.add(forecast.symbol)

    def finish_window(self) -> None:
        """Note that the recent window is complete: now what was scored meanwhile is told."""
        self.changes.add(self._scored)

    def add_dead_letter(self, reason: str) -> None:
        """Count a dead letter."""
        self.counts.dead_letters += 1
        self.counts.last_dead_letter = reason

    def add_unreadable(self, topic: str, description: str) -> None:
        """Count a record that is none of its topic's."""
        self.counts.unreadable[topic] += 1
        self.counts.last_unreadable = description

    def due_open_time_ms(self, now_ms: float) -> int | None:
        """Return the open time of the newest candle that every symbol should have by now."""
        newest = self.newest_open_time_ms
        if newest is None:
            return None
        is_due = now_ms - self.newest_seen_ms > self.pace.grace_ms()
        return newest if is_due else newest - self.interval_ms

    @property
    def newest_scores(self) -> Iterator[IntervalScores]:
        """The interval scores of each symbol's newest prediction."""
        for board in self.symbols.values():
            prediction = board.prediction
            # An earlier version may have had other intervals.
            if prediction is not None and len(prediction.interval_scores.covered) == len(COVERAGES):
                yield prediction.interval_scores

    def update_standings(self, now_ms: float) -> None:
        """Look at every symbol's standing anew."""
        due_ms = self.due_open_time_ms(now_ms)
        for board in self.symbols.values():
            standing = board.find_standing(due_ms)
            if standing != board.standing:
                board.standing = standing
                self.changes.add([board.symbol])

    @property
    def oldest_wanted_ms(self) -> int | None:
        """The first open time of the recent window; None while there is no candle."""
        newest = self.newest_open_time_ms
        return None if newest is None else newest - self._moments * self.interval_ms

    def take_latencies(self) -> LatencySamples:
        """Return the latencies measured since the last call."""
        samples, self._latencies = self._latencies, LatencySamples()
        return samples

    def rows(self, symbols: Iterable[str]) -> dict[str, Row]:
        """Return the rows of these symbols; recent skill is computed anew where it may differ."""
        wanted = list(symbols)
        scored = self._scored.intersection(wanted)
        self._scored -= scored
        for symbol, skill in self.window.skills(sorted(scored)):
            self.symbols[symbol].skill = skill
        return {symbol: self.symbols[symbol].row(self.interval_ms) for symbol in wanted}

    def standings(self) -> Counter[Standing]:
        """Count the symbols by their standing."""
        return Counter(board.standing for board in self.symbols.values())

    def late(self) -> dict[str, int]:
        """Return the wall time (ms) of the newest candle of each late symbol, sorted by symbol."""
        late = [board for board in self.symbols.values() if board.standing == "late"]
        late.sort(key=lambda board: board.symbol)
        return {board.symbol: round(board.arrived_ms or 0.0) for board in late}

    def symbols_by_partition(self) -> Counter[int]:
        """Count the symbols that are followed, by partition."""
        boards = self.symbols.values()
        return Counter(board.partition for board in boards if board.standing != "ended")

    def _board(self, symbol: str) -> SymbolBoard | None:
        """Return a symbol's board, which changes now; None if it is one symbol too many."""
        board = self.symbols.get(symbol)
        if board is None:
            if len(self.symbols) >= MAX_SYMBOLS:
                text = f"{symbol} is beyond the {MAX_SYMBOLS} symbols that are shown"
                self.add_unreadable("klines", text)
                return None
            board = SymbolBoard(symbol, partition_for(symbol, self._partitions))
            self.symbols[symbol] = board
        self.changes.add([symbol])
        return board

    def _add_candle(self, candle: Candle, arrival: Arrival) -> None:
        oldest_ms = self.oldest_read_ms
        self.oldest_read_ms = min(oldest_ms or candle.open_time_ms, candle.open_time_ms)
        if arrival.is_older and self._has_newer_candles(candle):
            return
        board = self._board(candle.symbol)
        if board is None or not board.add_candle(candle, is_older=arrival.is_older):
            return
        arrived_ms = arrival.arrived_ms
        board.arrived_ms, board.close_to_arrival_ms = arrived_ms, None
        newest = self.newest_open_time_ms
        if newest is None or candle.open_time_ms > newest:
            self.newest_open_time_ms = candle.open_time_ms
            self.newest_seen_ms = arrived_ms or 0.0
        if arrived_ms is not None:
            self.newest_arrived_ms = max(self.newest_arrived_ms or 0.0, arrived_ms)
            self._measure_arrival(board, candle, arrival, arrived_ms)

    def _has_newer_candles(self, candle: Candle) -> bool:
        board = self.symbols.get(candle.symbol)
        before = None if board is None else board.candle_before
        return before is not None and before.open_time_ms >= candle.open_time_ms

    def _measure_arrival(
        self, board: SymbolBoard, candle: Candle, arrival: Arrival, arrived_ms: float
    ) -> None:
        if not arrival.is_streamed:
            return
        self.pace.add(candle.open_time_ms, arrived_ms)
        end_ms = candle.open_time_ms + self.interval_ms
        # The clock of a simulated exchange is another one: then there is nothing to say.
        if abs(arrived_ms - end_ms) < self.interval_ms:
            board.close_to_arrival_ms = max(0.0, arrived_ms - end_ms)
        if arrival.read_ms is not None:
            self.latencies.add_candle(candle, arrival.headers)
            if board.prediction is not None:
                self.changes.defer(candle.symbol, arrival.read_ms)
            if board.close_to_arrival_ms is not None:
                self._latencies.close_to_arrival.append(board.close_to_arrival_ms)

    def _add_correction(self, correction: Amendment | Fill, arrival: Arrival) -> None:
        is_fill = isinstance(correction, Fill)
        self.counts.fills += is_fill
        self.counts.amendments += not is_fill
        board = self._board(correction.candle.symbol)
        if board is not None:
            board.add_candle(correction.candle, is_older=arrival.is_older)

    def _measure(self, board: SymbolBoard, prediction: Prediction, read_ms: float) -> None:
        """Note how long a candle's arrival was ago when its prediction could be read."""
        candle, arrived_ms = board.candle, board.arrived_ms
        is_of_newest = (
            candle is not None and prediction.open_time_ms == candle.open_time_ms + self.interval_ms
        )
        if is_of_newest and arrived_ms is not None:
            board.arrival_to_readable_ms = max(0.0, read_ms - arrived_ms)
            self._latencies.arrival_to_readable.append(board.arrival_to_readable_ms)
        self.latencies.add_prediction(prediction, read_ms)
