"""Scoring is the live fold with a promotion at the first held-out candle."""

import numpy as np
import pytest

from services.trainer.evaluate import frozen, held_out_of, pooled, relative_error, score, with_windows
from services.trainer.release import judge
from services.trainer.report import result_table
from services.trainer.settings import Policy
from shared.core.arrays import Float64s
from shared.core.candle import Candle
from shared.core.scores import Scores
from shared.core.state import row_of
from tests.builders import DEPLOYMENT, START_MS, STEP_MS, a_bundle, a_model, a_promotion, a_walk, candles, fold_all


def a_sequence(seed: int, count: int = 120) -> Float64s:
    made = [c for c in candles(a_walk(count, seed)) if isinstance(c, Candle)]
    return np.concatenate([row_of(candle) for candle in made])


SEQUENCES = {f"S{seed}USDT": a_sequence(seed) for seed in range(3)}
FROM_MS = START_MS + 60 * STEP_MS


def test_scores_are_those_of_the_live_fold() -> None:
    model = a_model()
    parts = held_out_of({"BTCUSDT": a_sequence(1)}, FROM_MS, 40, 1)
    records = candles(a_walk(120, 1))

    scores = score(model.bundle, parts, DEPLOYMENT)

    live = [*records[:60], a_promotion(model), *records[60:100]]
    group, _ = fold_all(live, {model.version: model})
    assert scores == {"BTCUSDT": group.symbols["BTCUSDT"].scores}
    assert scores["BTCUSDT"].n == 39


def test_threads_change_no_score() -> None:
    parts = held_out_of(SEQUENCES, FROM_MS, 1000, 10)

    assert score(a_bundle(), parts, DEPLOYMENT, threads=2) == score(a_bundle(), parts, DEPLOYMENT)


def test_the_model_that_does_not_learn_keeps_its_weights() -> None:
    parts = held_out_of(SEQUENCES, FROM_MS, 1000, 10)
    still = score(frozen(a_bundle()), parts, DEPLOYMENT)

    learning = score(a_bundle(), parts, DEPLOYMENT)

    assert still.keys() == learning.keys()
    assert all(still[symbol] != learning[symbol] for symbol in still)
    assert pooled(still).squared_error_zero == pooled(learning).squared_error_zero


def test_symbols_are_chosen_evenly_and_need_a_window_before() -> None:
    parts = held_out_of({**SEQUENCES, "NEWUSDT": a_sequence(9)[55:]}, FROM_MS, 10, 100)

    assert [part.symbol for part in parts] == [*SEQUENCES, "NEWUSDT"]
    assert [part.symbol for part in with_windows(parts, 16)] == list(SEQUENCES)
    assert [part.symbol for part in held_out_of(SEQUENCES, FROM_MS, 10, 2)] == ["S0USDT", "S2USDT"]


def test_nothing_held_out_gives_no_error_and_a_table_all_the_same() -> None:
    scores = score(a_bundle(), [], DEPLOYMENT, threads=2)

    assert relative_error(scores) is None
    assert result_table({"candidate": scores}).row_count == 2
    assert relative_error({"FLATUSDT": Scores(5, 0.1, 0.0)}) is None


@pytest.mark.parametrize(
    ("policy", "candidate", "incumbent", "has_incumbent", "promoted"),
    [
        ("better", 0.98, 0.99, True, True),
        ("better", 0.99, 0.99, True, False),
        ("better", 1.20, None, False, True),
        ("better", None, None, False, True),
        ("better", None, 0.99, True, False),
        ("better", 0.99, None, True, True),
        ("better", None, None, True, False),
        ("always", 1.20, 0.99, True, True),
        ("never", 0.10, None, False, False),
    ],
)
def test_the_policy_decides(
    policy: Policy, candidate: float | None, incumbent: float | None, has_incumbent: bool, promoted: bool
) -> None:
    verdict = judge(policy, candidate, incumbent, has_incumbent=has_incumbent)

    assert verdict.promote is promoted
    assert verdict.reason
