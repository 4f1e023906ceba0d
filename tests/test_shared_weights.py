"""One set of weights for all symbols: the original project's way, for comparison."""

import numpy as np

from benchmarks.shared_weights import forecast_with_shared_weights
from shared.core.evaluation.backtest import run_backtest
from shared.core.evaluation.forecasts import hold_out
from shared.core.features.levels import Levels
from shared.core.model.scaler import fit_min_max_scaler
from shared.core.sequence import CLOSE
from tests.support.builders import (
    CONTEXT,
    START_MS,
    STEP_MS,
    a_bundle,
    a_card,
    a_model,
    a_sequence,
)

SEQUENCES = {f"S{seed}USDT": a_sequence(seed) for seed in range(3)}
SPANS = hold_out(SEQUENCES, START_MS + 60 * STEP_MS, 1000, 10)


def test_one_set_of_weights_for_one_symbol_is_the_live_fold() -> None:
    bundle = a_bundle()
    expected = run_backtest(bundle, CONTEXT, SPANS[0]).series(STEP_MS)

    series = forecast_with_shared_weights(bundle, SPANS[:1], CONTEXT)["S0USDT"]

    assert series.change.tolist() == expected.change.tolist()
    assert series.calibrated.tolist() == expected.calibrated.tolist()


def test_one_set_of_weights_learns_from_one_symbol_after_the_other() -> None:
    """Derive the same steps a second time, from the network alone."""
    model = a_model()
    network, learner, optimiser = model.network, model.base_learner, model.card.optimiser
    expected: dict[str, list[float]] = {span.symbol: [] for span in SPANS[:2]}
    for at in range(60, 120):
        for span in SPANS[:2]:
            rows = Levels().compute(span.sequence, STEP_MS).rows
            scaler = fit_min_max_scaler(rows[45:61])
            before, now = (scaler.apply(rows[end - 15 : end + 1]) for end in (at - 1, at))
            if at > 60:
                change = span.sequence[at, CLOSE] / span.sequence[at - 1, CLOSE] - 1.0
                output, jacobian = network.jacobian(learner.weights, before)
                error = output - np.float32(change / model.card.label_scale)
                learner = network.step(learner, optimiser, error, jacobian)
            expected[span.symbol].append(
                float(network.predict(learner.weights, now)) * model.card.label_scale
            )

    series = forecast_with_shared_weights(model.bundle, SPANS[:2], CONTEXT)

    assert {symbol: one.change.tolist() for symbol, one in series.items()} == {
        s: f[:-1] for s, f in expected.items()
    }


def test_weights_that_overflow_are_reset() -> None:
    wild = a_bundle(card=a_card(rate=1.0, label_scale=1e-9))

    series = forecast_with_shared_weights(wild, SPANS, CONTEXT)

    assert all(np.isfinite(one.change).all() for one in series.values())
