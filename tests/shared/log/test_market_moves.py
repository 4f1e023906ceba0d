"""The market's moves of the log, on a real Kafka."""

from collections.abc import Mapping

import pytest

from shared.adapters.kafka.backwards_reader import FIRST_BLOCK
from shared.adapters.kafka.producer import ProducerRecord
from shared.adapters.schemas.klines import add_market
from shared.core.records import MarketMove
from shared.core.topics import partition_for
from shared.log.market_moves import LoggedMarketMoves
from tests.support.builders import START_MS, STEP_MS, candle_bytes
from tests.support.deployment import PARTITIONS, Deployment

pytestmark = pytest.mark.integration

# One symbol of each partition.
SYMBOLS = sorted({partition_for(f"S{n}USDT", PARTITIONS): f"S{n}USDT" for n in range(50)}.items())


def a_candle_record(
    deployment: Deployment, partition: int, at: int, move: MarketMove | None
) -> ProducerRecord:
    symbol = dict(SYMBOLS)[partition]
    value = candle_bytes(at, symbol)
    return ProducerRecord(
        deployment.topics.klines,
        partition,
        symbol.encode(),
        value if move is None else add_market(value, move),
        START_MS + (at + 1) * STEP_MS - 1,
    )


def read(deployment: Deployment, first: int, until: int) -> Mapping[int, MarketMove]:
    """Return the moves by candle number."""
    moves = LoggedMarketMoves(deployment.kafka, deployment.topics, deployment.settings.codec)
    found = moves.read(START_MS + first * STEP_MS, START_MS + until * STEP_MS)
    return {(open_ms - START_MS) // STEP_MS: move for open_ms, move in found.items()}


def test_moves_are_those_of_any_symbol_of_the_time_the_one_of_most_symbols_first(
    deployment: Deployment,
) -> None:
    few, many = MarketMove(0.01, 3), MarketMove(0.02, 5)
    deployment.write(
        [
            *(a_candle_record(deployment, 0, at, few) for at in (1, 2, 3, 4)),
            *(a_candle_record(deployment, 1, at, many) for at in (4, 5, 9)),
            a_candle_record(deployment, 2, 6, None),
            ProducerRecord(deployment.topics.klines, 1, b"x", b"nonsense", START_MS + 7 * STEP_MS),
        ]
    )
    for partition in range(PARTITIONS):
        deployment.await_settled(deployment.topics.klines, partition)

    assert read(deployment, 2, 4) == {2: few, 3: few}
    assert read(deployment, 2, 5) == {2: few, 3: few, 4: few}
    assert read(deployment, 2, 8) == {2: few, 3: few, 4: many, 5: many}
    assert read(deployment, 20, 22) == {}


def test_moves_are_found_before_the_history_of_another_symbol(deployment: Deployment) -> None:
    move, old = MarketMove(0.01, 3), MarketMove(0.02, 5)
    deployment.write(
        [
            *(a_candle_record(deployment, 0, 10_000 + at, move) for at in range(4)),
            *(a_candle_record(deployment, 0, at, old) for at in range(FIRST_BLOCK + 10)),
        ]
    )
    deployment.await_settled(deployment.topics.klines, 0)

    assert read(deployment, 10_001, 10_003) == {10_001: move, 10_002: move}
