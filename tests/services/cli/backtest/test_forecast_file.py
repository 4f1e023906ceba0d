"""Forecasts of anyone's are read from a file, and bad rows are named."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from services.cli.backtest.forecast_file import check_forecasts, read_forecasts
from shared.core.errors import BadInput, BadSetting
from tests.support.builders import START_MS, STEP_MS

Rows = Sequence[Mapping[str, object]]
ROWS: Rows = [
    {"symbol": "BTCUSDT", "open_time_ms": START_MS, "change": 0.001},
    {"symbol": "BTCUSDT", "open_time_ms": START_MS + STEP_MS, "change": -0.002},
    {"symbol": "ETHUSDT", "open_time_ms": START_MS, "change": 0.0},
]


def write_rows(folder: Path, suffix: str, rows: Rows) -> Path:
    path = folder / f"theirs{suffix}"
    if suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(list(rows)), path)
    elif suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        lines = [",".join(rows[0]), *(",".join(map(str, row.values())) for row in rows)]
        path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_each_format_gives_the_same_forecasts(suffix: str, tmp_path: Path) -> None:
    found = read_forecasts(write_rows(tmp_path, suffix, ROWS), STEP_MS)

    assert found is not None
    assert found.name == f"theirs{suffix}"
    assert found.rows == 3
    assert found.changes == {
        "BTCUSDT": {START_MS: 0.001, START_MS + STEP_MS: -0.002},
        "ETHUSDT": {START_MS: 0.0},
    }


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("open_time_ms", START_MS + 1, f"open_time_ms is .*{START_MS + 1}.*300000 ms"),
        ("open_time_ms", "soon", "open_time_ms is 'soon'"),
        ("change", "nan", "change is 'nan'"),
        ("change", -1, "change is '?-1'?, not a fraction above -1"),
        ("change", "", "change missing"),
        ("open_time_ms", START_MS, f"a second forecast of BTCUSDT at {START_MS}"),
    ],
)
def test_a_bad_row_is_named_by_line_and_value(
    suffix: str, column: str, value: object, message: str, tmp_path: Path
) -> None:
    rows = [ROWS[0], {**ROWS[1], column: value}, ROWS[2]]
    line = 3 if suffix == ".csv" else 2

    with pytest.raises(BadInput, match=f"has 1 bad rows.*\nline {line}: {message}"):
        read_forecasts(write_rows(tmp_path, suffix, rows), STEP_MS)


def test_of_many_bad_rows_the_first_are_named_and_all_are_counted(tmp_path: Path) -> None:
    rows = [{**ROWS[0], "change": -2.0 - at} for at in range(9)]

    with pytest.raises(BadInput, match=r"has 9 bad rows(.|\n)*row 5: (.|\n)*and 4 more"):
        read_forecasts(write_rows(tmp_path, ".parquet", rows), STEP_MS)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"symbol,time\n", "open_time_ms, change missing"),
        ("a.csv", b"", "symbol, open_time_ms, change missing"),
        ("a.csv", b"\xff\xfe\x00", "cannot be read"),
        ("a.jsonl", b"[1]\n{\n", "line 1: symbol, open_time_ms, change missing"),
        ("a.parquet", b"PAR", "cannot be read"),
    ],
)
def test_a_file_of_something_else_is_rejected(
    name: str, content: bytes, message: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)

    with pytest.raises(BadInput, match=message):
        read_forecasts(tmp_path / name, STEP_MS)


@pytest.mark.parametrize("name", ["missing.csv", "folder.csv", "theirs.txt"])
def test_a_file_that_cannot_be_read_is_rejected_before_any_work(name: str, tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "theirs.txt").touch()
    check_forecasts(None)

    with pytest.raises(BadSetting, match="--forecasts is"):
        check_forecasts(tmp_path / name)
