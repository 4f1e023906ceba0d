"""Feature sets are folds: one candle more changes nothing before it."""

import json
from math import nextafter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.arrays import Float64s
from shared.core.errors import BadInput
from shared.core.features.base import Carry, FeatureSet, append_features, compute_features
from shared.core.features.registry import FEATURE_SETS, feature_set
from shared.core.features.returns import Returns
from shared.core.sequence import CLOSE, HIGH, LOW, OPEN
from tests.support.builders import START_MS, STEP_MS, a_walk

NAMES = sorted(FEATURE_SETS)
prices = st.floats(1e-8, 1e6)
volumes = st.one_of(st.just(0.0), st.floats(0, 1e15))


@st.composite
def sequences(draw: st.DrawFn) -> Float64s:
    """Candles with gaps, flat ones and wild ones among them."""
    rows, time = [], START_MS
    for _ in range(draw(st.integers(1, 40))):
        time += STEP_MS * draw(st.sampled_from([1, 1, 1, 1, 7]))
        opened, close = draw(prices), draw(prices)
        top, bottom = draw(st.sampled_from([1.0, 1.5])), draw(st.sampled_from([1.0, 0.5]))
        rows.append(
            (
                time,
                opened,
                max(opened, close) * top,
                min(opened, close) * bottom,
                close,
                draw(volumes),
            )
        )
    return np.array(rows, dtype=np.float64)


def update_one_by_one(
    chosen: FeatureSet, sequence: Float64s
) -> tuple[Carry, list[Float64s], list[float]]:
    carry, rows, units = chosen.initial_carry, [], []
    for candle in sequence:
        carry, row = chosen.update(carry, candle, STEP_MS)
        rows.append(row)
        units.append(chosen.change_unit(carry))
    return carry, rows, units


@pytest.mark.parametrize("name", NAMES)
@given(sequences())
def test_updating_candle_by_candle_gives_the_bits_of_the_whole_sequence(
    name: str, sequence: Float64s
) -> None:
    chosen = feature_set(name)

    carry, rows, units = update_one_by_one(chosen, sequence)

    whole_carry, whole_rows, whole_units = chosen.compute(sequence, STEP_MS)
    assert carry == whole_carry
    assert np.array(rows).tobytes() == whole_rows.tobytes()
    assert units == whole_units.tolist()


@pytest.mark.parametrize("name", NAMES)
@given(sequences(), st.data())
def test_no_row_knows_a_later_candle(name: str, sequence: Float64s, data: st.DataObject) -> None:
    known = data.draw(st.integers(1, len(sequence)))

    assert not knows_later_candles(
        feature_set(name), sequence, known, data.draw(st.floats(0.1, 10))
    )


@pytest.mark.parametrize("name", NAMES)
@given(sequences())
def test_rows_and_units_are_finite_and_of_the_declared_shape(name: str, sequence: Float64s) -> None:
    chosen = feature_set(name)

    carry, rows, units = chosen.compute(sequence, STEP_MS)

    assert rows.shape == (len(sequence), chosen.columns)
    assert np.isfinite(rows).all()
    assert (units > 0).all()
    assert np.isfinite(units).all()
    assert tuple(json.loads(json.dumps(carry, allow_nan=False))) == carry  # as a state stores it
    assert chosen.mirror is None or chosen.mirror.shape == (chosen.columns,)


class Leaking(Returns):
    """Returns whose change is the next candle's."""

    def compute(self, sequence: Float64s, step_ms: int) -> tuple[Carry, Float64s, Float64s]:
        carry, rows, units = super().compute(sequence, step_ms)
        rows[:-1, 0] = rows[1:, 0]
        return carry, rows, units


def test_a_planted_leak_is_found() -> None:
    sequence = np.column_stack(
        [START_MS + STEP_MS * np.arange(30), *[np.array(a_walk(30))] * 4, np.ones(30)]
    )

    assert knows_later_candles(Leaking(), sequence, 20, 1.1)
    assert not knows_later_candles(Returns(), sequence, 20, 1.1)


def knows_later_candles(chosen: FeatureSet, sequence: Float64s, known: int, factor: float) -> bool:
    """Say whether rows or units of the first candles change with the prices of those after them."""
    other = sequence.copy()
    other[known:, OPEN : CLOSE + 1] *= factor
    (_, rows, units), (_, other_rows, other_units) = (
        chosen.compute(s, STEP_MS) for s in (sequence, other)
    )
    is_same = rows[:known].tobytes() == other_rows[:known].tobytes()
    return not (is_same and units[:known].tobytes() == other_units[:known].tobytes())


@given(sequences())
def test_returns_are_bounded(sequence: Float64s) -> None:
    _, rows, _ = feature_set("returns").compute(sequence, STEP_MS)

    assert np.abs(rows).max() <= 4.0


@given(sequences(), st.integers(1, 8))
def test_returns_do_not_depend_on_the_currency(sequence: Float64s, power: int) -> None:
    other = sequence.copy()
    other[:, OPEN : CLOSE + 1] *= 2.0**power  # exact

    (_, rows, units), (_, other_rows, other_units) = (
        feature_set("returns").compute(s, STEP_MS) for s in (sequence, other)
    )

    assert rows.tobytes() == other_rows.tobytes()
    assert units.tobytes() == other_units.tobytes()


def test_a_market_without_movement_gives_finite_rows() -> None:
    sequence = np.array([(START_MS + at * STEP_MS, 5.0, 5.0, 5.0, 5.0, 0.0) for at in range(50)])

    _, rows, units = feature_set("returns").compute(sequence, STEP_MS)

    assert np.isfinite(rows).all()
    assert units.min() > 0


@pytest.mark.parametrize("name", NAMES)
@given(sequences(), st.integers(2, 12))
def test_only_a_window_of_rows_is_kept(name: str, sequence: Float64s, window_length: int) -> None:
    chosen = feature_set(name)
    features = compute_features(chosen, sequence[:1], STEP_MS, window_length)
    for candle in sequence[1:]:
        features = append_features(chosen, features, candle, STEP_MS, window_length)

    whole = compute_features(chosen, sequence, STEP_MS, window_length)

    assert features.carry == whole.carry
    assert features.rows.tobytes() == whole.rows.tobytes()
    assert len(features.rows) == min(len(sequence), window_length)


def test_the_range_of_a_candle_is_a_feature() -> None:
    calm = np.array([(START_MS + at * STEP_MS, 100.0, 100.1, 99.9, 100.0, 1.0) for at in range(9)])
    wild = calm.copy()
    wild[-1, HIGH], wild[-1, LOW] = nextafter(101.0, 102.0), 99.0

    rows = [feature_set("returns").compute(s, STEP_MS)[1][-1] for s in (calm, wild)]

    assert rows[0].tobytes() != rows[1].tobytes()


def test_a_feature_set_that_is_not_known_is_refused_by_name() -> None:
    known = ", ".join(NAMES)
    with pytest.raises(BadInput, match=f"feature set 'magic' is not known here; known: {known}"):
        feature_set("magic")
