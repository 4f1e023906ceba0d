"""Forecasts of the same candles, side by side."""

from dataclasses import replace

import numpy as np
import pytest

from shared.core.evaluation.comparison import CANDIDATE, RAW, ZERO, Comparison
from tests.support.builders import a_contest, some_tracks


def test_a_contest_tells_every_forecast_and_every_symbol_in_plain_values() -> None:
    contest = a_contest()

    plain = contest.plain()

    assert contest.names == [ZERO, CANDIDATE, RAW]
    assert contest.outcomes == 3 * 400
    assert set(plain) == {CANDIDATE, RAW}
    assert set(plain[CANDIDATE]["symbols"]) == set(some_tracks())


def test_a_forecast_of_other_candles_is_refused() -> None:
    with pytest.raises(ValueError, match="other candles"):
        a_contest().add("another", some_tracks(count=300))


def test_a_forecast_that_knows_the_outcome_has_all_skill_and_one_that_knows_nothing_has_none() -> (
    None
):
    contest = a_contest()
    contest.add("oracle", {s: replace(t, calibrated=t.outcome) for s, t in some_tracks().items()})

    known, itself = contest.skill("oracle"), contest.skill(CANDIDATE, CANDIDATE)

    assert known is not None
    assert known.value == 1.0
    assert known.p < 1e-6
    assert contest.hits("oracle").right == contest.hits("oracle").moves
    assert itself is not None
    assert itself.value == 0.0


def test_candles_whose_outcome_is_not_known_count_in_nothing() -> None:
    tracks = some_tracks(symbols=1)
    known = tracks["S0USDT"]
    unknown = replace(known, outcome=np.where(np.arange(400) < 100, np.nan, known.outcome))

    contest = a_contest({"S0USDT": unknown})

    assert contest.outcomes == 300
    assert contest.hits(CANDIDATE).moves == 300


def test_nothing_held_out_gives_no_skill() -> None:
    contest = Comparison({}, {})
    contest.add(CANDIDATE, {})

    assert contest.skill(CANDIDATE) is None


def test_what_is_saved_over_time_ends_at_the_skill_and_a_steady_skill_is_a_steady_slope() -> None:
    contest = a_contest(some_tracks(count=20_000))

    saved, found = contest.saved(CANDIDATE), contest.skill(CANDIDATE)

    assert found is not None
    assert len(saved) == len(contest.moments()) == 20_000
    assert saved[-1] == pytest.approx(found.value)
    assert saved[10_000] == pytest.approx(found.value / 2, rel=0.15)


def test_bins_hold_every_forecast_once_the_least_first_and_show_that_raw_ones_are_twice_too_large() -> (
    None
):
    bins = a_contest(some_tracks(count=4000)).bins()

    assert [one.n for one in bins] == [1200] * 10
    assert [one.raw for one in bins] == sorted(one.raw for one in bins)
    assert all(abs(one.outcome - one.calibrated) < 4 * one.error for one in bins)
    assert abs(bins[0].outcome - bins[0].raw) > 4 * bins[0].error


def test_symbols_that_move_as_one_make_no_bin_surer() -> None:
    track = some_tracks(symbols=1)["S0USDT"]

    alone, together = a_contest({"A": track}), a_contest(dict.fromkeys("ABCD", track))

    errors = [[one.error for one in contest.bins()] for contest in (alone, together)]
    assert errors[1] == pytest.approx(errors[0])


def test_a_symbol_s_skill_against_another_forecast_is_that_over_its_candles_alone() -> None:
    tracks = some_tracks()
    alone = a_contest({"S1USDT": tracks["S1USDT"]})

    assert a_contest(tracks).symbol_skill(CANDIDATE, "S1USDT", RAW) == alone.skill(CANDIDATE, RAW)
