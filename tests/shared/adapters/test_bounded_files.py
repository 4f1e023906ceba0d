"""Files that are small and unpack to gigabytes, or cannot be unpacked: refused by a bound."""

import zipfile
from pathlib import Path

import pyarrow as pa
import pytest

from shared.adapters.bounded_parquet import open_parquet
from shared.adapters.bounded_text import MAX_LINE
from shared.adapters.candle_files import find_recordings, read_blocks
from shared.core.errors import BadInput
from tests.fuzz import bombs

MEMBER = "BTCUSDT-5m.csv"


def refusal(tmp_path: Path, data: bytes, name: str = "BTCUSDT-5m.zip") -> BadInput:
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(BadInput) as refused:
        list(read_blocks(find_recordings([path])[0]))
    return refused.value


def test_a_line_of_gigabytes_in_a_small_zip_is_refused_by_its_length(tmp_path: Path) -> None:
    data = bombs.deflated(MEMBER, 6_000)

    refused = refusal(tmp_path, data)

    assert len(data) < 10_000_000
    assert refused.reason == "long_line"
    assert f"line 1 has more than {MAX_LINE} characters" in str(refused)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (bombs.encrypted(bombs.zipped({MEMBER: b"1,2\n"})), "is encrypted"),
        (bombs.unknown_method(bombs.zipped({MEMBER: b"1,2\n"})), "compressed by method 99"),
        (bombs.zipped({MEMBER: b"1,2\n"}, zipfile.ZIP_LZMA), "compressed by method 14"),
        (bombs.renamed(bombs.zipped({MEMBER: b"1,2\n"}), MEMBER), "cannot be read|0 CSV files"),
        (bombs.zipped({f"{n:0200}": b"" for n in range(20_000)}), "more than 4194304 bytes"),
    ],
    ids=["encrypted", "unknown", "lzma", "binary name", "many members"],
)
def test_a_zip_that_cannot_be_unpacked_is_refused_with_the_reason(
    tmp_path: Path, data: bytes, why: str
) -> None:
    assert any(text in str(refusal(tmp_path, data)) for text in why.split("|"))


def test_a_page_of_parquet_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    column = {"open": pa.array([0.0] * 9_000_000)}
    options = {"use_dictionary": False, "data_page_size": 2**28, "compression": "zstd"}
    rows = {"row_group_size": 9_000_000, "max_rows_per_page": 9_000_000}
    path = tmp_path / "x.parquet"
    path.write_bytes(bombs.parquet(column, **options, **rows))

    with pytest.raises(BadInput, match=r"a page of 72\d{6} bytes, at most 67108864"):
        open_parquet(path, ["open"])

    assert path.stat().st_size < 100_000


def test_texts_of_parquet_that_build_on_each_other_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    texts = {"symbol": pa.array(["A" * 50_000 + str(at) for at in range(500)])}
    path.write_bytes(
        bombs.parquet(texts, column_encoding={"symbol": "DELTA_BYTE_ARRAY"}, use_dictionary=False)
    )

    with pytest.raises(BadInput, match="encoded in the way 7"):
        open_parquet(path, ["symbol"])


def test_a_parquet_file_without_open_times_is_refused_by_the_column(tmp_path: Path) -> None:
    data = bombs.parquet({"open": pa.array([1.0])})

    refused = refusal(tmp_path, data, "BTCUSDT-5m.parquet")

    assert "column open_time is missing, not int64" in str(refused)
