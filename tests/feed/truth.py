"""What the log must hold at a moment, from the simulator's market, and how it differs."""

from collections.abc import Iterator

from services.exchange_simulator.kline import to_rest_row
from services.exchange_simulator.market_view import MarketView
from tests.feed.symbol_log import CandleFields, SymbolLog


class Truth:
    """The final candles of an exchange simulator."""

    def __init__(self, view: MarketView) -> None:
        self._view = view
        self._step_ms = view.interval_ms

    def candles(self, symbol: str, from_ms: int, until_ms: int) -> dict[int, CandleFields]:
        """Return a symbol's candles that open in [from_ms, until_ms), on the interval's grid."""
        numbers = self._view.market.find(symbol, from_ms, until_ms)
        found = {}
        for row in self._view.market.rows(symbol, numbers):
            # What opens off the grid is none of this interval: its place is a hole.
            if row.open_time_ms % self._step_ms == 0:
                cells = to_rest_row(row, self._step_ms)
                fields = (*cells[1:6], *cells[7:11])
                found[row.open_time_ms] = CandleFields(*map(str, fields))
        return found

    def differences(self, log: SymbolLog, from_ms: int, until_ms: int) -> Iterator[str]:
        """Yield how a symbol's log differs from the truth in [from_ms, until_ms).

        Args:
            log: the symbol's records, applied.
            from_ms: the first open time that the log must hold.
            until_ms: the end of what must be there; what is beyond must be right if it is there.
        """
        yield from log.problems
        known = {at: fields for at, fields in log.candles.items() if at >= from_ms}
        end_ms = max(until_ms, max(known, default=until_ms) + self._step_ms)
        right = self.candles(log.symbol, from_ms, end_ms)
        for at, fields in known.items():
            if at not in right:
                yield f"{log.symbol}: a candle at {at} that the exchange does not have"
            elif fields != right[at]:
                yield f"{log.symbol}: at {at} the log has {fields}, the exchange {right[at]}"
        missing = [at for at in right if at < until_ms and at not in known]
        if missing:
            in_gaps = sum(any(b <= at < e for b, e in log.gaps) for at in missing)
            yield (
                f"{log.symbol}: {len(missing)} candles are missing, {in_gaps} of them in gaps,"
                f" the first at {missing[0]}"
            )
