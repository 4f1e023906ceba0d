"""Held-out candles are forecast by the live fold on all processors, then compared."""

import numpy as np
import pytest

from services.trainer.evaluate import HeldOutEvaluation, map_spans
from shared.core.evaluation.comparison import (
    CHALLENGER,
    CHALLENGER_FROZEN,
    CHALLENGER_RAW,
    CHAMPION,
    ZERO_CHANGE,
    Comparison,
)
from shared.core.evaluation.contenders import Contenders
from shared.core.evaluation.forecasts import hold_out
from shared.core.evaluation.online_ridge import RETURNS_RIDGE
from shared.reporting.tables import comparison_table
from tests.support.builders import CONTEXT, START_MS, STEP_MS, a_bundle, a_card, a_sequence

SEQUENCES = {f"S{seed}USDT": a_sequence(seed) for seed in range(3)}
FROM_MS = START_MS + 60 * STEP_MS
EVALUATION = HeldOutEvaluation(SEQUENCES, FROM_MS, 1000, 10, CONTEXT)


def test_the_number_of_threads_changes_no_forecast() -> None:
    contenders = Contenders({CHALLENGER: a_bundle()}, CONTEXT)
    spans = hold_out(SEQUENCES, FROM_MS, 1000, 10)

    one, two = (map_spans(contenders.forecast, spans, threads=threads) for threads in (1, 2))

    for alone, parallel in zip(one, two, strict=True):
        assert alone.symbol == parallel.symbol
        left, right = alone.series[CHALLENGER], parallel.series[CHALLENGER]
        assert np.array_equal(left.change, right.change)
        assert np.array_equal(left.calibrated, right.calibrated)


def test_all_contenders_are_compared_over_the_same_candles() -> None:
    comparison = EVALUATION.compare(a_bundle(), a_bundle(2)).comparison

    assert comparison.names == [
        ZERO_CHANGE,
        CHALLENGER,
        CHALLENGER_RAW,
        CHALLENGER_FROZEN,
        CHAMPION,
        RETURNS_RIDGE,
    ]
    assert comparison.outcomes == 3 * 59
    assert comparison_table(comparison).row_count == 6


def test_only_symbols_with_a_window_for_every_version_are_compared() -> None:
    champion = a_bundle(2, a_card(window_length=61))

    assert EVALUATION.compare(a_bundle(), None).comparison.symbols == list(SEQUENCES)
    assert EVALUATION.compare(a_bundle(), champion).comparison.symbols == []


def test_the_champion_is_scored_right_before_the_held_out_candles_as_well() -> None:
    before = EVALUATION.score_before(a_bundle(), ["S0USDT"]).comparison

    assert before.names == [ZERO_CHANGE, CHAMPION]
    assert before.moments.tolist() == []

    shorter = HeldOutEvaluation(SEQUENCES, FROM_MS, 20, 10, CONTEXT)
    before = shorter.score_before(a_bundle(), list(SEQUENCES)).comparison

    assert before.outcomes == 3 * 19
    assert before.moments[-1] == FROM_MS - STEP_MS


def test_a_stop_ends_an_evaluation() -> None:
    def stop(_: object) -> None:
        raise InterruptedError

    stopping = HeldOutEvaluation(SEQUENCES, FROM_MS, 1000, 10, CONTEXT, lambda _: stop)

    with pytest.raises(InterruptedError):
        stopping.compare(a_bundle(), None)


def test_without_held_out_candles_there_is_still_a_table() -> None:
    comparison = Comparison({}, {})
    comparison.add(CHALLENGER, {})

    assert comparison_table(comparison).row_count == 2
