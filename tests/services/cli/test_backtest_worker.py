import json
from collections.abc import Callable, Generator
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from services.cli.backtest_worker import ROW, Scoring, SymbolScore
from services.cli.commands.backtest import _collected
from services.cli.worker_pool import run_in_workers
from shared.core.arrays import Float64s
from shared.core.errors import BadInput
from shared.core.evaluation.backtest import backtest
from shared.core.online.scores import Scores
from shared.core.sequence import candle_row
from tests.support.builders import (
    CONTEXT,
    START_MS,
    STEP_MS,
    a_bundle,
    a_candle,
    a_model,
    a_walk,
)

FROM_MS = START_MS + 40 * STEP_MS
SCORING = Scoring(a_bundle(), FROM_MS, CONTEXT)


def a_sequence(candles: int, seed: int = 1) -> Float64s:
    return np.concatenate(
        [candle_row(a_candle(at, close)) for at, close in enumerate(a_walk(candles, seed))]
    )


def scored(
    *sequences: Float64s, progress: Callable[[int], None] = lambda _: None
) -> list[SymbolScore]:
    return list(
        run_in_workers(
            2, [partial(SCORING.of, f"S{at}", one) for at, one in enumerate(sequences)], progress
        )
    )


def test_symbols_are_scored_in_processes_of_their_own_as_they_are_in_this_one() -> None:
    sequences = [a_sequence(300, 1), a_sequence(90, 2), a_sequence(10, 3)]
    told: list[int] = []

    results = scored(*sequences, progress=told.append)

    assert [result.symbol for result in results] == ["S0", "S1", "S2"]
    assert told[-1] == 260 + 50
    for result, sequence in zip(results, sequences, strict=True):
        expected = list(backtest(a_model(), result.symbol, sequence, FROM_MS, CONTEXT))
        assert result.rows["predicted_change"].tolist() == [p.predicted_change for p in expected]
        assert not expected or result.scores == expected[-1].scores


def an_hour_of_work() -> list[Float64s]:
    candles = 400_000
    times = START_MS + STEP_MS * np.arange(candles, dtype=np.float64)
    return [np.column_stack([times, np.full((candles, 5), 100.0)])] * 10


def test_an_interrupt_ends_it_in_the_midst_of_a_symbol() -> None:
    def interrupted(done: int) -> None:
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        scored(*an_hour_of_work(), progress=interrupted)


def test_a_failure_ends_it_in_the_midst_of_another_symbol() -> None:
    one = a_sequence(60)

    with pytest.raises(BadInput, match="S1"):
        scored(an_hour_of_work()[0], np.concatenate([one, one[-1:]]), *an_hour_of_work())


def results() -> Generator[SymbolScore, None, None]:
    for at, candles in enumerate((60, 40)):
        rows = np.zeros(candles - 40, ROW)
        rows["loss"], rows["steps"] = np.nan, 3
        rows["loss"][1:] = 0.5
        yield SymbolScore(f"S{at}", Scores(n=candles), rows)


def test_predictions_are_written_as_lines_and_as_parquet(tmp_path: Path) -> None:
    lines, table = tmp_path / "out.jsonl", tmp_path / "out.parquet"

    for out in (lines, table, None):
        assert _collected(results(), "v1", out) == {"S0": Scores(n=60)}

    rows = [json.loads(line) for line in lines.read_text().splitlines()]
    assert rows == pq.read_table(table).to_pylist()
    assert len(rows) == 20
    assert (rows[0]["symbol"], rows[0]["model_version"], rows[0]["steps"]) == ("S0", "v1", 3)
    assert [row["loss"] for row in rows[:2]] == [None, 0.5]
