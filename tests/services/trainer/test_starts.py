"""The trainer hands over what each symbol has learnt, so that a retraining forgets nothing."""

from dataclasses import replace

import numpy as np
import pytest

from services.trainer import starts
from services.trainer.starts import build_starts
from shared.adapters.bundle_codec import decode_bundle, encode_bundle
from shared.core.model.card import Bundle
from shared.core.online.model import Model
from shared.core.records import Candle
from shared.core.sequence import candle_row
from tests.shared.core.online.models import BOTH, HEAD, RETURNS, SGD, WINDOW
from tests.support.builders import CONTEXT, a_promotion, a_walk, candles, fold_all

SYMBOLS = ("BTCUSDT", "ETHUSDT")
DAY = 288
DAYS = [candles(a_walk(3 * DAY, seed), symbol) for seed, symbol in enumerate(SYMBOLS)]
SEQUENCES = {
    symbol: np.concatenate([candle_row(c) for c in records if isinstance(c, Candle)])
    for symbol, records in zip(SYMBOLS, DAYS, strict=True)
}


def release(bundle: Bundle, day: int, champion: Bundle | None = None) -> Model:
    """The model as a training at the end of a day publishes it."""
    seen = {symbol: sequence[: day * DAY] for symbol, sequence in SEQUENCES.items()}
    found = build_starts(bundle, champion, seen, 10_000, CONTEXT)
    data = encode_bundle(bundle.card, bundle.weights, bundle.head, found)
    return Model(decode_bundle(f"day-{day}", data))


def test_a_daily_retraining_forgets_nothing() -> None:
    first, second = release(HEAD.bundle, 1), release(HEAD.bundle, 2)
    models = {model.version: model for model in (first, second)}
    records = DAYS[0]

    before, _ = fold_all([*records[:DAY], a_promotion(first), *records[DAY : 2 * DAY + 5]], models)
    after, _ = fold_all([a_promotion(second)], models, before, first_offset=before.next_offset)

    lived, retrained = before.symbols["BTCUSDT"], after.symbols["BTCUSDT"]
    assert lived.calibration.outcomes == 2 * DAY + 5 - WINDOW
    assert retrained.calibration == lived.calibration
    assert retrained.head is not None
    assert lived.head is not None
    assert np.array_equal(retrained.head.parameters, lived.head.parameters)


def test_a_daily_retraining_keeps_the_evidence() -> None:
    """The wealth goes on with the champion's bets; a model with others does not begin anew."""
    first = release(RETURNS.bundle, 1)
    second = release(SGD.bundle, 2, first.bundle)
    models = {model.version: model for model in (first, second)}
    records = DAYS[0]

    before, _ = fold_all([*records[:DAY], a_promotion(first), *records[DAY : 2 * DAY]], models)
    after, _ = fold_all([a_promotion(second)], models, before, first_offset=before.next_offset)

    lived, retrained = before.symbols["BTCUSDT"].evidence, after.symbols["BTCUSDT"].evidence
    assert lived.wealth not in (1.0, first.starts["BTCUSDT"].evidence.wealth)
    assert retrained == lived


def test_a_daily_retraining_no_longer_resets_actionable() -> None:
    """A price that goes to and fro can be forecast, and stays so from one version to the next."""
    records = candles([100.0 * (1.001 if at % 2 else 1.0) for at in range(2 * DAY + 1)])
    sequence = np.concatenate([candle_row(c) for c in records if isinstance(c, Candle)])
    sequences = {"BTCUSDT": sequence[: 2 * DAY]}
    starts_found = build_starts(RETURNS.bundle, None, sequences, 10_000, CONTEXT)
    data = encode_bundle(RETURNS.card, RETURNS.bundle.weights, None, starts_found)
    retrained = Model(decode_bundle("retrained", data))

    for model, is_actionable in ((retrained, True), (RETURNS, False)):
        log = [*records[: 2 * DAY], a_promotion(model), records[2 * DAY]]
        _, predictions = fold_all(log, {model.version: model})
        assert [one.actionable for one in predictions] == [is_actionable]


def test_only_the_newest_candles_are_folded() -> None:
    one = {"BTCUSDT": SEQUENCES["BTCUSDT"]}

    model = Model(replace(HEAD.bundle, starts=build_starts(HEAD.bundle, None, one, 100, CONTEXT)))

    assert model.starts["BTCUSDT"].calibration.outcomes == 100 - WINDOW


def test_no_candles_give_no_starts() -> None:
    assert build_starts(HEAD.bundle, None, SEQUENCES, 0, CONTEXT) == {}


def test_a_symbol_with_less_than_a_window_has_no_start() -> None:
    few = {**SEQUENCES, "NEWUSDT": SEQUENCES["BTCUSDT"][: WINDOW - 1]}

    assert list(build_starts(HEAD.bundle, None, few, 50, CONTEXT)) == list(SYMBOLS)


def test_a_start_that_a_bundle_cannot_hold_keeps_all_but_its_weights(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    everything = build_starts(BOTH.bundle, None, SEQUENCES, 50, CONTEXT)
    monkeypatch.setattr(starts, "_MOST_BYTES", sum(map(len, everything.values())) - 1)

    found = build_starts(BOTH.bundle, None, SEQUENCES, 50, CONTEXT)
    whole, lean = (
        Model(replace(BOTH.bundle, starts=everything)),
        Model(replace(BOTH.bundle, starts=found)),
    )

    assert found["BTCUSDT"] == everything["BTCUSDT"]
    assert lean.starts["ETHUSDT"].calibration == whole.starts["ETHUSDT"].calibration
    assert lean.starts["ETHUSDT"].learner is None
    assert len(found["ETHUSDT"]) < len(everything["ETHUSDT"])


def test_a_symbol_goes_on_from_a_start_without_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starts, "_MOST_BYTES", 0)
    model = release(BOTH.bundle, 1)
    log = [*DAYS[0][:DAY], a_promotion(model), *DAYS[0][DAY : DAY + 3]]

    after, predictions = fold_all(log, {model.version: model})

    learnt = model.starts["BTCUSDT"].calibration.outcomes
    assert len(predictions) == 3
    assert after.symbols["BTCUSDT"].calibration.outcomes == learnt + 2
