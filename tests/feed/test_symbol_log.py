"""The comparison sees what it must see."""

from typing import Any

from services.exchange_simulator.faults.script import FaultScript
from services.exchange_simulator.kline import to_rest_row
from services.exchange_simulator.server import ExchangeServer
from services.exchange_simulator.settings import SimulatorSettings
from tests.feed.symbol_log import CandleFields, SymbolLog
from tests.feed.truth import Truth
from tests.support.builders import STEP_MS

SYMBOL = "SYN01USDT"
HOLE = {"kind": "hole", "at": -5, "for_candles": 2}


def exchange() -> ExchangeServer:
    settings = SimulatorSettings.from_env({"EXCHANGE_SYMBOLS": "1", "EXCHANGE_HISTORY": "20"})
    return ExchangeServer(settings, FaultScript.model_validate({"faults": [HOLE]}))


def records(server: ExchangeServer) -> list[dict[str, Any]]:
    """Return the records of a right log: 15 candles, the hole, 3 candles."""
    market, start_ms = server.view.market, server.plan.origin_ms or 0
    numbers = market.find(SYMBOL, 0, start_ms)
    rows = [to_rest_row(row, STEP_MS) for row in market.rows(SYMBOL, numbers)]
    found: list[dict[str, Any]] = [
        {
            "type": "candle",
            "open_time_ms": row[0],
            **dict(zip(CandleFields._fields, (*row[1:6], *row[7:11]), strict=True)),
        }
        for row in rows
    ]
    until_ms = found[15]["open_time_ms"]
    found.insert(15, {"type": "gap", "from_open_time_ms": until_ms - 2 * STEP_MS})
    found[15]["until_open_time_ms"] = until_ms
    return found


def differences(server: ExchangeServer, given: list[dict[str, Any]]) -> list[str]:
    log = SymbolLog(SYMBOL, STEP_MS)
    for record in given:
        log.apply(record)
    start_ms = server.plan.origin_ms or 0
    return list(Truth(server.view).differences(log, start_ms - 20 * STEP_MS, start_ms))


def test_a_right_log_has_no_differences() -> None:
    server = exchange()
    assert differences(server, records(server)) == []


def test_a_candle_that_is_missing_twice_wrong_or_invented_is_a_difference() -> None:
    server = exchange()
    right = records(server)
    hole_ms = right[15]["from_open_time_ms"]
    assert "are missing" in differences(server, right[:-1])[0]
    assert "expected" in differences(server, [*right[:3], right[2], *right[3:]])[0]
    assert "expected" in differences(server, [*right[:3], *right[4:]])[0]
    assert "the log has" in differences(server, [{**right[0], "volume": "7.0"}, *right[1:]])[0]
    invented = {**right[3], "type": "fill", "open_time_ms": hole_ms}
    assert "does not have" in differences(server, [*right, invented])[0]


def test_a_gap_that_is_filled_is_right_and_one_that_is_not_is_a_difference() -> None:
    server = exchange()
    right = records(server)
    begin_ms = right[4]["open_time_ms"]
    gap = {"type": "gap", "from_open_time_ms": begin_ms, "until_open_time_ms": begin_ms + STEP_MS}
    with_gap = [*right[:4], gap, *right[5:]]
    assert "1 of them in gaps" in differences(server, with_gap)[0]
    assert differences(server, [*with_gap, {**right[4], "type": "fill"}]) == []


def test_a_correction_that_corrects_nothing_is_a_difference() -> None:
    server = exchange()
    right = records(server)
    for kind in ("fill", "amendment"):
        assert "where the log has" in differences(server, [*right, {**right[0], "type": kind}])[0]


def test_a_symbol_may_begin_anew_after_its_end() -> None:
    server = exchange()
    right = records(server)
    ended = {"type": "status", "time_ms": right[3]["open_time_ms"], "status": "removed"}
    found = differences(server, [*right[:3], ended, *right[8:]])
    assert [each.split(": ")[1].split(",")[0] for each in found] == ["5 candles are missing"]


def test_a_gap_off_the_grid_is_an_error() -> None:
    log, from_ms = SymbolLog(SYMBOL, STEP_MS), 10 * STEP_MS

    log.apply(
        {
            "type": "gap",
            "from_open_time_ms": from_ms,
            "until_open_time_ms": from_ms + 14_789,
        }
    )

    assert log.problems == [f"a gap from {from_ms} to {from_ms + 14_789} is off the grid"]
