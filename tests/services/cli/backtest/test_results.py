"""A backtest's results: scores, returns after costs, and forecasts of anyone's beside them."""

from io import StringIO

import numpy as np
import pytest
from rich.console import Console

from services.cli.backtest.forecast_file import OutsideForecasts
from services.cli.backtest.results import BacktestResults, build_results, parse_costs
from shared.core.errors import BadSetting, Unknown
from shared.core.evaluation.comparison import CHALLENGER
from shared.core.evaluation.contenders import Contenders
from shared.core.evaluation.forecasts import next_changes, split_at
from shared.core.sequence import OPEN_TIME
from tests.support.builders import CONTEXT, START_MS, STEP_MS, a_bundle, a_sequence

SEQUENCES = {symbol: a_sequence(seed) for seed, symbol in enumerate(("AUSDT", "BUSDT"))}
CONTENDERS = Contenders({CHALLENGER: a_bundle()}, CONTEXT)
FORECASTS = [CONTENDERS.forecast(span) for span in split_at(SEQUENCES, START_MS + 60 * STEP_MS)]
SCORES = {one.symbol: one.backtests[CHALLENGER].scores for one in FORECASTS}


def the_outcomes(share: float = 1.0, shift: int = 1) -> OutsideForecasts:
    """Return forecasts of every candle that know its change, for the first share of AUSDT."""
    sequence = SEQUENCES["AUSDT"][: int(share * 120)]
    times = (sequence[:-1, OPEN_TIME] + shift * STEP_MS).astype(np.int64).tolist()
    changes = dict(zip(times, next_changes(sequence, STEP_MS)[:-1].tolist(), strict=True))
    return OutsideForecasts("theirs.csv", {"AUSDT": changes, "NONEUSDT": {START_MS: 0.0}})


def results(outside: OutsideForecasts | None = None) -> BacktestResults:
    return build_results(SCORES, CONTENDERS, FORECASTS, (0.0, 0.001), outside)


def printed(found: BacktestResults) -> str:
    text = StringIO()
    found.print(Console(file=text, width=200))
    return text.getvalue()


def test_without_other_forecasts_there_are_scores_and_net_returns() -> None:
    fields = results().to_fields()

    assert set(fields) == {"symbols", "net_returns", "intervals", "actionable"}
    assert fields["symbols"]["AUSDT"]["n"] == 59
    assert [row["cost"] for row in fields["net_returns"][CHALLENGER]] == [0.0] * 3 + [0.001] * 3
    assert "After costs" in printed(results())


def test_forecasts_that_know_the_future_have_full_skill_on_the_candles_of_the_model() -> None:
    fields = results(the_outcomes()).to_fields()

    assert fields["forecasts"] == {
        "name": "theirs.csv",
        "rows": 120,
        "scored": 59,
        "missing": 59,
        "elsewhere": 61,
    }
    assert fields["comparison"]["theirs.csv"]["skill"]["value"] == pytest.approx(1.0)
    assert fields["comparison"][CHALLENGER]["symbols"]["BUSDT"] is None
    net = {name: rows[0]["net"] for name, rows in fields["net_returns"].items()}
    assert net["theirs.csv"] > net[CHALLENGER]


def test_missing_candles_are_counted_and_left_out_for_both() -> None:
    found = results(the_outcomes(share=0.75))

    assert found.comparison is not None
    assert found.comparison.outcomes == 29
    text = " ".join(printed(found).split())
    assert "theirs.csv: 90 forecasts, 29 of them scored; 89 candles" in text


def test_forecasts_of_other_candles_are_rejected() -> None:
    with pytest.raises(Unknown, match="open time of the candle that is forecast"):
        results(the_outcomes(share=0.25))


@pytest.mark.parametrize("text", ["", "ten", "-1", "0,10000"])
def test_a_cost_that_is_none_is_rejected(text: str) -> None:
    assert parse_costs("0, 2.5") == (0.0, 0.00025)

    with pytest.raises(BadSetting, match="--costs-bp"):
        parse_costs(text)
