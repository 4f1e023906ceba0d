"""The same log gives the same bytes, as long as the numeric profile has the same version."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final

import numpy as np

from shared.adapters.schemas.predictions import encode_prediction
from shared.core.features.registry import FEATURE_SETS
from shared.core.model.numeric_profile import PROFILE_VERSION, fixed_numbers
from shared.core.online.model import Model
from shared.core.records import Amendment, Candle, Fill, Gap, MarketMove, Record, SymbolStatus
from tests.shared.core.online.models import MODELS, WINDOW
from tests.support.builders import (
    START_MS,
    STEP_MS,
    a_candle,
    a_card,
    a_model,
    a_promotion,
    candles,
    fold_all,
)

# SHA-256 of the predictions, under the version of the numeric profile that makes them.
GOLDEN_PREDICTIONS: Final[Mapping[int, str]] = {
    5: "c6f748adb55e95c741041b3f921e5ac09969d2a008091497c1edfe774c694c3c",
}

COUNT: Final = WINDOW + 30
GAP: Final = 3  # candles
FILLED: Final = COUNT + 12
BASKETS: Final = "0000000a"
MOST_MOVES: Final = 0.008  # beyond it the market is unknown


def a_model_of_each_kind() -> Iterator[Model]:
    """The models that the online step distinguishes, and one of each feature set."""
    yield from MODELS.values()
    for name in sorted(FEATURE_SETS):
        card = replace(a_card(features=name, label_scale=1.0), baskets=BASKETS)
        yield a_model(seed=4, card=card)


def a_log(model: Model) -> list[Record]:
    """A promotion, candles, an amendment, a gap and a part of it filled, an end and a beginning."""
    closes = 100.0 * np.cumprod(1.0 + fixed_numbers(2 * COUNT, 0.01).astype(np.float64))
    resumed = COUNT + GAP
    records = [
        a_promotion(model),
        *candles(closes[:COUNT].tolist()),
        Amendment(a_candle(COUNT - 5, float(closes[COUNT - 5]) * 1.01)),
        *candles(closes[COUNT : COUNT + 1].tolist(), start=COUNT),
        Gap("BTCUSDT", START_MS + (COUNT + 1) * STEP_MS, START_MS + (resumed + 1) * STEP_MS),
        *candles(closes[COUNT + 1 : FILLED].tolist(), start=resumed + 1),
        Fill(a_candle(COUNT + 2, float(closes[COUNT + 1]) * 0.99)),
        *candles(closes[FILLED:].tolist(), start=FILLED + GAP),
        SymbolStatus("BTCUSDT", START_MS + (2 * COUNT + GAP) * STEP_MS, "removed", "by the user"),
        *candles(closes[:COUNT].tolist(), start=3 * COUNT),
    ]
    moves = fixed_numbers(len(records), 0.01).astype(np.float64).tolist()
    return [with_market(record, move) for record, move in zip(records, moves, strict=True)]


def with_market(record: Record, move: float) -> Record:
    """Return a candle with the market's move, one of each kind; another record as it is."""
    if not isinstance(record, Candle) or move > MOST_MOVES:
        return record
    baskets = BASKETS if move > 0.0 else "00000000"
    changes = tuple(None if number == 3 else move / (number + 1) for number in range(4))
    return replace(record, market=MarketMove(move, 40, baskets, changes))


def test_the_same_log_gives_the_bytes_of_the_numeric_profile() -> None:
    digest = hashlib.sha256()
    for model in a_model_of_each_kind():
        _, predictions = fold_all(a_log(model), {model.version: model})
        for prediction in predictions:
            digest.update(encode_prediction(prediction))

    assert {PROFILE_VERSION: digest.hexdigest()} == GOLDEN_PREDICTIONS, (
        "predictions, or the bundles that are accepted, have changed: raise PROFILE_VERSION in"
        " shared/core/model/numeric_profile.py and enter the digest here under the new version"
    )
