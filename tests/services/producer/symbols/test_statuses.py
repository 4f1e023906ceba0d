from collections.abc import Sequence

from services.producer.backfill.sequencer import LogEntry, ReceivedCandle, SymbolCursor
from services.producer.events import ObservedStatus, SymbolsChanged
from services.producer.symbols.statuses import HELD_CANDLES_S, LAST_CANDLE_S, StatusBook
from shared.core.records import StatusName, SymbolStatus

STEP_MS = 300_000
SYMBOL = "BTCUSDT"
SILENCE_S = 600.0  # of a symbol that is delisted


def candle(at: int) -> ReceivedCandle:
    return ReceivedCandle(SYMBOL, at * STEP_MS, 1.0, b"{}", "stream", 0)


def observed(status: StatusName) -> SymbolsChanged:
    return SymbolsChanged({}, (ObservedStatus(SYMBOL, status, "so it is", SILENCE_S),))


class PlacedSymbol:
    """A book, and a cursor that the test moves."""

    def __init__(self, status: StatusName | None = None, *, is_new: bool = False) -> None:
        self.book = StatusBook(STEP_MS)
        self.cursors = {SYMBOL: SymbolCursor(SYMBOL, 10 * STEP_MS, is_new, status=status)}
        self.book.place(self.cursors.values())

    def due(self, now_ms: int = 0, now_s: float = 0.0) -> Sequence[LogEntry]:
        return self.book.take_due(self.cursors, now_ms, now_s)

    def observe(self, status: StatusName, at: float = 10.0) -> Sequence[LogEntry]:
        self.book.observe(observed(status), int(at * STEP_MS))
        return self.due(int(at * STEP_MS))

    def commit(self, *entries: LogEntry) -> None:
        self.book.on_committed(entries)


def status(name: StatusName, at: int = 10) -> SymbolStatus:
    return SymbolStatus(SYMBOL, at * STEP_MS, name, "so it is")


def test_a_new_symbol_is_listed_before_its_first_candle_once() -> None:
    log = PlacedSymbol(is_new=True)
    log.book.observe(SymbolsChanged({SYMBOL: "named in SYMBOLS"}), 0)

    announced = log.book.announce([candle(12), candle(13)])

    listed = SymbolStatus(SYMBOL, 12 * STEP_MS, "listed", "named in SYMBOLS")
    assert announced == [listed, candle(12), candle(13)]
    log.commit(*announced)
    assert log.book.announce([candle(14)]) == [candle(14)]


def test_after_an_aborted_transaction_it_is_announced_again() -> None:
    log = PlacedSymbol(is_new=True)
    log.book.announce([candle(12)])

    assert isinstance(log.book.announce([candle(12)])[0], SymbolStatus)


def test_a_symbol_of_the_log_is_not_announced() -> None:
    assert PlacedSymbol().book.announce([candle(10)]) == [candle(10)]


def test_a_halt_waits_for_the_last_candle() -> None:
    log = PlacedSymbol()
    assert log.observe("halted", at=10.5) == []

    log.cursors[SYMBOL] = SymbolCursor(SYMBOL, 11 * STEP_MS)

    assert log.due(11 * STEP_MS) == [status("halted", 11)]


def test_a_last_candle_that_never_comes_is_waited_for_a_while() -> None:
    log = PlacedSymbol()
    log.observe("halted", at=10.5)

    assert log.due(11 * STEP_MS, 100.0) == []
    assert log.due(12 * STEP_MS, 100.0 + LAST_CANDLE_S) == [status("halted")]


def test_a_symbol_whose_candles_go_on_is_not_delisted() -> None:
    log = PlacedSymbol()
    log.observe("delisted", at=10.5)

    for at in range(11, 20):
        log.cursors[SYMBOL] = SymbolCursor(SYMBOL, at * STEP_MS)
        assert log.due((at + 1) * STEP_MS, at * SILENCE_S) == []

    assert log.due(21 * STEP_MS, 20 * SILENCE_S) == [status("delisted", 19)]


def test_the_end_of_a_halt_is_written_only_if_the_log_has_the_halt() -> None:
    assert PlacedSymbol().observe("resumed") == []
    assert PlacedSymbol("halted").observe("resumed") == [status("resumed")]


def test_what_the_log_says_already_is_not_written_again() -> None:
    log = PlacedSymbol("halted")

    assert log.observe("halted", at=9) == []
    assert log.book.halted == {SYMBOL}


def test_a_removed_symbol_ends_at_once_when_that_is_in_the_log() -> None:
    log = PlacedSymbol()
    assert log.observe("removed") == [status("removed")]
    assert log.book.take_ended(log.cursors) == []

    log.commit(status("removed"))

    assert log.book.take_ended(log.cursors) == [SYMBOL]
    assert log.book.take_ended(log.cursors) == []


def test_a_symbol_that_never_was_in_the_log_ends_without_a_record() -> None:
    log = PlacedSymbol(is_new=True)

    assert log.observe("delisted") == []
    assert log.book.take_ended(log.cursors) == [SYMBOL]


def test_one_that_ended_before_a_restart_is_ended_without_another_record() -> None:
    log = PlacedSymbol("delisted", is_new=True)

    assert log.observe("delisted") == []
    assert log.book.take_ended(log.cursors) == [SYMBOL]


def test_a_halt_of_a_new_symbol_waits_for_its_history() -> None:
    log = PlacedSymbol(is_new=True)
    assert log.observe("halted", at=9) == []
    log.commit(candle(10))
    log.cursors[SYMBOL] = SymbolCursor(SYMBOL, 11 * STEP_MS)

    assert log.due(11 * STEP_MS) == [status("halted", 11)]


def test_a_delisting_that_is_taken_back_is_not_written() -> None:
    log = PlacedSymbol()
    log.observe("delisted", at=10.5)

    assert log.observe("resumed", at=11.5) == []
    assert log.due(20 * STEP_MS, 10 * SILENCE_S) == []


def test_a_halt_that_ends_before_its_last_candle_came_is_written_with_its_end() -> None:
    log = PlacedSymbol()
    assert log.observe("halted", at=10.5) == []

    assert log.observe("resumed", at=10.8) == [status("halted"), status("resumed")]
    log.commit(status("halted"), status("resumed"))

    assert log.due(20 * STEP_MS, 99.0) == []


def test_an_end_waits_for_candles_that_are_held_after_a_hole() -> None:
    log = PlacedSymbol()
    log.cursors[SYMBOL] = SymbolCursor(SYMBOL, 10 * STEP_MS, early=(candle(12),))
    log.observe("delisted", at=13)

    assert log.due(14 * STEP_MS, 0.0) == []
    assert log.due(14 * STEP_MS, SILENCE_S) == []
    assert log.due(14 * STEP_MS, HELD_CANDLES_S) == [status("delisted")]
