"""The market's move in the log of a running producer, against the simulator's own candles."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache

import pytest

from services.exchange_simulator.synthetic import ORIGIN_MS, SyntheticMarket, synthetic_symbols
from shared.adapters.kafka.reader import ConsumerRecord
from shared.core.market import BasketDefinition, define_baskets, market_move
from shared.core.records import Candle, MarketMove
from shared.local_servers.programs import free_port
from shared.log.basket_store import BasketStore
from tests.support.builders import STEP_MS
from tests.support.deployment import Deployment, Replica
from tests.support.waiting import eventually

pytestmark = [pytest.mark.integration, pytest.mark.end_to_end]

LISTED = synthetic_symbols(12)
FOLLOWED = LISTED[:4]
BASKETS = define_baskets([LISTED[::3], LISTED[1::3]], ORIGIN_MS, ORIGIN_MS)
HISTORY = 2_500  # candles behind the simulator when it starts
BACKFILL = 1_200
TRUE_MARKET = SyntheticMarket(LISTED, STEP_MS, seed=1)


@cache
def true_closes(at: int) -> Mapping[str, float]:
    """Return the simulator's closes of candle number `at`."""
    rows = (next(iter(TRUE_MARKET.rows(symbol, range(at, at + 1)))) for symbol in LISTED)
    return {row.symbol: float(row.close) for row in rows}


@cache
def true_move(at: int, baskets: BasketDefinition | None) -> MarketMove:
    return market_move(true_closes(at - 1), true_closes(at), LISTED, baskets)


@dataclass
class FollowedExchange:
    """A simulated exchange with 12 symbols, and a producer that follows some of them."""

    deployment: Deployment
    port: int = field(default_factory=free_port)

    def start(self) -> None:
        simulator = self.deployment.start(
            "services.exchange_simulator",
            EXCHANGE_PORT=str(self.port),
            EXCHANGE_SPEED="300",
            EXCHANGE_SYMBOLS=str(len(LISTED)),
            EXCHANGE_HISTORY=str(HISTORY),
        )
        eventually(lambda: "exchange simulator on" in simulator.log_text())

    def start_producer(self, *symbols: str) -> Replica:
        address = f"127.0.0.1:{self.port}"
        return self.deployment.start(
            "services.producer",
            EXCHANGE_REST_URL=f"http://{address}",
            EXCHANGE_STREAM_URL=f"ws://{address}",
            SYMBOLS=",".join(symbols),
            BACKFILL_CANDLES=str(BACKFILL),
            CLOSE_GRACE_S="0.5",
        )

    def records(self) -> list[ConsumerRecord]:
        return self.deployment.read(self.deployment.topics.klines)

    def candles(self, source: str) -> list[Candle]:
        """Return the candles that came from the stream or from REST."""
        codec = self.deployment.settings.codec
        values = [
            codec.decode(record.value, record.partition)
            for record in self.records()
            if (record.headers or {})["source"] == source.encode()
        ]
        return [value for value in values if isinstance(value, Candle)]

    def has_live_candles(self, count: int) -> bool:
        return len(self.candles("stream")) >= count


@pytest.fixture
def exchange(deployment: Deployment) -> FollowedExchange:
    return FollowedExchange(deployment)


def number(candle: Candle) -> int:
    return (candle.open_time_ms - ORIGIN_MS) // STEP_MS


def test_candles_carry_the_market_s_move_of_their_interval(exchange: FollowedExchange) -> None:
    topics, kafka = exchange.deployment.topics, exchange.deployment.kafka
    BasketStore(kafka, topics).publish(BASKETS)
    exchange.start()
    producer = exchange.start_producer(*FOLLOWED)
    eventually(lambda: exchange.has_live_candles(25 * len(FOLLOWED)), 90)

    past, live = exchange.candles("rest"), exchange.candles("stream")
    assert {candle.symbol for candle in past + live} == set(FOLLOWED)
    assert len(past) >= BACKFILL * len(FOLLOWED)
    assert all(candle.market == true_move(number(candle), BASKETS) for candle in past)
    assert sum(candle.market is not None for candle in live) >= 0.99 * len(live)
    for candle in live:
        move, true = candle.market, true_move(number(candle), BASKETS)
        assert move is not None
        assert (move.symbols, move.baskets) == (len(LISTED), BASKETS.version)
        assert move.change == pytest.approx(true.change, abs=0.001)
    assert producer.metric("ulstm_producer_candles_without_market_total") <= 0.01 * len(live)
    assert producer.metric("ulstm_producer_market_symbols") == len(LISTED)


def test_a_symbol_that_joins_later_has_the_moves_that_the_log_has(
    exchange: FollowedExchange,
) -> None:
    exchange.start()
    first = exchange.start_producer(*FOLLOWED)
    eventually(lambda: exchange.has_live_candles(10 * len(FOLLOWED)), 90)
    first.kill()
    logged = moves_by_time(exchange)
    joining = LISTED[5]
    exchange.start_producer(*FOLLOWED, joining)
    eventually(lambda: any(each.symbol == joining for each in exchange.candles("stream")), 90)

    joined = [each for each in exchange.candles("rest") if each.symbol == joining]
    known = [each for each in joined if each.open_time_ms in logged]

    assert len(known) >= 1_000
    assert all(each.market in logged[each.open_time_ms] for each in known)
    assert all(each.market is not None for each in joined)


def moves_by_time(exchange: FollowedExchange) -> dict[int, list[MarketMove | None]]:
    found = defaultdict[int, list[MarketMove | None]](list)
    for candle in exchange.candles("rest") + exchange.candles("stream"):
        found[candle.open_time_ms].append(candle.market)
    return found
