"""Read from the log what an import compares its rows with, and the market's moves in its span."""

from collections.abc import Mapping
from dataclasses import dataclass

from services.cli.candle_import.market_history import LoggedMarket
from shared.core.arrays import Float64s
from shared.core.records import Amendment, Candle
from shared.core.topics import Topics, interval_ms
from shared.log.archive import Archive, TimeSpan
from shared.log.archived_sequences import SequenceBuilder


@dataclass(frozen=True, slots=True, eq=False)
class LogContents:
    """The part of the log that the recordings of an import overlap."""

    candles: Mapping[str, Float64s]  # by symbol of the recordings, without the market: (n, 9)
    market: LoggedMarket


def read_log_contents(
    bootstrap: str, topics: Topics, next_ms: Mapping[str, int], from_ms: int
) -> LogContents:
    """Read the log from the moment before a time on.

    Args:
        bootstrap: Kafka's address.
        topics: of the deployment.
        next_ms: by symbol of the recordings: the open time that its log must continue with.
        from_ms: the first open time of the recordings.

    Raises:
        Unavailable: Kafka does not answer.
    """
    overlapping = {symbol for symbol, ends_ms in next_ms.items() if ends_ms > from_ms}
    builder, market = SequenceBuilder(), LoggedMarket()
    span = TimeSpan(from_ms - interval_ms(topics.interval))
    for record in Archive(bootstrap, topics).scan(span):
        if isinstance(record, Candle) and record.open_time_ms in span:
            market.add(record)
            if record.symbol in overlapping and record.open_time_ms >= from_ms:
                builder.append(record)
        elif isinstance(record, Amendment):
            builder.amend(record.candle)
    return LogContents(builder.sequences().own, market)
