"""What cannot be imported is named and left out, and the rest is imported."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from services.cli.__main__ import app
from shared.adapters.env_settings import ServiceSettings
from shared.adapters.kafka.backwards_reader import await_settled
from shared.adapters.kafka.connection import KafkaConnection
from shared.adapters.kafka.reader import Reader
from shared.core.errors import BadInput, Incompatible, UlstmError
from shared.core.records import Candle, Fill, Gap, Record
from shared.core.topics import partition_for
from shared.log.archive import Archive
from tests.support.builders import START_MS, STEP_MS
from tests.support.recordings import dump, dump_line, write_file, write_zip

pytestmark = pytest.mark.integration

NAME = "BTCUSDT-5m-2025-01"


@pytest.fixture
def settings(kafka: KafkaConnection, topic_prefix: str) -> ServiceSettings:
    return ServiceSettings.from_env(
        {"KAFKA_BOOTSTRAP_SERVERS": str(kafka), "TOPIC_PREFIX": topic_prefix}
    )


Import = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture
def run_import(settings: ServiceSettings) -> Import:
    """Return a function that runs the command; it returns exit code and summary, or raises."""
    environ = {
        "KAFKA_BOOTSTRAP_SERVERS": settings.kafka_bootstrap_servers,
        "TOPIC_PREFIX": settings.topic_prefix,
    }

    def run(*arguments: Path | str) -> tuple[int, dict[str, Any]]:
        done = CliRunner().invoke(app, ["import", "--json", *map(str, arguments)], env=environ)
        if isinstance(done.exception, UlstmError) and not done.stdout:
            raise done.exception
        return done.exit_code, json.loads(done.stdout)

    return run


def logged(settings: ServiceSettings, symbol: str = "BTCUSDT") -> list[Record | BadInput]:
    archive = Archive(settings.kafka, settings.topics)
    partition = partition_for(symbol, settings.symbol_groups)
    with Reader(settings.kafka, settings.topics.klines) as reader:
        await_settled(reader, [partition])
    end = archive.ends()[partition]
    return [
        record
        for _, record in archive.records(partition, 0, end)
        if getattr(record, "symbol", symbol) == symbol
    ]


def moments(settings: ServiceSettings, symbol: str = "BTCUSDT") -> list[int]:
    return [
        (record.open_time_ms - START_MS) // STEP_MS
        for record in logged(settings, symbol)
        if isinstance(record, Candle)
    ]


def reasons(summary: dict[str, Any]) -> dict[str, str]:
    return {Path(file["path"]).name: file["reason"] for file in summary["left_out"]}


def test_a_folder_of_mixed_downloads_gives_the_files_that_fit(
    run_import: Import, settings: ServiceSettings, tmp_path: Path
) -> None:
    good = write_zip(tmp_path, f"{NAME}.zip", {f"{NAME}.csv": dump(range(3))})
    write_file(tmp_path, f"{NAME}.zip.CHECKSUM", b"junk")
    write_file(tmp_path, f"{NAME} (1).zip", good.read_bytes())
    write_file(tmp_path, "ADABKRW-15m-2020-8.zip", good.read_bytes())
    write_file(tmp_path, "BTCUSDT-aggTrades-2025-01.csv", b"1,1.0,1.0,1,1,1735689600000,true,true")
    write_file(tmp_path, "BTCUSDT-1d-2025-01.csv", dump([0]))
    write_file(tmp_path, "nested/ETHUSDT-5m-2025-01.csv", dump(range(5)))
    write_file(tmp_path, "nested/XRPUSDT-5m-2025-01.zip", good.read_bytes()[:99])

    code, summary = run_import(tmp_path)

    assert (code, summary["candles"], summary["symbols"]) == (1, 8, 2)
    assert reasons(summary) == {
        f"{NAME} (1).zip": "copied_file",
        "ADABKRW-15m-2020-8.zip": "bad_date",
        "BTCUSDT-aggTrades-2025-01.csv": "not_candles",
        "BTCUSDT-1d-2025-01.csv": "other_interval",
        "XRPUSDT-5m-2025-01.zip": "unreadable_file",
    }
    assert moments(settings, "ETHUSDT") == [0, 1, 2, 3, 4]
    assert run_import(tmp_path, "--skip-unreadable") == (
        0,
        {**summary, "candles": 0, "already_there": 8},
    )


def test_a_file_that_turns_bad_in_its_middle_is_left_out_as_a_whole(
    run_import: Import, settings: ServiceSettings, tmp_path: Path
) -> None:
    write_file(tmp_path, f"{NAME}.csv", dump([*range(9_000), dump_line(9_000)[:40]]))
    write_file(tmp_path, "ETHUSDT-5m-2025-01.csv", dump(range(3)))

    code, summary = run_import(tmp_path)

    assert (code, summary["candles"]) == (1, 3)
    assert reasons(summary) == {f"{NAME}.csv": "truncated_line"}
    assert "line 9001" in summary["left_out"][0]["message"]
    assert moments(settings) == []


def test_a_file_given_by_name_that_cannot_be_read_is_an_error_and_nothing_is_written(
    run_import: Import, settings: ServiceSettings, tmp_path: Path
) -> None:
    good = write_file(tmp_path, f"{NAME}.csv", dump(range(3)))
    bad = write_file(tmp_path, "ETHUSDT-5m-2025-01.csv", dump([0, "x"]))

    with pytest.raises(BadInput, match="line 2"):
        run_import(good, bad)
    with pytest.raises(Incompatible, match="INTERVAL"):
        run_import(good, write_file(tmp_path, "ETHUSDT-1h-2025-01.csv", dump([0])))

    code, summary = run_import(good, bad, "--skip-unreadable")
    assert (code, summary["candles"], reasons(summary)) == (0, 3, {bad.name: "truncated_line"})


def test_a_folder_of_which_nothing_can_be_imported_fails_even_so(
    run_import: Import, tmp_path: Path
) -> None:
    write_file(tmp_path, "BTCUSDT-1d-2025-01.csv", dump([0]))

    code, summary = run_import(tmp_path, "--skip-unreadable")

    assert (code, summary["candles"]) == (1, 0)
    assert reasons(summary) == {"BTCUSDT-1d-2025-01.csv": "other_interval"}


def test_files_that_contradict_are_left_out_and_both_named_with_lines_and_values(
    run_import: Import, settings: ServiceSettings, tmp_path: Path
) -> None:
    write_file(tmp_path, f"{NAME}.csv", dump(range(5)))
    day = [dump_line(1), dump_line(2, close="100.9"), dump_line(3, close="100.7")]
    write_file(tmp_path, f"{NAME}-01.csv", dump(day))
    write_file(tmp_path, "BTCUSDT-5m-2025-02.csv", dump([7, 8]))
    write_file(tmp_path, "ETHUSDT-5m-2025-01.csv", dump(range(3)))

    code, summary = run_import(tmp_path)

    assert (code, moments(settings), moments(settings, "ETHUSDT")) == (1, [7, 8], [0, 1, 2])
    assert reasons(summary) == dict.fromkeys((f"{NAME}.csv", f"{NAME}-01.csv"), "contradiction")
    for file in summary["left_out"]:
        assert f"close 100.9 in {tmp_path / NAME}-01.csv line 2" in file["message"]
        assert f"close 100.5 in {tmp_path / NAME}.csv line 3" in file["message"]
        assert "differ: 2" in file["message"]


@pytest.mark.parametrize("other", ["100.500", "100.50000000", "0100.5"])
def test_values_written_in_two_ways_and_times_in_two_units_are_one_candle(
    run_import: Import, settings: ServiceSettings, tmp_path: Path, other: str
) -> None:
    write_file(tmp_path, f"{NAME}.csv", dump(range(5)))
    day = [dump_line(at, other, scale=1000) for at in (3, 4, 5)]
    write_file(tmp_path, f"{NAME}-01.csv", dump(day))

    code, summary = run_import(tmp_path)

    assert (code, summary["candles"], summary["already_there"]) == (0, 6, 2)
    assert moments(settings) == [0, 1, 2, 3, 4, 5]


def test_candles_ahead_of_the_clock_are_taken(
    run_import: Import, settings: ServiceSettings, tmp_path: Path
) -> None:
    ahead = 12 * 24 * 365 * 40  # 40 years after the start
    write_file(tmp_path, f"{NAME}.csv", dump([ahead, ahead + 1]))

    assert run_import(tmp_path)[1]["candles"] == 2
    assert moments(settings) == [ahead, ahead + 1]


def test_rows_off_the_grid_are_set_aside_and_their_hole_is_a_gap(
    run_import: Import, settings: ServiceSettings, tmp_path: Path
) -> None:
    off = [dump_line(at, offset_ms=14_789) for at in range(400, 646)]
    write_file(tmp_path, f"{NAME}.csv", dump([0, 1, *off, 647, 648]))

    code, summary = run_import(tmp_path)

    assert (code, summary["candles"], summary["gaps"], summary["left_out"]) == (0, 4, 1, [])
    assert [(rows["reason"], rows["rows"]) for rows in summary["set_aside"]] == [("off_grid", 246)]
    assert Gap("BTCUSDT", START_MS + 2 * STEP_MS, START_MS + 647 * STEP_MS) in logged(settings)


def test_symbols_of_any_script_are_imported(
    run_import: Import, settings: ServiceSettings, tmp_path: Path
) -> None:
    write_file(tmp_path, f"{NAME}.csv", dump(range(3)))
    write_zip(tmp_path, "币安人生USDT-5m-2025-01.zip", {"x.csv": dump(range(4))})

    code, summary = run_import(tmp_path)

    assert (code, summary["symbols"]) == (0, 2)
    assert moments(settings, "币安人生USDT") == [0, 1, 2, 3]


def test_a_file_in_a_gap_of_the_log_fills_it_once(
    run_import: Import, settings: ServiceSettings, tmp_path: Path
) -> None:
    month = write_file(tmp_path, f"{NAME}.csv", dump([0, 1, 6, 7]))
    run_import(month)
    missing = write_file(tmp_path, f"{NAME}-01.csv", dump([1, 2, 3, 6]))

    code, summary = run_import(missing)

    assert (code, summary["fills"], summary["already_there"]) == (0, 2, 2)
    assert summary["candles"] == summary["gaps"] == 0
    fills = [record for record in logged(settings) if isinstance(record, Fill)]
    assert [(fill.candle.open_time_ms - START_MS) // STEP_MS for fill in fills] == [2, 3]
    # The rest of the gap can be filled later, and nothing twice.
    whole = write_file(tmp_path, "BTCUSDT-5m-2025-01-02.csv", dump(range(8)))
    assert run_import(whole)[1]["fills"] == 2
    assert run_import(tmp_path)[1]["fills"] == 0
    assert run_import(missing)[1]["already_there"] == 4


def test_a_gap_at_the_end_of_the_log_is_filled_too(
    run_import: Import, settings: ServiceSettings, tmp_path: Path
) -> None:
    run_import(write_file(tmp_path, f"{NAME}.csv", dump([0, 9])))
    (tmp_path / f"{NAME}.csv").unlink()

    code, summary = run_import(write_file(tmp_path, f"{NAME}.csv", dump(range(3, 12))))

    assert (code, summary["fills"], summary["candles"]) == (0, 6, 2)
    assert moments(settings) == [0, 9, 10, 11]


def test_a_filled_candle_has_the_market_of_its_moment(
    run_import: Import, settings: ServiceSettings, tmp_path: Path
) -> None:
    for symbol in ("AAAUSDT", "BBBUSDT", "CCCUSDT"):
        write_file(tmp_path, f"{symbol}-5m-2025-01.csv", dump(range(6)))
    write_file(tmp_path, f"{NAME}.csv", dump([0, 1, 4, 5]))
    run_import(tmp_path)

    run_import(write_file(tmp_path / "later", f"{NAME}.csv", dump(range(6))))

    moves = [record.candle.market for record in logged(settings) if isinstance(record, Fill)]
    assert [move is not None and move.symbols >= 3 for move in moves] == [True, True]


def test_values_that_contradict_the_log_amend_it_only_if_asked(
    run_import: Import, settings: ServiceSettings, tmp_path: Path
) -> None:
    run_import(write_file(tmp_path / "first", f"{NAME}.csv", dump(range(4))))
    revised = [dump_line(0), dump_line(1, close="100.9"), *map(dump_line, range(2, 6))]
    path = write_file(tmp_path / "second", f"{NAME}.csv", dump(revised))

    code, summary = run_import(path.parent)
    assert (code, summary["candles"], reasons(summary)) == (1, 0, {path.name: "contradicts_log"})
    message = summary["left_out"][0]["message"]
    assert f"close 100.9 in {path} line 2, and close 100.5 in the log" in message
    assert "--amend" in message
    with pytest.raises(BadInput, match="--amend"):
        run_import(path)

    code, summary = run_import(path, "--amend")
    assert (code, summary["amendments"], summary["candles"]) == (0, 1, 2)
    assert moments(settings) == [0, 1, 2, 3, 4, 5]
    again = run_import(path, "--amend")[1]
    assert (again["amendments"], again["candles"], again["already_there"]) == (0, 0, 6)


def test_a_file_that_begins_before_the_log_gives_what_comes_after_its_beginning(
    run_import: Import, settings: ServiceSettings, tmp_path: Path
) -> None:
    run_import(write_file(tmp_path / "first", f"{NAME}.csv", dump([4, 5])))
    folder = tmp_path / "second"
    write_file(folder, "BTCUSDT-5m-2024-12.csv", dump([0, 1]))
    write_file(folder, f"{NAME}.csv", dump(range(2, 9)))

    code, summary = run_import(folder)

    assert (code, summary["candles"], summary["already_there"]) == (1, 3, 2)
    assert reasons(summary) == {"BTCUSDT-5m-2024-12.csv": "older_than_the_log"}
    (rows,) = summary["set_aside"]
    assert (rows["reason"], rows["rows"]) == ("older_than_the_log", 2)
    assert moments(settings) == [4, 5, 6, 7, 8]


def test_a_file_of_the_past_and_the_future_is_not_taken_for_one_of_the_past(
    run_import: Import, settings: ServiceSettings, tmp_path: Path
) -> None:
    run_import(write_file(tmp_path / "first", f"{NAME}.csv", dump([70, 71])))
    # The first block of a dump has 64 lines: all of them are older than the log.
    write_file(tmp_path / "second", f"{NAME}.csv", dump([*range(64), 72]))

    code, summary = run_import(tmp_path / "second")

    assert (code, summary["candles"], summary["left_out"]) == (0, 1, [])
    assert [rows["rows"] for rows in summary["set_aside"]] == [64]
    assert moments(settings) == [70, 71, 72]
