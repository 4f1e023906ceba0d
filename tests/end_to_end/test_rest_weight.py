"""What a start with many symbols costs of the exchange's request limit."""

import json
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from services.exchange_simulator.limits import WEIGHT_PER_MINUTE
from tests.support.deployment import Deployment
from tests.support.simulated_exchange import SimulatedExchange
from tests.support.waiting import eventually

pytestmark = [pytest.mark.integration, pytest.mark.end_to_end, pytest.mark.timeout(300)]

SYMBOLS, CANDLES = 1_024, 20


@pytest.fixture
def exchange(deployment: Deployment, tmp_path: Path) -> SimulatedExchange:
    exchange = SimulatedExchange(deployment, tmp_path)
    symbols = {"EXCHANGE_CANDLES": "", "EXCHANGE_SYMBOLS": str(SYMBOLS), "EXCHANGE_HISTORY": "100"}
    exchange.start(EXCHANGE_SPEED="1", **symbols)
    return exchange


def usage(exchange: SimulatedExchange) -> dict[str, Any]:
    with urlopen(f"http://127.0.0.1:{exchange.port}/usage") as response:
        found: dict[str, Any] = json.load(response)
    return found


def test_a_start_with_1024_symbols_costs_one_request_of_each(exchange: SimulatedExchange) -> None:
    producer = exchange.start_producer(["all"], BACKFILL_CANDLES=str(CANDLES))

    eventually(producer.is_ready, 250, poll_interval_s=0.5)

    used = usage(exchange)
    # A request that a slow simulator does not answer in time is made again.
    repeated = 2 * producer.metric("ulstm_producer_rest_failures_total")
    assert used["total_weight"] - repeated <= 2_100
    assert used["largest_weight_in_a_minute"] <= 0.6 * WEIGHT_PER_MINUTE
    assert used["refusals"] == {}
    assert exchange.count() >= 0.9 * SYMBOLS * CANDLES
