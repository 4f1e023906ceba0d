"""`ulstm symbols`: what it prints, what it changes, how it ends."""

import json
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from services.cli.commands.symbols import app
from services.cli.symbol_table import rows_of_log
from shared.adapters.prometheus import Telemetry
from shared.core.control import ControlState, SymbolControl
from shared.core.errors import BadSetting
from shared.core.records import SymbolStatus
from shared.local_servers.programs import free_port
from shared.log.control_topic import ControlTopic
from shared.log.positions import SymbolPosition
from tests.support.builders import START_MS, STEP_MS, candle_bytes
from tests.support.deployment import Deployment
from tests.support.waiting import eventually

UNICODE_SYMBOL = "币安人生USDT"


def symbols(deployment: Deployment, *arguments: str) -> Result:
    return CliRunner().invoke(app, arguments, obj=deployment.environ)


def listed(deployment: Deployment, *options: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(symbols(deployment, "list", "--json", *options).stdout)
    return rows


@pytest.mark.integration
def test_a_wish_is_in_the_log_and_is_taken_back(deployment: Deployment) -> None:
    assert listed(deployment) == []

    assert symbols(deployment, "add", "btcusdt", UNICODE_SYMBOL).exit_code == 0
    eventually(lambda: len(listed(deployment)) == 2)
    assert symbols(deployment, "remove", "BTCUSDT").exit_code == 0
    eventually(lambda: "removed" in str(listed(deployment)))

    standings = {row["symbol"]: row["standing"] for row in listed(deployment)}
    assert standings == {"BTCUSDT": "removed", UNICODE_SYMBOL: "wanted"}
    assert UNICODE_SYMBOL in symbols(deployment, "list").stdout


@pytest.mark.integration
def test_the_producer_says_why_a_symbol_lags(deployment: Deployment) -> None:
    control = ControlTopic(deployment.kafka, deployment.topics, "producer")
    control.publish([SymbolControl("BTCUSDT", "joined", 1, "named in SYMBOLS")])
    deployment.publish([("BTCUSDT", candle_bytes(0))])
    eventually(lambda: listed(deployment))
    (row,) = listed(deployment)
    assert (row["standing"], row["next_open_time_ms"]) == ("following", START_MS + STEP_MS)

    port, telemetry = free_port(), Telemetry("producer")
    address = f"http://127.0.0.1:{port}"
    standing = {
        "symbol": "BTCUSDT", "standing": "refused", "since_ms": 5,
        "next_open_time_ms": 7, "reason": "Invalid symbol.",
    }  # fmt: skip
    telemetry.add_page("/symbols", lambda: {"counts": {"refused": 1}, "symbols": [standing]})
    stop = telemetry.serve("127.0.0.1", port)
    try:
        assert listed(deployment, "--producer", address) == [standing]
    finally:
        stop()
    absent = symbols(deployment, "list", "--producer", address)
    assert absent.exit_code == 0
    assert "from the log alone" in absent.stderr


@pytest.mark.integration
def test_what_is_no_symbol_is_refused(deployment: Deployment) -> None:
    assert isinstance(symbols(deployment, "add", "BTC/USDT").exception, BadSetting)


def test_the_log_alone_names_halted_ended_and_late_symbols() -> None:
    control = ControlState()
    members = ("HALTED", "LATE", "FINE")
    control.add(SymbolControl(name, "joined", 1, "named in SYMBOLS") for name in members)
    positions = {
        "FINE": SymbolPosition(9 * STEP_MS),
        "LATE": SymbolPosition(6 * STEP_MS),
        "HALTED": SymbolPosition(
            6 * STEP_MS, SymbolStatus("HALTED", 6 * STEP_MS, "halted", "the status is BREAK")
        ),
    }

    rows = {row.symbol: row for row in rows_of_log(control, positions, STEP_MS)}

    assert {name: row.standing for name, row in rows.items()} == {
        "FINE": "following",
        "HALTED": "halted",
        "LATE": "late",
    }
    assert rows["HALTED"].reason == "the status is BREAK"
    assert rows["LATE"].since_ms == 6 * STEP_MS
