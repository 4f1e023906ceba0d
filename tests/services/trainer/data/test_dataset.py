"""Nothing of a later span reaches an earlier one."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.trainer.data.dataset import (
    Dataset,
    DatasetOptions,
    Int64s,
    Split,
    build_dataset,
    common_moves,
    draw_epoch,
    split_by_time,
    spread_evenly,
    training_candles,
)
from shared.core.arrays import Float64s
from shared.core.evaluation.forecasts import next_changes
from shared.core.features.levels import Levels
from shared.core.features.returns import Returns
from shared.core.model.scaler import fit_min_max_scaler
from shared.core.sequence import CLOSE, HIGH, LOW, OPEN
from tests.support.builders import START_MS, STEP_MS

WINDOW = 16
SHARES = (0.2, 0.2, 10_000)  # validation, held out, held-out candles at most
INPUTS = DatasetOptions("levels", WINDOW, is_common_move_removed=False)


def a_sequence(present: list[bool], seed: int = 0) -> Float64s:
    """Return candles of a random walk where `present` is true."""
    at = np.flatnonzero(present)
    closes = 100 * np.cumprod(1 + np.random.default_rng(seed).normal(scale=0.01, size=len(at)))
    columns = [START_MS + at * STEP_MS, closes, closes * 1.01, closes * 0.99, closes, closes]
    return np.stack(columns, axis=1).astype(np.float64)


def rows_of(sequence: Float64s) -> Float64s:
    return Levels().compute(sequence, STEP_MS).rows


def prepared(
    sequences: dict[str, Float64s], inputs: DatasetOptions = INPUTS
) -> tuple[Split, Dataset]:
    split = split_by_time(sequences, STEP_MS, *SHARES)
    scalers = {
        symbol: fit_min_max_scaler(rows_of(part))
        for symbol, sequence in sequences.items()
        if len(part := training_candles(sequence, split))
    }
    return split, build_dataset({s: sequences[s] for s in scalers}, scalers, inputs, split, STEP_MS)


presences = st.lists(st.sampled_from([True] * 9 + [False]), min_size=120, max_size=200).filter(
    lambda present: sum(present) > 100
)
markets = st.fixed_dictionaries({"AAAUSDT": presences, "BBBUSDT": presences})


def bytes_of(dataset: Dataset, ends: Int64s) -> bytes:
    return dataset.windows(ends).tobytes() + dataset.labels[ends].tobytes()


@pytest.mark.slow
@given(markets)
def test_later_candles_change_no_training_window_label_or_scaler(
    market: dict[str, list[bool]],
) -> None:
    before = {symbol: a_sequence(present) for symbol, present in market.items()}
    split, dataset = prepared(before)
    after = {symbol: sequence.copy() for symbol, sequence in before.items()}
    for sequence in after.values():
        sequence[len(training_candles(sequence, split)) :, 1:] *= 3.0

    _, again = prepared(after)

    assert bytes_of(again, again.training_ends) == bytes_of(dataset, dataset.training_ends)
    assert again.label_scale == dataset.label_scale


@pytest.mark.slow
@given(markets)
def test_held_out_candles_change_nothing_that_training_sees(market: dict[str, list[bool]]) -> None:
    before = {symbol: a_sequence(present) for symbol, present in market.items()}
    split, dataset = prepared(before)
    after = {symbol: sequence.copy() for symbol, sequence in before.items()}
    for sequence in after.values():
        sequence[sequence[:, 0] >= split.validation_until_ms, 1:] *= 3.0

    _, again = prepared(after)

    assert again.rows.tobytes() == dataset.rows.tobytes()
    assert again.labels.tobytes() == dataset.labels.tobytes()


@given(presences)
def test_every_window_ends_with_the_candle_before_its_label(present: list[bool]) -> None:
    sequence = a_sequence(present)
    split, dataset = prepared({"AAAUSDT": sequence})
    scaled = fit_min_max_scaler(rows_of(training_candles(sequence, split))).apply(rows_of(sequence))

    for ends, inside in [(dataset.training_ends, True), (dataset.validation_ends, False)]:
        for end in ends:
            assert sequence[end + 1, 0] == sequence[end, 0] + STEP_MS
            assert bool(sequence[end + 1, 0] < split.training_until_ms) is inside
            assert sequence[end + 1, 0] < split.validation_until_ms
            change = sequence[end + 1, CLOSE] / sequence[end, CLOSE] - 1.0
            assert dataset.labels[end] == np.float32(change / dataset.label_scale)
            window = dataset.windows(np.array([end]))[0]
            assert window.tobytes() == scaled[end + 1 - WINDOW : end + 1].tobytes()


@given(presences)
def test_labels_that_are_not_standardised_are_the_changes_as_they_are(present: list[bool]) -> None:
    sequence = a_sequence(present)

    _, dataset = prepared({"AAAUSDT": sequence}, replace(INPUTS, is_standardised=False))

    ends = dataset.training_ends
    changes = sequence[ends + 1, CLOSE] / sequence[ends, CLOSE] - 1.0
    assert dataset.label_scale == 1.0
    assert dataset.labels[ends].tolist() == changes.astype(np.float32).tolist()


def test_no_window_reaches_into_another_symbol() -> None:
    sequences = {
        name: a_sequence([True] * 150, seed) for seed, name in enumerate(["AAAUSDT", "BBBUSDT"])
    }

    split, dataset = prepared(sequences)

    seen = np.searchsorted(sequences["AAAUSDT"][:, 0], split.validation_until_ms)
    ends = np.concatenate([dataset.training_ends, dataset.validation_ends])
    assert not ((ends >= seen) & (ends < seen + WINDOW - 1)).any()
    assert (ends >= seen).any()


def test_a_gap_gives_no_label_and_the_window_continues() -> None:
    present = [True] * 40 + [False] * 3 + [True] * 40

    labels = next_changes(a_sequence(present), STEP_MS)

    assert np.flatnonzero(np.isnan(labels)).tolist() == [39, 79]


def test_without_the_common_move_the_median_label_of_each_moment_is_zero() -> None:
    random = np.random.default_rng(1)
    times = np.repeat(np.arange(50.0), 7)
    labels = random.normal(size=350) + np.repeat(random.normal(scale=5, size=50), 7)
    labels[random.random(350) < 0.1] = np.nan

    moves = common_moves(times, labels)

    assert np.array_equal(np.isnan(moves), np.isnan(labels))
    for time in np.unique(times):
        assert np.nanmedian((labels - moves)[times == time]) == pytest.approx(0.0, abs=1e-12)


def test_only_training_windows_are_mirrored() -> None:
    sequences = {
        name: a_sequence([True] * 150, seed) for seed, name in enumerate(["AAAUSDT", "BBBUSDT"])
    }
    split = split_by_time(sequences, STEP_MS, *SHARES)
    inputs = DatasetOptions("returns", WINDOW, is_common_move_removed=True)
    plain, mirrored = (
        build_dataset(sequences, {}, replace(inputs, is_mirrored=both), split, STEP_MS)
        for both in (False, True)
    )

    count, signs = len(plain.training_ends), Returns().mirror.astype(np.float32)
    straight, turned = mirrored.training_ends[:count], mirrored.training_ends[count:]

    assert np.array_equal(straight, plain.training_ends)
    assert np.array_equal(mirrored.validation_ends, plain.validation_ends)
    assert np.array_equal(mirrored.windows(turned), mirrored.windows(straight) * signs)
    assert np.array_equal(mirrored.labels[turned], -mirrored.labels[straight])


def test_a_market_upside_down_has_the_mirrored_features() -> None:
    """To first order: a rise and a fall by the same fraction are not exact opposites."""
    sequence = a_sequence([True] * 150)
    sequence[:, OPEN : CLOSE + 1] = 100.0 + 0.001 * (sequence[:, OPEN : CLOSE + 1] - 100.0)
    turned = sequence.copy()
    turned[:, OPEN : CLOSE + 1] = 200.0 - sequence[:, OPEN : CLOSE + 1]
    turned[:, [HIGH, LOW]] = turned[:, [LOW, HIGH]]

    rows, other = (Returns().compute(one, STEP_MS).rows for one in (sequence, turned))

    assert np.allclose(other, rows * Returns().mirror, atol=0.05)


def test_the_held_out_span_is_at_most_so_many_candles() -> None:
    sequences = {"AAAUSDT": a_sequence([True] * 1000)}

    split = split_by_time(sequences, STEP_MS, 0.1, 0.2, 50)

    assert split.validation_until_ms == START_MS + 950 * STEP_MS
    assert split.training_until_ms == START_MS + 850 * STEP_MS


def test_an_epoch_draws_without_repetition_and_another_epoch_draws_others() -> None:
    ends = np.arange(100)

    first, again, second = (draw_epoch(ends, 60, 5, epoch) for epoch in (0, 0, 1))

    assert len(set(first.tolist())) == 60
    assert first.tolist() == again.tolist() != second.tolist()
    assert sorted(draw_epoch(ends, 1000, 5, 0).tolist()) == ends.tolist()


@pytest.mark.parametrize(
    ("most", "expected"), [(3, [0, 4, 9]), (10, list(range(10))), (99, list(range(10)))]
)
def test_validation_windows_are_evenly_spread(most: int, expected: list[int]) -> None:
    assert spread_evenly(np.arange(10), most).tolist() == expected
