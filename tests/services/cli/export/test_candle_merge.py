from collections.abc import Sequence
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from services.cli.export.candle_merge import CandleMerge, LogCorrections, MergedCandle
from shared.core.records import Amendment, Candle, Correction, Fill, MarketMove
from tests.support.builders import a_candle

LogEntries = Sequence[tuple[int, Candle | Correction]]


def candle(at: int, close: float = 100.0, symbol: str = "BTCUSDT") -> Candle:
    return replace(a_candle(at, close, symbol=symbol), market=MarketMove(0.001, 40))


def amendment(at: int, close: float) -> Amendment:
    return Amendment(replace(candle(at, close), market=None))


def merge(entries: LogEntries) -> tuple[list[MergedCandle], int]:
    corrections = LogCorrections()
    for offset, entry in entries:
        if not isinstance(entry, Candle):
            corrections.add(offset, entry)
    merged = CandleMerge(corrections)
    found = [
        one
        for offset, entry in entries
        if isinstance(entry, Candle)
        for one in merged.add(offset, entry)
    ]
    return [*found, *merged.flush()], merged.out_of_order


def numbered(*entries: Candle | Correction) -> LogEntries:
    return list(enumerate(entries))


def test_an_amended_candle_has_its_last_values_and_its_own_market() -> None:
    found, _ = merge(numbered(candle(0), candle(1), amendment(0, 90.0), amendment(0, 95.0)))

    assert found == [
        MergedCandle(replace(candle(0, 95.0), market=candle(0).market), is_amended=True),
        MergedCandle(candle(1)),
    ]


def test_a_fill_comes_at_its_open_time() -> None:
    found, _ = merge(
        numbered(candle(0), candle(3), Fill(candle(2)), candle(4), Fill(candle(1)), Fill(candle(6)))
    )

    assert [one.candle for one in found] == [candle(at) for at in (0, 1, 2, 3, 4, 6)]
    assert [one.is_filled for one in found] == [False, True, True, False, False, True]


def test_a_fill_that_is_amended_later_is_both() -> None:
    found, _ = merge(numbered(candle(0), candle(2), Fill(candle(1)), amendment(1, 90.0)))

    assert (found[1].is_filled, found[1].is_amended) == (True, True)
    assert found[1].candle.close == 90.0


def test_what_corrects_no_candle_changes_nothing() -> None:
    before = amendment(1, 90.0)
    found, _ = merge(numbered(candle(0), before, candle(1), Fill(candle(0, 90.0))))

    assert found == [MergedCandle(candle(0)), MergedCandle(candle(1))]


def test_a_candle_that_is_not_newer_is_counted() -> None:
    found, out_of_order = merge(numbered(candle(1), candle(1, 90.0), candle(0), candle(2)))

    assert [one.candle for one in found] == [candle(1), candle(2)]
    assert out_of_order == 2


@given(st.data())
def test_each_symbol_is_in_order_and_complete_however_its_log_lies(data: st.DataObject) -> None:
    symbols = ("BTCUSDT", "ETHUSDT")
    missing = {symbol: data.draw(st.sets(st.integers(0, 7))) for symbol in symbols}
    order = data.draw(st.permutations([symbol for symbol in symbols for _ in range(8)]))
    at = dict.fromkeys(symbols, 0)
    entries: list[Candle | Correction] = []
    for symbol in order:
        if at[symbol] not in missing[symbol]:
            entries.append(candle(at[symbol], symbol=symbol))
        at[symbol] += 1
    late = [(symbol, one) for symbol in symbols for one in missing[symbol]]
    entries += [
        Fill(candle(one, symbol=symbol)) for symbol, one in data.draw(st.permutations(late))
    ]

    found, _ = merge(numbered(*entries))

    for symbol in symbols:
        own = [one for one in found if one.candle.symbol == symbol]
        assert [one.candle for one in own] == [candle(n, symbol=symbol) for n in range(8)]
        assert {n for n in range(8) if own[n].is_filled} == missing[symbol]
