"""Held-out candles are forecast by the live fold, with a promotion at the first of them, and then compared."""

import numpy as np
import pytest

from services.trainer.evaluate import (
    forecast,
    forecast_with_one_set,
    held_out_of,
    linear,
    preceding,
    volatilities,
    with_windows,
)
from services.trainer.promotion_policy import decide_promotion
from services.trainer.settings import Policy
from shared.core.arrays import Float64s
from shared.core.evaluation.backtest import without_online_learning
from shared.core.evaluation.comparison import CANDIDATE, FROZEN, LINEAR, Comparison, SeriesBySymbol
from shared.core.evaluation.skill_score import Skill
from shared.core.features.levels import Levels
from shared.core.model.card import Target
from shared.core.model.scaler import fit_min_max_scaler
from shared.core.model.shrinkage import Shrinkage
from shared.core.records import Candle
from shared.core.sequence import CLOSE, candle_row
from shared.reporting.progress import comparison_table
from tests.support.builders import (
    CONTEXT,
    START_MS,
    STEP_MS,
    a_bundle,
    a_card,
    a_model,
    a_promotion,
    a_walk,
    candles,
    fold_all,
)


def a_sequence(seed: int, count: int = 120) -> Float64s:
    made = [c for c in candles(a_walk(count, seed)) if isinstance(c, Candle)]
    return np.concatenate([candle_row(candle) for candle in made])


SEQUENCES = {f"S{seed}USDT": a_sequence(seed) for seed in range(3)}
FROM_MS = START_MS + 60 * STEP_MS
PARTS = held_out_of(SEQUENCES, FROM_MS, 1000, 10)


def same(one: SeriesBySymbol, other: SeriesBySymbol) -> bool:
    return one.keys() == other.keys() and all(
        np.array_equal(one[s].change, other[s].change)
        and np.array_equal(one[s].calibrated, other[s].calibrated)
        for s in one
    )


def test_forecasts_are_those_of_the_live_fold() -> None:
    model = a_model()
    parts = held_out_of({"BTCUSDT": a_sequence(1)}, FROM_MS, 40, 1)
    records = candles(a_walk(120, 1))

    track = forecast(model.bundle, parts, CONTEXT)["BTCUSDT"]

    _, live = fold_all(
        [*records[:60], a_promotion(model), *records[60:100]], {model.version: model}
    )
    assert track.change.tolist() == [p.predicted_change for p in live[:-1]]
    assert track.calibrated.tolist() == [p.calibrated_change for p in live[:-1]]
    assert track.outcome.tolist() == [p.previous.outcome_change for p in live[1:] if p.previous]
    assert track.open_time_ms.tolist() == [p.open_time_ms for p in live[:-1]]


def test_threads_change_no_forecast() -> None:
    assert same(
        forecast(a_bundle(), PARTS, CONTEXT, threads=2), forecast(a_bundle(), PARTS, CONTEXT)
    )


def test_the_model_that_does_not_learn_keeps_its_weights() -> None:
    still, learning = (
        forecast(bundle, PARTS, CONTEXT)
        for bundle in (without_online_learning(a_bundle()), a_bundle())
    )

    for symbol in SEQUENCES:
        assert still[symbol].change[0] == learning[symbol].change[0]
        assert still[symbol].change[-1] != learning[symbol].change[-1]


@pytest.mark.parametrize("target", ["change", "level"])
def test_one_set_of_weights_for_one_symbol_is_the_live_fold(target: Target) -> None:
    bundle = a_bundle(card=a_card(target=target))

    assert same(
        forecast_with_one_set(bundle, PARTS[:1], CONTEXT),
        forecast(bundle, PARTS[:1], CONTEXT),
    )


def test_one_set_of_weights_learns_from_each_symbol_in_turn() -> None:
    """The steps said again, with the network alone."""
    model = a_model()
    network, learner, optimiser = model.network, model.base_learner, model.card.optimiser
    found: dict[str, list[float]] = {part.symbol: [] for part in PARTS[:2]}
    for at in range(60, 120):
        for part in PARTS[:2]:
            rows = Levels().compute(part.sequence, STEP_MS)[1]
            scaler = fit_min_max_scaler(rows[45:61])
            before, now = (scaler.apply(rows[end - 15 : end + 1]) for end in (at - 1, at))
            if at > 60:
                change = part.sequence[at, CLOSE] / part.sequence[at - 1, CLOSE] - 1.0
                output, jacobian = network.jacobian(learner.weights, before)
                error = output - np.float32(change / model.card.label_scale)
                learner = network.step(learner, optimiser, error, jacobian)
            found[part.symbol].append(
                float(network.predict(learner.weights, now)) * model.card.label_scale
            )

    tracks = forecast_with_one_set(model.bundle, PARTS[:2], CONTEXT)

    assert {symbol: track.change.tolist() for symbol, track in tracks.items()} == {
        s: f[:-1] for s, f in found.items()
    }


def test_one_set_of_weights_that_explodes_begins_anew() -> None:
    wild = a_bundle(card=a_card(rate=1.0, label_scale=1e-9))

    tracks = forecast_with_one_set(wild, PARTS, CONTEXT)

    assert all(np.isfinite(track.change).all() for track in tracks.values())


def test_symbols_are_chosen_evenly_and_need_a_window_before() -> None:
    parts = held_out_of({**SEQUENCES, "NEWUSDT": a_sequence(9)[55:]}, FROM_MS, 10, 100)

    assert [part.symbol for part in parts] == [*SEQUENCES, "NEWUSDT"]
    assert [part.symbol for part in with_windows(parts, 16)] == list(SEQUENCES)
    assert [part.symbol for part in held_out_of(SEQUENCES, FROM_MS, 10, 2)] == ["S0USDT", "S2USDT"]


def test_before_a_moment_come_as_many_candles_as_are_held_out_from_there_on() -> None:
    parts = preceding(SEQUENCES, FROM_MS, 20)
    scarce = preceding({"S1USDT": SEQUENCES["S1USDT"][:70]}, FROM_MS, 20)

    assert [part.symbol for part in parts] == list(SEQUENCES)
    for part in parts:
        assert part.sequence.tolist() == SEQUENCES[part.symbol][:60].tolist()
        assert len(part.candles) == 20
    assert len(scarce[0].candles) == 10


def test_all_ways_forecast_the_same_candles_which_makes_them_comparable() -> None:
    tracks = forecast(a_bundle(), PARTS, CONTEXT)
    contest = Comparison(tracks, volatilities(PARTS, STEP_MS))

    contest.add(CANDIDATE, tracks)
    contest.add(FROZEN, forecast(without_online_learning(a_bundle()), PARTS, CONTEXT))
    contest.add(LINEAR, linear(PARTS, CONTEXT, Shrinkage()))

    assert contest.outcomes == 3 * 59
    assert comparison_table(contest).row_count == 4


def test_nothing_held_out_gives_a_table_all_the_same() -> None:
    contest = Comparison({}, {})
    contest.add(CANDIDATE, {})

    assert comparison_table(contest).row_count == 2


def found(value: float, p: float) -> Skill:
    return Skill(value, value - 0.1, value + 0.1, p, 100)


GOOD, LUCKY, BAD = found(0.002, 0.001), found(0.002, 0.4), found(-0.002, 0.9)


@pytest.mark.parametrize(
    ("policy", "over_zero", "over_incumbent", "has_incumbent", "promoted"),
    [
        ("better", GOOD, GOOD, True, True),
        ("better", GOOD, LUCKY, True, False),
        ("better", GOOD, BAD, True, False),
        ("better", BAD, GOOD, True, False),
        ("better", BAD, None, False, True),
        ("better", None, None, False, True),
        ("better", None, GOOD, True, False),
        ("better", GOOD, None, True, True),
        ("better", None, None, True, False),
        ("always", BAD, BAD, True, True),
        ("never", GOOD, GOOD, False, False),
    ],
)
def test_the_policy_decides(
    policy: Policy,
    over_zero: Skill | None,
    over_incumbent: Skill | None,
    has_incumbent: bool,
    promoted: bool,
) -> None:
    verdict = decide_promotion(policy, over_zero, over_incumbent, has_champion=has_incumbent)

    assert verdict.promote is promoted
    assert verdict.reason
