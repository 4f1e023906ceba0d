import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from services.dashboard.live.error_window import ErrorWindow
from shared.core.evaluation.errors import squared_errors
from shared.core.evaluation.skill_score import Skill, skill_score
from shared.core.online.prediction import Prediction
from tests.services.dashboard.history.symbol_topics import SYMBOL
from tests.services.dashboard.live.records import next_prediction
from tests.support.builders import STEP_MS

CHANGES = st.lists(st.floats(-0.01, 0.01), min_size=4, max_size=30)


def predictions(changes: list[float], symbol: str = SYMBOL) -> list[Prediction]:
    """A prediction for each moment; the change is the outcome of the one before."""
    return [next_prediction(at, change, symbol=symbol) for at, change in enumerate(changes)]


def skill_of(window: ErrorWindow, symbol: str = SYMBOL) -> Skill | None:
    return dict(window.skills([symbol]))[symbol]


@given(CHANGES, st.randoms(use_true_random=False))
def test_the_skill_does_not_depend_on_the_order_in_which_records_are_added(
    changes: list[float], random: st.DataObject
) -> None:
    in_order, shuffled = ErrorWindow(STEP_MS, 40), ErrorWindow(STEP_MS, 40)
    records = predictions(changes)
    mixed = list(records)
    random.shuffle(mixed)  # type: ignore[attr-defined]

    for one, other in zip(records, mixed, strict=True):
        in_order.add(one)
        shuffled.add(other)

    assert skill_of(in_order) == skill_of(shuffled)
    assert in_order.pooled_skill() == shuffled.pooled_skill()


@given(CHANGES)
def test_the_skill_is_that_of_the_outcomes_whose_forecast_and_volatility_are_known(
    changes: list[float],
) -> None:
    window = ErrorWindow(STEP_MS, 40)
    for prediction in predictions(changes):
        window.add(prediction)

    outcomes = np.array(changes[1:])  # the volatility of the first forecast was never seen
    unit = np.full_like(outcomes, 0.002)
    errors = squared_errors(np.full_like(outcomes, 0.001), outcomes, unit)
    assert skill_of(window) == skill_score(
        errors, squared_errors(np.zeros_like(outcomes), outcomes, unit)
    )


def test_only_the_newest_moments_count() -> None:
    window = ErrorWindow(STEP_MS, 5)
    long_ago, recent = [0.01] * 20, [-0.003, 0.004, -0.005, 0.006, -0.007]

    for prediction in predictions([*long_ago, *recent]):
        window.add(prediction)

    fresh = ErrorWindow(STEP_MS, 5)
    for prediction in predictions([*long_ago, *recent])[19:]:
        fresh.add(prediction)
    found = skill_of(window)
    assert found == skill_of(fresh)
    assert found is not None
    assert found.n == 5


def test_a_moment_before_the_window_changes_nothing() -> None:
    window = ErrorWindow(STEP_MS, 5)
    all_of_them = predictions([0.001 * at for at in range(30)])
    for prediction in all_of_them[10:]:
        window.add(prediction)
    before = skill_of(window)

    assert not window.add(all_of_them[3])
    assert skill_of(window) == before


def test_symbols_of_one_moment_are_one_sample() -> None:
    window = ErrorWindow(STEP_MS, 20)
    for symbol in ("AAAUSDT", "BBBUSDT", "CCCUSDT"):
        for prediction in predictions([0.001 * (-1) ** at for at in range(12)], symbol):
            window.add(prediction)

    pooled = window.pooled_skill()

    assert pooled is not None
    # Twelve outcomes, less the first, whose forecast was not seen, and the very last moment.
    assert pooled.n == 10


def test_a_gap_and_an_unknown_symbol_have_no_skill() -> None:
    window = ErrorWindow(STEP_MS, 5)
    for at in range(4):
        window.add(next_prediction(at, None))

    assert skill_of(window) is None
    assert window.pooled_skill() is None
    assert list(window.skills(["XXXUSDT"])) == []
