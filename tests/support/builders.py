"""Valid values by default; a test overrides what it is about."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import inf

import numpy as np

from shared.adapters.bundle_codec import decode_bundle, encode_bundle, version_of
from shared.adapters.schemas.kline_messages import CandleMessage
from shared.adapters.schemas.klines import encode_record
from shared.core.arrays import Float64s
from shared.core.errors import BadInput
from shared.core.evaluation.comparison import CHALLENGER, CHALLENGER_RAW, CHAMPION, Comparison
from shared.core.evaluation.forecasts import ForecastSeries, SeriesBySymbol
from shared.core.features.registry import feature_set
from shared.core.model.architecture import Architecture
from shared.core.model.card import Bundle, Card, Learns
from shared.core.model.head import Head, HeadSettings, diagonal_head
from shared.core.model.optimiser import Optimiser
from shared.core.model.scaler import Scaler
from shared.core.online.context import FoldContext
from shared.core.online.model import Model
from shared.core.online.partition import PartitionChange, PartitionState, fold, skip_record
from shared.core.online.prediction import Prediction
from shared.core.online.start import build_start
from shared.core.online.state_codec import encode_state
from shared.core.records import Candle, Promotion, Record
from shared.core.sequence import candle_row

STEP_MS = 300_000
START_MS = 1_735_689_600_000  # 2025-01-01 00:00 UTC
CONTEXT = FoldContext("5m", STEP_MS, "4-test")


def a_candle(
    at: int = 0, close: float = 100.0, symbol: str = "BTCUSDT", opened: float | None = None
) -> Candle:
    opened = close if opened is None else opened
    high, low = max(opened, close) * 1.001, min(opened, close) * 0.999
    return Candle(symbol, START_MS + at * STEP_MS, opened, high, low, close, 1.0)


def candles(closes: Sequence[float], symbol: str = "BTCUSDT", start: int = 0) -> list[Record]:
    return [a_candle(start + i, close, symbol) for i, close in enumerate(closes)]


def a_sequence(seed: int, count: int = 120) -> Float64s:
    """Return a symbol's candles (count, columns), which follow a random walk."""
    rows = [candle_row(a_candle(at, close)) for at, close in enumerate(a_walk(count, seed))]
    return np.concatenate(rows)


def a_walk(n: int, seed: int = 1, price: float = 100.0) -> list[float]:
    """A seeded random walk of closes."""
    changes = np.random.default_rng(seed).normal(scale=0.002, size=n)
    return [float(x) for x in price * np.cumprod(1.0 + changes)]


def a_card(
    window_length: int = 16,
    widths: tuple[int, ...] = (8,),
    rate: float = 1e-3,
    scalers: Mapping[str, Scaler] | None = None,
    label_scale: float = 1e-3,
    features: str = "levels",
    huber_delta: float = inf,
    optimiser: Optimiser | None = None,
    learns: Learns = "gradient",
) -> Card:
    return Card(
        architecture=Architecture(widths, window_length, feature_set(features).columns),
        feature_set=features,
        label_scale=label_scale,
        optimiser=optimiser or Optimiser(rate=rate),
        learns=learns,
        head=HeadSettings(0.999, 100.0, 8.0) if has_head(learns) else HeadSettings(),
        huber_delta=huber_delta,
        scalers=scalers or {},
        trained_from_ms=START_MS,
        trained_through_ms=START_MS + 1000 * STEP_MS,
    )


def a_bundle(seed: int = 1, card: Card | None = None, reach: float = 0.3) -> Bundle:
    data = bundle_bytes(seed, card, reach)
    return decode_bundle(version_of(card or a_card(), data), data)


def bundle_bytes(seed: int = 1, card: Card | None = None, reach: float = 0.3) -> bytes:
    card = card or a_card()
    weights = np.random.default_rng(seed).uniform(-reach, reach, card.architecture.weight_count())
    head = a_head(card, seed) if has_head(card.learns) else None
    return encode_bundle(card, weights.astype(np.float32), head)


def has_head(learns: Learns) -> bool:
    return learns in {"head", "both"}


def a_head(card: Card, seed: int = 1) -> Head:
    inputs = card.architecture.widths[-1] + card.architecture.features + 1
    rng = np.random.default_rng(seed)
    return diagonal_head(rng.uniform(-0.1, 0.1, inputs), rng.uniform(0.5, 2.0, inputs))


def started_bundle_bytes(symbols: Sequence[str], seed: int = 1, card: Card | None = None) -> bytes:
    """A bundle whose symbols start where their first candles, of a walk of its own, have led."""
    model = a_model(seed, card)
    starts = {}
    for symbol in symbols:
        sequence = a_sequence(seed, 2 * model.window_length)
        start = build_start(symbol, sequence[: model.window_length + 4], model, CONTEXT)
        if start is not None:
            starts[symbol] = encode_state(start)
    return encode_bundle(model.card, model.bundle.weights, model.bundle.head, starts)


def a_model(seed: int = 1, card: Card | None = None, reach: float = 0.3) -> Model:
    return Model(a_bundle(seed, card, reach))


def a_promotion(model: Model, numeric_profile: str = CONTEXT.numeric_profile) -> Promotion:
    return Promotion(model.version, model.bundle.sha256, numeric_profile)


def fold_all(
    records: Sequence[Record],
    models: Mapping[str, Model],
    state: PartitionState | None = None,
    first_offset: int = 0,
) -> tuple[PartitionState, list[Prediction]]:
    """Fold records into a copy of the state; rejected ones are skipped, as by the predictor."""
    state = state.copy() if state else PartitionState()
    predictions = []
    for offset, record in enumerate(records, start=first_offset):
        version = record.model_version if isinstance(record, Promotion) else state.model_version
        model = models[version] if version is not None else None
        try:
            change = fold(state, record, offset, model, CONTEXT)
        except BadInput:
            change = skip_record(state, offset)
        state.apply(change)
        if change.prediction is not None:
            predictions.append(change.prediction)
    return state, predictions


def a_partition_state(n: int = 20) -> PartitionState:
    """A promotion, then n candles of two symbols."""
    model = a_model()
    records = [a_promotion(model), *candles(a_walk(n)), *candles(a_walk(n, seed=2), "ETHUSDT")]
    return fold_all(records, {model.version: model})[0]


def applied(state: PartitionState, change: PartitionChange) -> PartitionState:
    """Return the state after a change; the one before it stays as it is."""
    after = state.copy()
    after.apply(change)
    return after


def candle_message(
    at: int = 0, symbol: str = "BTCUSDT", close: str = "100.5", **fields: object
) -> CandleMessage:
    given: dict[str, object] = {
        "type": "candle",
        "symbol": symbol,
        "interval": "5m",
        "open_time_ms": START_MS + at * STEP_MS,
        "open": "100.0",
        "high": "1000.0",
        "low": "1.0",
        "close": close,
        "volume": "12.5",
    }
    return CandleMessage.model_validate(given | fields)


def candle_bytes(
    at: int = 0, symbol: str = "BTCUSDT", close: str = "100.5", **fields: object
) -> bytes:
    return encode_record(candle_message(at, symbol, close, **fields))


def interleaved_candles(symbols: Sequence[str], start: int, stop: int) -> list[tuple[str, bytes]]:
    """Return (symbol, record) of candles number `start` up to `stop`, ordered by time.

    Each symbol's closes are a random walk of its own.
    """
    walks = {symbol: a_walk(stop, seed) for seed, symbol in enumerate(symbols)}
    return [
        (symbol, candle_bytes(at, symbol, f"{walks[symbol][at]:.6f}"))
        for at in range(start, stop)
        for symbol in symbols
    ]


def some_forecasts(
    symbols: int = 3, count: int = 400, seed: int = 7, realised: float = 0.5
) -> SeriesBySymbol:
    """Random forecasts of changes of about 0.002, of which the share `realised` comes true.

    Calibrated, they are multiplied by that share.
    """
    random = np.random.default_rng(seed)
    series = {}
    for symbol in range(symbols):
        change = random.normal(scale=5e-4, size=count)
        outcome = realised * change + random.normal(scale=2e-3, size=count)
        times = START_MS + STEP_MS * np.arange(count, dtype=np.float64)
        series[f"S{symbol}USDT"] = ForecastSeries(times, change, realised * change, outcome)
    return series


def a_comparison(series: SeriesBySymbol | None = None) -> Comparison:
    """A challenger, calibrated and raw."""
    series = some_forecasts() if series is None else series
    volatility = {symbol: np.full(len(one.outcome), 2e-3) for symbol, one in series.items()}
    comparison = Comparison(series, volatility)
    comparison.add(CHALLENGER, series)
    comparison.add(CHALLENGER_RAW, series, raw=True)
    return comparison


def a_comparison_before() -> Comparison:
    """The champion, over the candles before those of `a_comparison`."""
    series = {
        symbol: replace(one, open_time_ms=one.open_time_ms - 400 * STEP_MS)
        for symbol, one in some_forecasts(seed=8).items()
    }
    before = Comparison(series, {symbol: np.full(400, 2e-3) for symbol in series})
    before.add(CHAMPION, series, raw=True)
    return before
