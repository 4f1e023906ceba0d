import zipfile
from pathlib import Path
from typing import Any
from unicodedata import normalize

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shared.adapters.candle_files import find_recordings, read_blocks
from shared.adapters.recording import CandleRow, SkippedFile
from shared.core.errors import BadInput

FIRST_MS = 1_735_689_600_000
STEP_MS = 300_000
HEADER = (
    "open_time,open,high,low,close,volume,close_time,quote_volume,count,"
    "taker_buy_volume,taker_buy_quote_volume,ignore"
)


def line(index: int, scale: int = 1, prices: str = "2.10,2.50,2.00,2.30000000") -> str:
    start = FIRST_MS + index * STEP_MS
    end = (start + STEP_MS) * scale - 1
    return f"{start * scale},{prices},7.5,{end},16.10,12,3.5,8.05,0"


def csv(folder: Path, *lines: str, name: str = "BTCUSDT-5m-2025-01.csv") -> Path:
    path = folder / name
    path.write_text("".join(f"{each}\n" for each in lines))
    return path


def parquet(folder: Path, columns: dict[str, list[Any]], name: str = "BTCUSDT-5m.parquet") -> Path:
    count = len(next(iter(columns.values()), [0, 0]))
    times = [FIRST_MS + index * STEP_MS for index in range(count)]
    numbers = {column: [1.5] * count for column in ("open", "high", "low", "close", "volume")}
    table = {"open_time": times, **numbers, **columns}
    pq.write_table(pa.table(table), folder / name)
    return folder / name


def rows(*paths: Path) -> list[CandleRow]:
    return [
        row
        for recording in find_recordings(paths)
        for block in read_blocks(recording)
        for row in block.rows()
    ]


def refused(*paths: Path) -> BadInput:
    with pytest.raises(BadInput) as caught:
        rows(*paths)
    return caught.value


def test_a_dump_gives_the_exchanges_own_decimal_strings(tmp_path: Path) -> None:
    (row,) = rows(csv(tmp_path, line(0)))
    assert row == CandleRow(
        "BTCUSDT", FIRST_MS, "2.10", "2.50", "2.00", "2.30000000", "7.5", "16.10", 12, "3.5", "8.05"
    )  # fmt: skip


def test_milliseconds_microseconds_header_crlf_and_zip_all_read_the_same(tmp_path: Path) -> None:
    plain = rows(csv(tmp_path, line(0), line(1)))
    assert rows(csv(tmp_path, line(0, 1000), line(1, 1000))) == plain
    assert rows(csv(tmp_path, HEADER, line(0), line(1))) == plain
    assert rows(csv(tmp_path, line(0) + "\r", line(1) + "\r")) == plain
    archive = tmp_path / "BTCUSDT-5m-2025-01-01.zip"
    with zipfile.ZipFile(archive, "w") as target:
        target.writestr("BTCUSDT-5m-2025-01-01.csv", f"{line(0)}\n{line(1)}\n")
    assert rows(archive) == plain


def test_a_byte_order_mark_and_blank_lines_at_the_end_are_passed_over(tmp_path: Path) -> None:
    plain = rows(csv(tmp_path, line(0), line(1)))

    assert rows(csv(tmp_path, f"\ufeff{line(0)}", line(1))) == plain
    assert rows(csv(tmp_path, f"\ufeff{HEADER}", line(0), line(1), "", "")) == plain


def test_what_macos_adds_to_a_zip_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "BTCUSDT-5m-2025-01.zip"
    with zipfile.ZipFile(path, "w") as target:
        target.writestr("BTCUSDT-5m-2025-01.csv", f"{line(0)}\n")
        target.writestr("__MACOSX/._BTCUSDT-5m-2025-01.csv", "junk")

    assert len(rows(path)) == 1


def test_a_file_of_a_folder_whose_name_says_nothing_can_be_left_out(tmp_path: Path) -> None:
    good = csv(tmp_path, line(0))
    bad = csv(tmp_path, line(0), name="BTCUSDT-5m-2025-8.csv")
    left_out: list[SkippedFile] = []

    found = find_recordings([tmp_path], left_out.append)

    assert [recording.path for recording in found] == [good]
    assert [(skipped.path, skipped.reason) for skipped in left_out] == [(bad, "bad_date")]
    with pytest.raises(BadInput, match="2025-8 is neither"):
        find_recordings([bad], left_out.append)


def test_a_hole_in_a_file_is_no_error(tmp_path: Path) -> None:
    assert [row.open_time_ms - FIRST_MS for row in rows(csv(tmp_path, line(0), line(9)))] == [
        0,
        9 * STEP_MS,
    ]


@pytest.mark.parametrize(
    ("second", "reason", "named"),
    [
        (line(1)[:30], "truncated_line", "columns"),
        (f"\n{line(1)}", "blank_line", "is empty"),
        (f"{line(1)},0", "too_many_columns", "13 columns"),
        (line(1, prices="2.10,x,2.00,2.30"), "not_a_number", "'x'"),
        (line(1, prices="2.10,NaN,2.00,2.30"), "not_a_number", "'NaN'"),
        (line(1, prices="2.10,inf,2.00,2.30"), "not_a_number", "'inf'"),
        (line(1, prices="2.10,1e5,2.00,2.30"), "exponent", "1e5"),
        (line(1, prices="2.10,8.12e-06,2.00,2.30"), "exponent", "8.12e-06"),
        (line(1, prices="2.10,\u0665,2.00,2.30"), "not_a_number", "column 3"),
        (line(1, prices="2.10,2.50,0.00,2.30"), "bad_price", "low 0.0"),
        (line(1, prices="-2.10,2.50,2.00,2.30"), "bad_price", "open -2.1"),
        (line(1, prices="2.10,2.20,2.00,2.30"), "inconsistent_prices", "high 2.2"),
        (line(1).replace(",7.5,", ",-7.5,"), "negative_volume", "volume -7.5"),
        (line(1).replace(",12,", ",1.5,"), "not_a_number", "'1.5'"),
        (line(1).replace("900000,2.10", "660000,2.10"), "wrong_interval", "660000"),
        (line(0), "out_of_order", str(FIRST_MS)),
        (line(-1), "out_of_order", str(FIRST_MS)),
        (line(1, 1000), "bad_time_unit", "one unit"),
        (
            line(1).replace(str(FIRST_MS + 2 * STEP_MS - 1), str(FIRST_MS + 9 * STEP_MS)),
            "wrong_interval",
            "close time",
        ),
    ],
)
def test_a_faulty_line_is_refused_with_file_line_and_value(
    tmp_path: Path, second: str, reason: str, named: str
) -> None:
    path = csv(tmp_path, HEADER, line(0), second)
    error = refused(path)
    assert error.reason == reason
    assert f"{path} line 3" in str(error)
    assert named in str(error)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("BTCUSDT-7m.csv", "unknown_interval"),
        ("BTCUSDT.csv", "bad_file_name"),
        ("5m.csv", "bad_file_name"),
        ("BTCUSDT-5m.txt", "unknown_format"),
    ],
)
def test_a_file_name_that_does_not_tell_what_is_inside_is_refused(
    tmp_path: Path, name: str, reason: str
) -> None:
    path = csv(tmp_path, line(0), name=name)
    error = refused(path)
    assert error.reason == reason
    assert str(path) in str(error)


def test_a_missing_path_and_a_damaged_file_are_refused(tmp_path: Path) -> None:
    assert refused(tmp_path / "gone.csv").reason == "no_file"
    for name in ("BTCUSDT-5m.zip", "BTCUSDT-5m.parquet"):
        assert refused(csv(tmp_path, "no such thing", name=name)).reason == "unreadable_file"


def test_floats_become_their_shortest_plain_decimals(tmp_path: Path) -> None:
    numbers: list[Any] = [1.234e-05, 1e15]
    prices = dict.fromkeys(("open", "high", "low", "close"), numbers)
    first, second = rows(parquet(tmp_path, {**prices, "volume": [0.0, 0.1]}))
    assert (first.close, first.volume, first.trades) == ("0.00001234", "0.0", None)
    assert (second.close, second.volume) == ("1000000000000000.0", "0.1")


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_open_times_may_be_timestamps(tmp_path: Path, unit: str) -> None:
    table = pq.read_table(parquet(tmp_path, {}))
    times = table["open_time"].cast(pa.timestamp("ms", tz="UTC")).cast(pa.timestamp(unit, tz="UTC"))
    path = tmp_path / "BTCUSDT-5m-2025-01.parquet"
    pq.write_table(table.set_column(0, "open_time", times), path)

    assert rows(path) == rows(parquet(tmp_path, {}))


def test_a_wide_file_says_its_symbols_itself_in_either_order(tmp_path: Path) -> None:
    times = [FIRST_MS, FIRST_MS, FIRST_MS + STEP_MS, FIRST_MS + STEP_MS]
    name = "wide-5m.parquet"
    by_time = rows(
        parquet(tmp_path, {"open_time": times, "symbol": ["BTCUSDT", "ADAUSDT"] * 2}, name)
    )
    assert sorted(by_time) == by_time
    in_turn: dict[str, list[Any]] = {
        "open_time": times[1:3] * 2,
        "symbol": ["ADAUSDT"] * 2 + ["BTCUSDT"] * 2,
    }
    assert rows(parquet(tmp_path, in_turn, name)) == by_time
    assert (
        refused(parquet(tmp_path, {"open_time": times, "symbol": ["A/B"] * 4}, name)).reason
        == "bad_symbol"
    )


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"high": [1.5, float("nan")]}, "not_finite"),
        ({"high": [1.5, float("inf")]}, "not_finite"),
        ({"low": [1.5, -1.0]}, "bad_price"),
        ({"low": [1.5, 1.6]}, "inconsistent_prices"),
        ({"open_time": [FIRST_MS, FIRST_MS]}, "out_of_order"),
        ({"open_time": [FIRST_MS, FIRST_MS + 1]}, "wrong_interval"),
        ({"open_time": [FIRST_MS, FIRST_MS * 1000 + STEP_MS * 1000]}, "bad_time_unit"),
        ({"volume": [1.5, 1e21]}, "too_many_digits"),
        ({"volume": [1.5, 1.2345678901234567e-5]}, "too_many_digits"),
        ({"volume": [1.5, -0.0]}, "negative_volume"),
        ({"close": [1.5, None]}, "missing_value"),
        ({"close": ["1.5", "1.5"]}, "bad_columns"),
        ({"close_time": [FIRST_MS + STEP_MS - 1, FIRST_MS + 3 * STEP_MS]}, "wrong_interval"),
    ],
)
def test_a_faulty_parquet_row_is_refused(
    tmp_path: Path, columns: dict[str, list[Any]], reason: str
) -> None:
    path = parquet(tmp_path, columns)
    error = refused(path)
    assert error.reason == reason
    assert str(path) in str(error)


def test_a_folder_is_read_by_symbol_and_month(tmp_path: Path) -> None:
    csv(tmp_path, line(8640), name="BTCUSDT-5m-2025-02.csv")
    csv(tmp_path, line(0), name="BTCUSDT-5m-2025-01.csv")
    csv(tmp_path, line(0), name="ADAUSDT-5m-2025-01.csv")
    (tmp_path / "README.md").write_text("not a recording")
    assert [(row.symbol, (row.open_time_ms - FIRST_MS) // STEP_MS) for row in rows(tmp_path)] == [
        ("ADAUSDT", 0),
        ("BTCUSDT", 0),
        ("BTCUSDT", 8640),
    ]


def test_a_file_names_a_symbol_of_any_script_however_its_file_system_spells_it(
    tmp_path: Path,
) -> None:
    csv(tmp_path, line(0), name="币安人生USDT-5m-2026-01.csv")
    csv(tmp_path, line(0), name=normalize("NFD", "ÉCUUSDT") + "-5m-2026-01.csv")

    assert [row.symbol for row in rows(tmp_path)] == ["ÉCUUSDT", "币安人生USDT"]


def test_parquet_gives_what_it_has_of_the_whole_kline(tmp_path: Path) -> None:
    columns: dict[str, list[Any]] = {
        "quote_volume": [16.1, None],
        "count": [12, 3],
        "taker_buy_volume": [3.5, 0.0],
    }

    first, second = rows(parquet(tmp_path, columns))

    assert first[7:] == ("16.1", 12, "3.5", None)
    assert second[7:] == (None, 3, "0.0", None)


@pytest.mark.parametrize(
    "columns",
    [
        {"quote_volume": [-1.0]},
        {"taker_buy_volume": [float("inf")]},
        {"trades": [1.5]},
        {"trades": [-1]},
        {"trades": [10**16]},
    ],
)
def test_an_impossible_optional_value_is_refused_with_its_row(
    tmp_path: Path, columns: dict[str, list[Any]]
) -> None:
    error = refused(parquet(tmp_path, columns))

    assert error.reason == "bad_optional_value"
    assert "row 0" in str(error)


def test_an_optional_column_of_text_is_refused(tmp_path: Path) -> None:
    assert refused(parquet(tmp_path, {"trades": ["12"]})).reason == "bad_columns"
