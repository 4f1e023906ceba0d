"""Backtests run in worker processes, and their predictions are written as they arrive."""

import json
from collections.abc import Callable, Generator
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from services.cli.backtest.output import write_predictions
from shared.adapters.worker_pool import report_progress, run_in_workers
from shared.core.arrays import Float64s
from shared.core.errors import BadInput
from shared.core.evaluation.backtest import PREDICTION_ROW, SymbolBacktest, backtest, run_backtest
from shared.core.evaluation.forecasts import HeldOutSpan, split_at
from shared.core.online.scores import Scores
from shared.core.sequence import with_unknown_columns
from tests.support.builders import CONTEXT, START_MS, STEP_MS, a_bundle, a_model, a_sequence

FROM_MS = START_MS + 40 * STEP_MS


def spans_of(*sequences: Float64s) -> list[HeldOutSpan]:
    return split_at({f"S{at}": one for at, one in enumerate(sequences)}, FROM_MS)


def backtests(
    *sequences: Float64s, progress: Callable[[int], None] = lambda _: None
) -> list[SymbolBacktest]:
    work = partial(run_backtest, a_bundle(), CONTEXT)
    calls = [partial(work, span, report_progress) for span in spans_of(*sequences)]
    return list(run_in_workers(2, calls, progress))


def test_worker_processes_give_the_same_predictions_as_this_one() -> None:
    sequences = [a_sequence(seed, count) for seed, count in ((1, 300), (2, 90), (3, 10))]
    reported: list[int] = []

    results = backtests(*sequences, progress=reported.append)

    assert [result.symbol for result in results] == ["S0", "S1", "S2"]
    assert reported[-1] == 260 + 50
    for result, span in zip(results, spans_of(*sequences), strict=True):
        expected = list(backtest(a_model(), span, CONTEXT))
        assert result.rows["predicted_change"].tolist() == [p.predicted_change for p in expected]
        assert not expected or result.scores == expected[-1].scores


def an_hour_of_work() -> list[Float64s]:
    candles = 400_000
    times = START_MS + STEP_MS * np.arange(candles, dtype=np.float64)
    return [with_unknown_columns(np.column_stack([times, np.full((candles, 5), 100.0)]))] * 10


@pytest.mark.slow
def test_an_interrupt_ends_a_backtest_within_a_symbol() -> None:
    def interrupted(done: int) -> None:
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        backtests(*an_hour_of_work(), progress=interrupted)


@pytest.mark.slow
def test_a_failure_ends_the_other_backtests() -> None:
    one = a_sequence(1, 60)

    with pytest.raises(BadInput, match="S1"):
        backtests(an_hour_of_work()[0], np.concatenate([one, one[-1:]]), *an_hour_of_work())


def results() -> Generator[SymbolBacktest, None, None]:
    for at, candles in enumerate((60, 40)):
        rows = np.zeros(candles - 40, PREDICTION_ROW)
        rows["loss"], rows["steps"] = np.nan, 3
        rows["loss"][1:] = 0.5
        yield SymbolBacktest(f"S{at}", rows, Scores(n=candles))


def test_predictions_are_written_as_lines_and_as_parquet(tmp_path: Path) -> None:
    lines, table = tmp_path / "out.jsonl", tmp_path / "out.parquet"

    for out in (lines, table, None):
        assert write_predictions(results(), "v1", out) == {"S0": Scores(n=60)}

    rows = [json.loads(line) for line in lines.read_text().splitlines()]
    assert rows == pq.read_table(table).to_pylist()
    assert len(rows) == 20
    assert (rows[0]["symbol"], rows[0]["model_version"], rows[0]["steps"]) == ("S0", "v1", 3)
    assert [row["loss"] for row in rows[:2]] == [None, 0.5]
