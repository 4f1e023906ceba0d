"""Forecasts of the same candles, side by side."""

from dataclasses import replace

import numpy as np
import pytest

from shared.core.contest import CANDIDATE, RAW, ZERO, Contest
from tests.builders import a_contest, some_tracks


def test_a_contest_tells_every_forecast_and_every_symbol_in_plain_values() -> None:
    contest = a_contest()

    plain = contest.plain()

    assert contest.names == [ZERO, CANDIDATE, RAW]
    assert contest.outcomes == 3 * 400
    assert set(plain) == {CANDIDATE, RAW}
    assert set(plain[CANDIDATE]["symbols"]) == set(some_tracks())


def test_a_forecast_of_other_candles_is_refused() -> None:
    with pytest.raises(ValueError, match="other candles"):
        a_contest().enter("another", some_tracks(count=300))


def test_a_forecast_that_knows_the_outcome_has_all_skill_and_one_that_knows_nothing_has_none() -> None:
    contest = a_contest()
    contest.enter("oracle", {s: replace(t, calibrated=t.outcome) for s, t in some_tracks().items()})

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
    contest = Contest({}, {})
    contest.enter(CANDIDATE, {})

    assert contest.skill(CANDIDATE) is None
