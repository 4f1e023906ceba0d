"""A table of ranges gives scikit-learn's scalers, or a refusal that names the fault."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.preprocessing import MinMaxScaler

from services.trainer.data.preparation import fit_scaler
from services.trainer.data.scaler_table import COLUMNS, MAX_TABLE_BYTES, read_scalers
from shared.core.errors import BadInput
from shared.core.features.levels import Levels
from shared.core.model.scaler import Scaler, scaler_from_ranges
from tests.support.builders import START_MS, STEP_MS

PRICES = {
    "open": [90.0, 110.5],
    "high": [91.0, 112.0],
    "low": [88.0, 109.0],
    "close": [90.0, 111.0],
}


def a_table(path: Path, table: Any) -> Path:
    path.write_text(json.dumps(table), encoding="utf-8")
    return path


def csv_of(table: dict[str, dict[str, list[float]]]) -> str:
    rows = [
        f"{s},{c},{low!r},{high!r}"
        for s, columns in table.items()
        for c, (low, high) in columns.items()
    ]
    return "\n".join(["symbol,column,min,max", *rows])


def test_a_table_gives_the_scalers_that_scikit_learn_fits(tmp_path: Path) -> None:
    """Over a whole day sine and cosine go from -1 to 1, and need not be in the table."""
    drawn = np.random.default_rng(1).uniform(90.0, 110.0, (288, 5))
    sequence = np.column_stack([START_MS + STEP_MS * np.arange(288.0), drawn])
    rows = Levels().compute(sequence, STEP_MS).rows
    fitted = MinMaxScaler().fit(rows)
    ends = zip(COLUMNS[:4], fitted.data_min_, fitted.data_max_, strict=False)
    table = {"BTCUSDT": {name: [float(low), float(high)] for name, low, high in ends}}
    (tmp_path / "t.csv").write_text(csv_of(table), encoding="utf-8")

    of_json, of_csv = (
        read_scalers(a_table(tmp_path / "t.json", table)),
        read_scalers(tmp_path / "t.csv"),
    )

    assert of_json == of_csv == {"BTCUSDT": fit_scaler(rows)}


@given(st.lists(st.tuples(st.floats(1e-15, 1e15), st.floats(1e-15, 1e15)), min_size=6, max_size=6))
def test_any_scaler_is_that_of_scikit_learn_to_the_bit(ends: list[tuple[float, float]]) -> None:
    rows = np.sort(np.array(ends).T, axis=0)

    assert scaler_from_ranges(*rows) == fit_scaler(rows)


def test_ranges_of_sine_and_cosine_are_used_if_given(tmp_path: Path) -> None:
    table = {"BTCUSDT": {**PRICES, "sine": [0.0, 1.0], "cosine": [-0.5, 0.5]}}

    scaler = read_scalers(a_table(tmp_path / "t.json", table))["BTCUSDT"]

    assert (scaler.scale[4:], scaler.offset[4:]) == ((1.0, 1.0), (0.0, 0.5))


@pytest.mark.parametrize(
    ("table", "why"),
    [
        ({}, "has no symbols"),
        ([], "the table is not a JSON object"),
        ({"BTCUSDT": []}, "BTCUSDT is not a JSON object"),
        ({"BTCUSDT": {}}, "has no symbols|has no open"),
        (
            {"BTCUSDT": {**PRICES, "volume": [0, 1]}},
            "BTCUSDT has the column 'volume'; allowed: open, high",
        ),
        ({"BTCUSDT": {k: v for k, v in PRICES.items() if k != "close"}}, "BTCUSDT has no close"),
        ({"BTCUSDT": {**PRICES, "close": [90.0]}}, r"BTCUSDT, close is \[90.0\], wanted"),
        (
            {"BTCUSDT": {**PRICES, "close": [0.0, 1.0]}},
            "BTCUSDT, close: min is 0.0; allowed: 1e-15 to 1e",
        ),
        ({"BTCUSDT": {**PRICES, "low": [-1.0, 1.0]}}, "BTCUSDT, low: min is -1.0; allowed"),
        ({"BTCUSDT": {**PRICES, "high": [1.0, 1e300]}}, "BTCUSDT, high: max is 1e[+]300; allowed"),
        ({"BTCUSDT": {**PRICES, "high": [1.0, 10**400]}}, "BTCUSDT, high: max is 10+; allowed"),
        (
            {"BTCUSDT": {**PRICES, "open": [2.0, 1.0]}},
            "BTCUSDT, open: max is 1.0; allowed: at least min, 2.0",
        ),
        ({"BTCUSDT": {**PRICES, "open": [True, 1.0]}}, "BTCUSDT, open: min is True"),
        ({"BTCUSDT": {**PRICES, "open": [float("nan"), 1.0]}}, "BTCUSDT, open: min is nan"),
        ({"BTCUSDT": {**PRICES, "open": [None, 1.0]}}, "BTCUSDT, open: min is None"),
        (
            {"BTCUSDT": {**PRICES, "sine": [-2.0, 1.0]}},
            "BTCUSDT, sine: min is -2.0; allowed: -1 to 1",
        ),
    ],
)
def test_an_invalid_table_is_refused_with_symbol_column_value_and_limit(
    table: Any, why: str, tmp_path: Path
) -> None:
    with pytest.raises(BadInput, match=why):
        read_scalers(a_table(tmp_path / "t.json", table))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "the first line is ''"),
        ("symbol,column,min\n", "the first line"),
        ("symbol,column,min,max\n", "has no symbols"),
        ("symbol,column,min,max\nBTCUSDT,open,1\n", "line 2 has 3 cells"),
        (
            "symbol,column,min,max\nBTCUSDT,open,1,2\nBTCUSDT,open,1,2\n",
            "BTCUSDT has the column open twice",
        ),
        ("symbol,column,min,max\nBTCUSDT,open,one,2\n", "BTCUSDT, open: min is 'one'"),
        ('symbol,column,min,max\n"BTCUSDT,open', "cannot be read as .csv"),
    ],
)
def test_invalid_lines_are_refused(text: str, why: str, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(text, encoding="utf-8")

    with pytest.raises(BadInput, match=why):
        read_scalers(tmp_path / "t.csv")


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("t.joblib", b"\x80\x04", "neither .csv nor .json"),
        ("t.json", b"\xff\xfe", "cannot be read as .json"),
        ("t.json", b"{", "cannot be read as .json"),
        ("t.json", b"[" * 100_000, "cannot be read as .json"),
        ("t.json", b'{"A": {"open": [1, 2], "open": [1, 2]}}', "A has the column open twice"),
        ("t.json", b" " * (MAX_TABLE_BYTES + 1), "larger than"),
    ],
)
def test_a_file_that_is_not_a_table_is_refused(
    name: str, content: bytes, why: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)

    with pytest.raises(BadInput, match=why):
        read_scalers(tmp_path / name)


def test_a_missing_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot be read"):
        read_scalers(tmp_path / "t.csv")


def test_a_constant_column_has_the_scale_one_as_in_scikit_learn() -> None:
    assert scaler_from_ranges(np.array([5.0]), np.array([5.0])) == Scaler((1.0,), (-5.0,))
