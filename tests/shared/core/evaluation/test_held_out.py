"""Which candles are held out, of which symbols."""

import numpy as np

from shared.core.evaluation.forecasts import hold_out, hold_out_before, with_full_windows
from tests.support.builders import START_MS, STEP_MS, a_sequence

SEQUENCES = {f"S{seed}USDT": a_sequence(seed) for seed in range(3)}
FROM_MS = START_MS + 60 * STEP_MS


def test_symbols_are_chosen_evenly_and_need_a_full_window_before() -> None:
    spans = hold_out({**SEQUENCES, "NEWUSDT": a_sequence(9)[55:]}, FROM_MS, 10, 100)

    assert [span.symbol for span in spans] == [*SEQUENCES, "NEWUSDT"]
    assert [len(span.candles) for span in spans] == [10] * 4
    assert [span.symbol for span in with_full_windows(spans, 16)] == list(SEQUENCES)
    assert [span.symbol for span in hold_out(SEQUENCES, FROM_MS, 10, 2)] == ["S0USDT", "S2USDT"]


def test_the_span_before_a_moment_is_as_long_as_the_one_after_it() -> None:
    spans = hold_out_before(SEQUENCES, FROM_MS, 20, STEP_MS)
    scarce = hold_out_before({"S1USDT": SEQUENCES["S1USDT"][:70]}, FROM_MS, 20, STEP_MS)

    assert [span.symbol for span in spans] == list(SEQUENCES)
    for span in spans:
        np.testing.assert_array_equal(span.sequence, SEQUENCES[span.symbol][:60])
        assert len(span.candles) == 20
    assert len(scarce[0].candles) == 10


def test_nothing_comes_before_nothing() -> None:
    assert hold_out_before({}, FROM_MS, 20, STEP_MS) == []
    assert hold_out({}, FROM_MS, 20, 10) == []
