"""What a folder of downloads may hold, and each file's own reason if it cannot be read."""

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.adapters.candle_files import find_recordings, read_blocks
from shared.adapters.recording import CandleRow, OffGridRows, SkippedFile
from shared.core.errors import BadInput
from tests.support.builders import START_MS, STEP_MS
from tests.support.recordings import HEADER, dump, dump_line, write_file, write_zip

NAME = "BTCUSDT-5m-2025-01"
PLAIN = dump([0, 1, 2])
ZIPPED = gzip.compress(
    PLAIN, mtime=0
)  # without the time of day, which would be in the name of a test


def rows(*paths: Path) -> list[CandleRow]:
    return [
        row
        for recording in find_recordings(paths)
        for block in read_blocks(recording)
        for row in block.rows()
    ]


def moments(*paths: Path) -> list[int]:
    return [(row.open_time_ms - START_MS) // STEP_MS for row in rows(*paths)]


def reason(path: Path) -> str:
    with pytest.raises(BadInput) as caught:
        rows(path)
    assert str(path) in str(caught.value)
    return caught.value.reason


def quoted(data: bytes) -> bytes:
    return b"".join(
        b",".join(b'"%b"' % field for field in line.split(b",")) + b"\n"
        for line in data.splitlines()
    )


@pytest.mark.parametrize(
    "data",
    [
        b"\xef\xbb\xbf" + PLAIN,
        b"\xef\xbb\xbf" + HEADER.encode() + b"\n" + PLAIN,
        PLAIN + b"\n\n   \n",
        PLAIN.rstrip(b"\n"),
        PLAIN.replace(b"\n", b"\r\n"),
        PLAIN.replace(b"\n", b"\r"),
        quoted(PLAIN),
        quoted(HEADER.encode() + b"\n" + PLAIN),
        PLAIN.replace(b",", b", "),
        HEADER.replace("open_time", "Open time").replace("_", " ").encode() + b"\r\n" + PLAIN,
        b"timestamp,o,h,l,c,v,close_time,q,n,tb,tq,ignore\n" + PLAIN,
        dump([dump_line(at, scale=1000) for at in range(3)]),
    ],
)
def test_the_forms_of_a_dump_all_give_the_same_candles(tmp_path: Path, data: bytes) -> None:
    plain = rows(write_file(tmp_path, f"{NAME}.csv", PLAIN))

    assert rows(write_file(tmp_path, f"{NAME}.csv", data)) == plain
    assert rows(write_zip(tmp_path, f"{NAME}.zip", {f"{NAME}.csv": data})) == plain
    assert rows(write_file(tmp_path, f"{NAME}.csv.gz", gzip.compress(data))) == plain
    assert rows(write_file(tmp_path, f"{NAME}.CSV", data)) == plain


@pytest.mark.parametrize(
    "members",
    [
        {"data.csv": PLAIN},
        {"spot/monthly/BTCUSDT-5m-2025-01.CSV": PLAIN},
        {f"{NAME}.csv": PLAIN, f"__MACOSX/._{NAME}.csv": b"junk", ".DS_Store": b"junk"},
        {f"{NAME}.csv": PLAIN, f"{NAME}.zip.CHECKSUM": b"junk", "README.txt": b"junk"},
    ],
)
def test_the_only_csv_of_a_zip_is_read_whatever_lies_beside_it(
    tmp_path: Path, members: dict[str, bytes]
) -> None:
    assert moments(write_zip(tmp_path, f"{NAME}.zip", members)) == [0, 1, 2]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ADABKRW-15m-2020-8.zip", "bad_date"),
        ("ADABKRW-5m-2020-8-1.csv", "bad_date"),
        ("BTCUSDT-5m-2025-01 (1).zip", "copied_file"),
        ("BTCUSDT-5m-2025-01(2).csv", "copied_file"),
        ("BTCUSDT-5m-2025-01 - Copy.csv", "copied_file"),
        ("BTCUSDT-5m-2025-01 copy.csv", "copied_file"),
        ("BTCUSDT-aggTrades-2025-01.zip", "not_candles"),
        ("BTCUSDT-trades-2025-01-01.csv", "not_candles"),
        ("BTCUSDT-bookTicker-2025-01-01.zip", "not_candles"),
        ("BTCUSDT-7m-2025-01.csv", "unknown_interval"),
        ("BTCUSDT.csv", "bad_file_name"),
        ("5m.csv", "bad_file_name"),
        ("btcusdt-5m.csv", "bad_file_name"),
        ("BTCUSDT-5m-2025-01.csv.bz2", "unknown_format"),
        ("BTCUSDT-5m-2025-01.zip.part", "unknown_format"),
        ("BTCUSDT-5m-2025-01.zip.crdownload", "unknown_format"),
        ("BTCUSDT-5m-2025-01.xlsx", "unknown_format"),
    ],
)
def test_a_name_that_does_not_say_what_is_inside_has_its_own_reason(
    tmp_path: Path, name: str, expected: str
) -> None:
    good = write_file(tmp_path, f"{NAME}.csv", PLAIN)
    bad = write_file(tmp_path, name, PLAIN)
    left_out: list[SkippedFile] = []

    assert [each.path for each in find_recordings([tmp_path], left_out.append)] == [good]
    assert [(each.path, each.reason) for each in left_out] == [(bad, expected)]
    assert reason(bad) == expected


@pytest.mark.parametrize(
    "name",
    [
        "BTCUSDT-5m-2025-01.zip.CHECKSUM",
        ".BTCUSDT-5m-2025-01.csv",
        ".cache/BTCUSDT-5m-2025-02.csv",
        "__MACOSX/._BTCUSDT-5m-2025-02.csv",
        "README.md",
        "notes.txt",
    ],
)
def test_what_is_no_recording_is_passed_over_in_silence(tmp_path: Path, name: str) -> None:
    good = write_file(tmp_path, f"a/b/{NAME}.csv", PLAIN)
    write_file(tmp_path, name, b"junk")

    assert [each.path for each in find_recordings([tmp_path])] == [good]


def test_a_file_that_is_named_and_lies_in_a_named_folder_is_read_once(tmp_path: Path) -> None:
    path = write_file(tmp_path, f"{NAME}.csv", PLAIN)

    assert len(find_recordings([tmp_path, path, tmp_path / "." / path.name])) == 1


@pytest.mark.parametrize(
    ("suffix", "data", "expected"),
    [
        ("csv", b"", "empty_file"),
        ("zip", b"", "empty_file"),
        ("csv", HEADER.encode() + b"\n", "empty_file"),
        ("csv", b"\n\n", "empty_file"),
        ("csv", b"<!DOCTYPE html><html>404</html>", "wrong_format"),
        ("zip", b'{"code": 404}', "wrong_format"),
        ("zip", PLAIN, "unreadable_file"),
        ("csv", ZIPPED, "wrong_format"),
        ("csv.gz", ZIPPED[:-20], "unreadable_file"),
        ("csv.gz", PLAIN, "unreadable_file"),
        ("csv", PLAIN.decode().encode("utf-16"), "wrong_encoding"),
        ("csv", PLAIN.replace(b",", b";"), "wrong_separator"),
        ("csv", PLAIN.replace(b",", b"\t"), "wrong_separator"),
        ("csv", b"1,1.0,1.0,1,1,1735689600000,true,true\n", "wrong_columns"),
        ("csv", b"agg_trade_id,price,quantity\n1,1.0,1.0\n", "unknown_header"),
        ("csv", HEADER.replace("high,low", "low,high").encode() + b"\n" + PLAIN, "unknown_header"),
        ("csv", PLAIN.replace(b",0\n", b",0,0.5\n"), "too_many_columns"),
        ("csv", PLAIN.replace(b"99.5", b"8.12e-06"), "exponent"),
        ("csv", PLAIN.replace(b"99.5", b"9.95E+1"), "exponent"),
        ("csv", PLAIN.replace(b"99.5", b'9"9.5'), "not_a_number"),
        ("csv", PLAIN + dump([3])[:30], "truncated_line"),
        ("csv", PLAIN + b"\n" + dump([3]), "blank_line"),
        ("csv", PLAIN.replace(b",42,", b",1234567890123456,"), "bad_optional_value"),
    ],
)
def test_content_that_cannot_be_read_has_its_own_reason(
    tmp_path: Path, suffix: str, data: bytes, expected: str
) -> None:
    assert reason(write_file(tmp_path, f"{NAME}.{suffix}", data)) == expected


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({}, "unknown_format"),
        ({"README.txt": b"x"}, "unknown_format"),
        ({"a.csv": PLAIN, "b.csv": PLAIN}, "unknown_format"),
        ({f"{NAME}.csv": b""}, "empty_file"),
        ({"ETHUSDT-5m-2025-01.csv": PLAIN}, "wrong_member"),
        ({"BTCUSDT-1m-2025-01.csv": PLAIN}, "wrong_member"),
    ],
)
def test_a_zip_of_something_else_has_its_own_reason(
    tmp_path: Path, members: dict[str, bytes], expected: str
) -> None:
    assert reason(write_zip(tmp_path, f"{NAME}.zip", members)) == expected


@pytest.mark.parametrize(
    "spoil", [lambda data: data[: len(data) // 2], lambda data: data[:40] + b"x" * 9 + data[49:]]
)
def test_a_zip_that_is_half_there_or_damaged_is_unreadable(
    tmp_path: Path, spoil: Callable[[bytes], bytes]
) -> None:
    path = write_zip(tmp_path, f"{NAME}.zip", {f"{NAME}.csv": dump(range(500))})
    path.write_bytes(spoil(path.read_bytes()))

    assert reason(path) == "unreadable_file"


def test_a_parquet_file_may_have_microseconds(tmp_path: Path) -> None:
    times = [(START_MS + at * STEP_MS) * 1000 for at in range(3)]
    numbers = {name: [1.5] * 3 for name in ("open", "high", "low", "close", "volume")}
    path = tmp_path / "BTCUSDT-5m.parquet"
    pq.write_table(pa.table({"open_time": times, **numbers}), path)

    assert moments(path) == [0, 1, 2]


def test_a_parquet_file_without_rows_is_empty(tmp_path: Path) -> None:
    names = ("open", "high", "low", "close", "volume")
    numbers = {name: pa.array([], pa.float64()) for name in names}
    path = tmp_path / "BTCUSDT-5m.parquet"
    pq.write_table(pa.table({"open_time": pa.array([], pa.int64()), **numbers}), path)

    assert reason(path) == "empty_file"


OUTAGE: list[str | int] = [
    0,
    1,
    *(dump_line(400 + at, offset_ms=14_789) for at in range(246)),
    700,
    701,
]


@pytest.mark.parametrize("scale", [1, 1000])
def test_rows_off_the_grid_after_an_outage_are_set_aside_with_their_number(
    tmp_path: Path, scale: int
) -> None:
    lines = [
        dump_line(each, scale=scale)
        if isinstance(each, int)
        else dump_line(400 + at - 2, scale=scale, offset_ms=14_789)
        for at, each in enumerate(OUTAGE)
    ]
    path = write_file(tmp_path, f"{NAME}.csv", dump(lines))
    off_grid: list[OffGridRows] = []

    (recording,) = find_recordings([path])
    blocks = list(read_blocks(recording, off_grid.append))

    times = np.concatenate([block.open_time_ms for block in blocks])
    assert ((times - START_MS) // STEP_MS).tolist() == [0, 1, 700, 701]
    assert sum(each.count for each in off_grid) == 246
    assert off_grid[0].first == "line 3"
    assert off_grid[0].first_ms == START_MS + 400 * STEP_MS + 14_789


def test_the_lines_of_the_rows_that_are_left_keep_their_numbers(tmp_path: Path) -> None:
    path = write_file(tmp_path, f"{NAME}.csv", dump(OUTAGE))
    (recording,) = find_recordings([path])

    places = [
        block.place(at) for block in read_blocks(recording) for at in range(len(block.open_time_ms))
    ]

    assert places == [f"{path} line {number}" for number in (1, 2, 249, 250)]


def test_a_file_of_shorter_candles_under_a_wrong_name_is_refused(tmp_path: Path) -> None:
    minutes = [dump_line(0, offset_ms=at * 60_000) for at in range(20)]
    shorter = [
        line.replace(str(START_MS + STEP_MS - 1), str(START_MS + 59_999)) for line in minutes
    ]

    assert reason(write_file(tmp_path, f"{NAME}.csv", dump(shorter))) == "wrong_interval"


DECIMALS = st.from_regex(r"[1-9][0-9]{0,8}(\.[0-9]{1,8})?", fullmatch=True)


@given(close=DECIMALS, volume=DECIMALS, taker=DECIMALS)
def test_every_decimal_comes_out_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, close: str, volume: str, taker: str
) -> None:
    line = (
        f"{START_MS},{close},{close},{close},{close},{volume},{START_MS + 299_999},0,1,{taker},0,0"
    )
    path = write_file(tmp_path_factory.mktemp("dump"), f"{NAME}.csv", dump([line]))

    (row,) = rows(path)

    assert (row.open, row.close, row.volume, row.taker_buy_volume) == (close, close, volume, taker)
