from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from services.cli.export.table_file import BLOCK_ROWS, UTC_TIME, check_out, open_table
from shared.core.errors import BadSetting

SCHEMA = pa.schema([("symbol", pa.string()), ("open_time", UTC_TIME), ("close", pa.float64())])


def write(path: Path, rows: int) -> None:
    with open_table(path, SCHEMA) as table:
        for number in range(rows):
            table.append(("BTCUSDT", number * 60_000, float(number)))


def test_rows_are_written_in_groups_of_a_fixed_size(tmp_path: Path) -> None:
    write(tmp_path / "x.parquet", BLOCK_ROWS + 5)

    metadata = pq.read_metadata(tmp_path / "x.parquet")
    assert metadata.num_rows == BLOCK_ROWS + 5
    assert [metadata.row_group(n).num_rows for n in range(2)] == [BLOCK_ROWS, 5]


def test_a_csv_file_has_names_and_times_that_people_read(tmp_path: Path) -> None:
    write(tmp_path / "x.csv", 2)

    assert (tmp_path / "x.csv").read_text().splitlines() == [
        '"symbol","open_time","close"',
        '"BTCUSDT",1970-01-01 00:00:00.000Z,0',
        '"BTCUSDT",1970-01-01 00:01:00.000Z,1',
    ]


@pytest.mark.parametrize("name", ["x.parquet", "x.csv"])
def test_an_error_leaves_the_file_as_it_was(tmp_path: Path, name: str) -> None:
    def fail() -> None:
        with open_table(tmp_path / name, SCHEMA) as table:
            table.append(("BTCUSDT", 0, 1.0))
            raise RuntimeError

    (tmp_path / name).write_text("before")
    with pytest.raises(RuntimeError):
        fail()

    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "before"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("x.txt", r"\.parquet or \.csv"),
        ("no/x.csv", "make it first"),
        ("folder.csv", "name a file in it"),
    ],
)
def test_a_file_that_cannot_be_written_is_refused_at_once(
    tmp_path: Path, name: str, message: str
) -> None:
    (tmp_path / "folder.csv").mkdir()

    with pytest.raises(BadSetting, match=message):
        check_out(tmp_path / name)


def test_a_place_that_cannot_be_written_is_named_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(BadSetting, match="choose another place"):
        write(tmp_path / "file" / "x.parquet", 1)
