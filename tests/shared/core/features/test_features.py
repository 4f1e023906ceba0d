"""Feature sets are folds: one candle more changes nothing before it."""

import json
from math import nan, nextafter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.arrays import Float64s
from shared.core.errors import BadInput
from shared.core.features.base import (
    FeatureSet,
    FoldedFeatures,
    append_features,
    compute_features,
)
from shared.core.features.registry import FEATURE_SETS, feature_set
from shared.core.features.returns import Returns
from shared.core.sequence import (
    BASKET_CHANGES,
    CLOSE,
    EXCHANGE_COLUMNS,
    HIGH,
    LOW,
    MARKET_CHANGE,
    MAX_BASKETS,
    OPEN,
    baskets_code,
    with_unknown_columns,
)
from tests.support.builders import START_MS, STEP_MS, a_walk

NAMES = sorted(FEATURE_SETS)
RELATIVE = ["market", "returns"]  # in units of the symbol itself
prices = st.floats(1e-8, 1e6)
volumes = st.one_of(st.just(0.0), st.floats(0, 1e15))


BASKETS_VERSION = "0000000a"
moves = st.one_of(st.just(nan), st.floats(-0.999, 1e3))
versions = st.sampled_from([nan, baskets_code(BASKETS_VERSION), baskets_code("0000000b")])
own_unknown = (nan,) * (MARKET_CHANGE - EXCHANGE_COLUMNS)


@st.composite
def market_columns(draw: st.DrawFn) -> tuple[float, ...]:
    """The market's change, symbols, version and changes of its baskets."""
    basket_changes = [draw(moves), draw(moves)] * (MAX_BASKETS // 2)
    return draw(moves), 40.0, draw(versions), *basket_changes


@st.composite
def sequences(draw: st.DrawFn) -> Float64s:
    """Candles with gaps, flat ones and wild ones among them."""
    rows, time = [], START_MS
    for _ in range(draw(st.integers(1, 30))):
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
                *own_unknown,
                *draw(market_columns()),
            )
        )
    return np.array(rows, dtype=np.float64)


def update_one_by_one(chosen: FeatureSet, sequence: Float64s) -> FoldedFeatures:
    carry, rows, units, explained = chosen.initial_carry, [], [], []
    for candle in sequence:
        explained.append(chosen.explained_change(carry, float(candle[MARKET_CHANGE])))
        carry, row = chosen.update(carry, candle, STEP_MS)
        rows.append(row)
        units.append(chosen.change_unit(carry))
    return FoldedFeatures(carry, np.array(rows), np.array(units), np.array(explained))


@pytest.mark.parametrize("name", NAMES)
@given(sequences())
def test_updating_candle_by_candle_gives_the_bits_of_the_whole_sequence(
    name: str, sequence: Float64s
) -> None:
    chosen = feature_set(name, BASKETS_VERSION)

    one_by_one = update_one_by_one(chosen, sequence)

    carry, *arrays = chosen.compute(sequence, STEP_MS)
    assert one_by_one.carry == carry
    assert [a.tobytes() for a in arrays] == [a.tobytes() for a in one_by_one[1:]]


@pytest.mark.parametrize("name", NAMES)
@given(sequences(), st.data())
def test_no_row_knows_a_later_candle(name: str, sequence: Float64s, data: st.DataObject) -> None:
    known = data.draw(st.integers(1, len(sequence)))

    assert not knows_later_candles(
        feature_set(name, BASKETS_VERSION), sequence, known, data.draw(st.floats(0.1, 10))
    )


@pytest.mark.parametrize("name", NAMES)
@given(sequences(), st.integers(1, 40))
def test_the_newest_rows_alone_are_those_of_the_whole_sequence(
    name: str, sequence: Float64s, window_length: int
) -> None:
    chosen = feature_set(name, BASKETS_VERSION)
    folded = chosen.compute(sequence, STEP_MS)

    features = compute_features(chosen, sequence, STEP_MS, window_length)

    assert features.carry == folded.carry == chosen.carry_after(sequence, STEP_MS)
    assert features.rows.tobytes() == folded.rows[-window_length:].tobytes()


@pytest.mark.parametrize("name", NAMES)
@given(sequences())
def test_rows_and_units_are_finite_and_of_the_declared_shape(name: str, sequence: Float64s) -> None:
    chosen = feature_set(name, BASKETS_VERSION)

    carry, rows, units, explained = chosen.compute(sequence, STEP_MS)

    assert rows.shape == (len(sequence), chosen.columns)
    assert np.isfinite(rows).all()
    assert (units > 0).all()
    assert np.isfinite(units).all()
    assert np.isfinite(explained).all()
    assert tuple(json.loads(json.dumps(carry, allow_nan=False))) == carry  # as a state stores it
    assert chosen.mirror is None or chosen.mirror.shape == (chosen.columns,)


class Leaking(Returns):
    """Returns whose change is the next candle's."""

    def compute(self, sequence: Float64s, step_ms: int) -> FoldedFeatures:
        folded = super().compute(sequence, step_ms)
        folded.rows[:-1, 0] = folded.rows[1:, 0]
        return folded


def test_a_planted_leak_is_found() -> None:
    sequence = with_unknown_columns(
        np.column_stack(
            [START_MS + STEP_MS * np.arange(30), *[np.array(a_walk(30))] * 4, np.ones(30)]
        )
    )

    assert knows_later_candles(Leaking(), sequence, 20, 1.1)
    assert not knows_later_candles(Returns(), sequence, 20, 1.1)


def knows_later_candles(chosen: FeatureSet, sequence: Float64s, known: int, factor: float) -> bool:
    """Say whether values of the first candles change with prices and market of those after them."""
    other = sequence.copy()
    other[known:, OPEN : CLOSE + 1] *= factor
    other[known:, MARKET_CHANGE] *= -factor
    other[known:, BASKET_CHANGES] *= -factor
    one, two = (
        [values[:known].tobytes() for values in chosen.compute(s, STEP_MS)[1:]]
        for s in (sequence, other)
    )
    return one != two


@pytest.mark.parametrize("name", RELATIVE)
@given(sequences())
def test_relative_features_are_bounded(name: str, sequence: Float64s) -> None:
    folded = feature_set(name, BASKETS_VERSION).compute(sequence, STEP_MS)

    assert np.abs(folded.rows).max() <= 4.0


@pytest.mark.parametrize("name", RELATIVE)
@given(sequences(), st.integers(1, 8))
def test_relative_features_do_not_depend_on_the_currency(
    name: str, sequence: Float64s, power: int
) -> None:
    other = sequence.copy()
    other[:, OPEN : CLOSE + 1] *= 2.0**power  # exact

    one, two = (
        [values.tobytes() for values in feature_set(name).compute(s, STEP_MS)[1:]]
        for s in (sequence, other)
    )

    assert one == two


def test_a_market_without_movement_gives_finite_rows() -> None:
    sequence = flat_sequence(50)
    sequence[:, MARKET_CHANGE] = 0.0

    for name in RELATIVE:
        folded = feature_set(name).compute(sequence, STEP_MS)

        assert np.isfinite(folded.rows).all()
        assert folded.units.min() > 0


def flat_sequence(count: int) -> Float64s:
    rows = [(START_MS + at * STEP_MS, 5.0, 5.0, 5.0, 5.0, 0.0) for at in range(count)]
    return with_unknown_columns(np.array(rows)).copy()


@pytest.mark.parametrize("name", NAMES)
@given(sequences(), st.integers(2, 12))
def test_only_a_window_of_rows_is_kept(name: str, sequence: Float64s, window_length: int) -> None:
    chosen = feature_set(name, BASKETS_VERSION)
    features = compute_features(chosen, sequence[:1], STEP_MS, window_length)
    for candle in sequence[1:]:
        features = append_features(chosen, features, candle, STEP_MS, window_length)

    whole = compute_features(chosen, sequence, STEP_MS, window_length)

    assert features.carry == whole.carry
    assert features.rows.tobytes() == whole.rows.tobytes()
    assert len(features.rows) == min(len(sequence), window_length)


def test_the_range_of_a_candle_is_a_feature() -> None:
    rows = [(START_MS + at * STEP_MS, 100.0, 100.1, 99.9, 100.0, 1.0) for at in range(9)]
    calm = with_unknown_columns(np.array(rows))
    wild = calm.copy()
    wild[-1, HIGH], wild[-1, LOW] = nextafter(101.0, 102.0), 99.0

    for name in RELATIVE:
        one, two = (feature_set(name).compute(s, STEP_MS).rows[-1] for s in (calm, wild))

        assert one.tobytes() != two.tobytes()


def test_a_feature_set_that_is_not_known_is_refused_by_name() -> None:
    known = ", ".join(NAMES)
    with pytest.raises(BadInput, match=f"feature set 'magic' is not known here; known: {known}"):
        feature_set("magic")
