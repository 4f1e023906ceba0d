"""The market's moves that the log has already."""

from collections.abc import Iterator
from itertools import chain

from shared.adapters.kafka.reader import Reader
from shared.adapters.schemas.klines import KlineCodec
from shared.core.errors import BadInput
from shared.core.records import Candle, MarketMove
from shared.core.topics import Topics


def read_market_moves(
    bootstrap: str, topics: Topics, codec: KlineCodec, from_ms: int, until_ms: int
) -> dict[int, MarketMove]:
    """Return the market's move in candles that open in [from_ms, until_ms), by open time.

    Reads partition after partition until every candle's move is found, which is in the first one
    if a symbol of it was followed all the time. Of several moves in a candle, that of the most
    symbols counts.

    Raises:
        Unavailable: Kafka does not answer.
    """
    missing = set(range(from_ms, until_ms, codec.interval_ms))
    moves: dict[int, MarketMove] = {}
    with Reader(bootstrap, topics.klines) as reader:
        for partition in range(reader.partitions()):
            if not missing:
                break
            for candle in _candles(reader, codec, partition, from_ms, until_ms):
                move, known = candle.market, moves.get(candle.open_time_ms)
                if move is not None and (known is None or move.symbols > known.symbols):
                    moves[candle.open_time_ms] = move
            missing -= moves.keys()
    return moves


def _candles(
    reader: Reader, codec: KlineCodec, partition: int, from_ms: int, until_ms: int
) -> Iterator[Candle]:
    """Yield the candles that open in [from_ms, until_ms) where a partition has them first."""
    start = reader.offset_at(partition, from_ms)
    end = reader.offset_at(partition, until_ms + codec.interval_ms)
    for record in chain.from_iterable(reader.read(partition, start, end)):
        try:
            value = codec.decode(record.value, partition)
        except BadInput:  # no reader uses such a record
            continue
        if isinstance(value, Candle) and from_ms <= value.open_time_ms < until_ms:
            yield value
