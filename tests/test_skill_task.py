"""A skill benchmark takes any folder of recordings, symbols and spans."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks.recorded_market import most_traded, read_folders
from benchmarks.skill_options import SkillOptions, parse_options
from benchmarks.skill_task import SkillTask, load_task
from shared.core.arrays import Float64s
from shared.core.errors import BadSetting
from shared.core.sequence import (
    CLOSE,
    MARKET_CHANGE,
    MARKET_SYMBOLS,
    OPEN_TIME,
    QUOTE_VOLUME,
    SEQUENCE_LENGTH,
    VOLUME,
)
from tests.support.builders import START_MS, STEP_MS, a_sequence

COUNT = 800
SYMBOLS = [f"S{number}USDT" for number in range(5)]


def write_recording(folder: Path, symbol: str, sequence: Float64s, part: str = "") -> None:
    folder.mkdir(exist_ok=True)
    names = ("open", "high", "low", "close", "volume")
    columns = dict(zip(names, sequence.T[1:6], strict=True))
    table = pa.table({"open_time": sequence[:, OPEN_TIME].astype(np.int64), **columns})
    pq.write_table(table, folder / f"{symbol}-5m{part}.parquet")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Five symbols: the second starts late, the third has a gap, the last is most traded."""
    for number, symbol in enumerate(SYMBOLS):
        sequence = a_sequence(number, COUNT).copy()
        sequence[:, VOLUME] = number + 1.0
        below = tmp_path / ("one" if number % 2 else "other")
        chosen = {1: slice(650, None), 2: np.arange(COUNT) % 100 != 50}.get(number, slice(None))
        write_recording(below, symbol, sequence[chosen])
    return tmp_path


def at(candle: int) -> int:
    return START_MS + candle * STEP_MS


def task_of(folder: Path, **options: object) -> SkillTask:
    return load_task(SkillOptions((folder,), **options))  # type: ignore[arg-type]


def test_by_default_all_symbols_are_trained_on_for_three_quarters_of_the_span(folder: Path) -> None:
    task = task_of(folder)

    assert sorted(task.training) == [s for s in SYMBOLS if s != "S1USDT"]  # which starts too late
    assert {one[-1, OPEN_TIME] for one in task.training.values()} == {at(599)}
    assert [span.symbol for span in task.held_out] == SYMBOLS
    assert {int(span.candles[0, OPEN_TIME]) for span in task.held_out} == {at(600), at(650)}
    assert task.held_out[0].before[0, OPEN_TIME] == at(0)
    assert task.held_out[0].learns_before
    assert task.fields["gaps"] == {"S2USDT": 8}
    assert any("S4USDT, S3USDT, S2USDT, S0USDT" in line for line in task.describe())


def test_symbols_and_spans_are_chosen(folder: Path, tmp_path: Path) -> None:
    names = tmp_path / "names.txt"
    names.write_text("S0USDT # one\n# none\n\nS3USDT\n")
    words = f"--klines {folder} --train-symbols S2USDT,S3USDT --score-symbols @{names}"
    times = (
        f"--train-from {at(100)} --train-to {at(300)} --score-from {at(400)} --score-to {at(500)}"
    )

    task = load_task(parse_options("", f"{words} {times}".split()))

    assert {s: (int(q[0, OPEN_TIME]), len(q)) for s, q in task.training.items()} == {
        "S2USDT": (at(100), 198),
        "S3USDT": (at(100), 200),
    }
    assert [(s.symbol, len(s.before), len(s.candles)) for s in task.held_out] == [
        ("S0USDT", 400, 100),
        ("S3USDT", 400, 100),
    ]


def test_a_cold_run_has_no_history_but_what_the_online_state_keeps(folder: Path) -> None:
    span = task_of(folder, cold=True).held_out[0]

    assert len(span.before) == SEQUENCE_LENGTH
    assert not span.learns_before
    assert span.candles[0, OPEN_TIME] == at(600)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"train_symbols": ("NONEUSDT",)}, "--train-symbols: .*NONEUSDT"),
        ({"score_symbols": ("S0USDT", "NOUSDT")}, "--score-symbols: .*NOUSDT"),
        ({"score_from": at(500)}, "overlaps"),
        ({"train_to": at(0)}, "--train-from .* has no candles"),
        ({"score_from": at(900), "score_to": at(950)}, "--score-from .* has no candles"),
        ({"score_symbols": ("S1USDT",), "train_to": at(300), "score_to": at(400)}, "no candles"),
        ({"interval": "1m"}, "no recorded candles of 1 minutes"),
    ],
)
def test_what_the_folder_lacks_is_named(
    folder: Path, options: Mapping[str, object], message: str
) -> None:
    with pytest.raises(BadSetting, match=message):
        task_of(folder, **options)


@pytest.mark.parametrize(
    "words",
    ["--train-symbols @missing.txt", "--train-to soon", "--set NOTHING=1", "--costs-bp 20000"],
)
def test_an_invalid_option_ends_the_process(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse_options("", ["--klines", ".", *words.split()])

    assert "error: argument" in capsys.readouterr().err


def test_a_candle_in_two_files_counts_once(folder: Path) -> None:
    write_recording(folder / "one", "S0USDT", a_sequence(9, COUNT + 10), "-2025-01")

    sequence = read_folders([folder], STEP_MS)["S0USDT"]

    assert len(sequence) == COUNT + 10
    assert np.all(np.diff(sequence[:, OPEN_TIME]) == STEP_MS)


def test_a_dump_and_a_recording_have_whole_klines(tmp_path: Path) -> None:
    line = f"{at(0)},1,2,0.5,1.5,10,{at(1) - 1},15.5,7,4,6,0"
    (tmp_path / "AAAUSDT-5m-2025-01.csv").write_text(line + "\n")

    (row,) = read_folders([tmp_path], STEP_MS)["AAAUSDT"]

    assert row[QUOTE_VOLUME:MARKET_CHANGE].tolist() == [15.5, 7.0, 4.0]
    assert np.isnan(row[MARKET_CHANGE:]).all()


def test_the_market_is_the_median_change_of_the_most_traded(folder: Path) -> None:
    sequences = read_folders([folder], STEP_MS)

    task = task_of(folder, market_symbols=3)

    assert task.market.symbols == most_traded(sequences, 3) == ["S4USDT", "S3USDT", "S2USDT"]
    changes = [
        sequences[s][at, CLOSE] / sequences[s][at - 1, CLOSE] - 1.0
        for s, at in (("S2USDT", 653), ("S3USDT", 660), ("S4USDT", 660))
    ]
    row = task.held_out[0].candles[60]
    assert row[MARKET_CHANGE] == pytest.approx(np.median(changes), abs=1e-9)
    assert row[MARKET_SYMBOLS] == 3
    assert np.isnan(task.held_out[0].before[0, MARKET_CHANGE])
    # There is no quorum beside the gap of one of the three.
    assert np.isnan(task.held_out[0].before[[50, 51], MARKET_CHANGE]).all()


def test_baskets_are_made_of_the_training_span_alone(tmp_path: Path) -> None:
    for number in range(9):
        sequence = a_sequence(number, COUNT).copy()
        write_recording(tmp_path / "one", f"S{number}USDT", sequence)
        sequence[600:, 1:5] = sequence[600:, 1:5][::-1]
        write_recording(tmp_path / "other", f"S{number}USDT", sequence)

    one, other = (
        load_task(SkillOptions((folder,), train_to=at(600))).market.baskets
        for folder in (tmp_path / "one", tmp_path / "other")
    )

    assert one is not None
    assert one == other
    assert one.made_through_ms < at(600)
