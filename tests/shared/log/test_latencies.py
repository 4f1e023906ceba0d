from shared.core.records import Candle
from shared.log.latencies import Latencies
from tests.support.builders import (
    START_MS,
    STEP_MS,
    a_model,
    a_promotion,
    a_walk,
    candles,
    fold_all,
)

LIVE = Candle("BTCUSDT", START_MS, 1.0, 1.0, 1.0, 1.0, 1.0)
END_MS = START_MS + STEP_MS


def headers(arrival_ms: int, source: bytes = b"stream") -> dict[str, bytes]:
    return {"source": source, "arrival_ms": b"%d" % arrival_ms}


def test_the_way_of_a_candle_has_two_parts() -> None:
    model = a_model()
    _, predictions = fold_all([a_promotion(model), *candles(a_walk(20))], {model.version: model})
    first, latencies = predictions[0], Latencies(STEP_MS)
    candle = Candle(first.symbol, first.open_time_ms - STEP_MS, 1.0, 1.0, 1.0, 1.0, 1.0)

    assert latencies.add_candle(candle, headers(first.open_time_ms + 40))
    latencies.add_prediction(first, first.open_time_ms + 55.0)

    assert (latencies.to_arrival_ms(0.5), latencies.to_readable_ms(0.5)) == (40, 15)
    assert latencies.describe() == (
        "close to arrival p50 40 ms p99 40 ms, arrival to readable prediction p50 15 ms p99 15 ms"
    )


def test_candles_of_rest_and_of_another_clock_say_nothing_about_arrival() -> None:
    latencies = Latencies(STEP_MS)

    assert not latencies.add_candle(LIVE, headers(END_MS + 5, b"rest"))
    assert latencies.add_candle(LIVE, headers(END_MS + 10**10))

    assert latencies.to_arrival_ms(0.5) is None
