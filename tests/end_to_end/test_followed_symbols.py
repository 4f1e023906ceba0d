import json
import signal
from pathlib import Path

import pytest

from tests.support.builders import STEP_MS, a_card
from tests.support.deployment import Deployment, Replica
from tests.support.simulated_exchange import CANDLES, SimulatedExchange, write_recording
from tests.support.waiting import eventually

pytestmark = [pytest.mark.integration, pytest.mark.end_to_end]

UNICODE_SYMBOL = "币安人生USDT"


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    folder = tmp_path / "recordings"
    folder.mkdir()
    return folder


def test_a_symbol_of_any_script_goes_the_whole_way(
    deployment: Deployment, recordings: Path
) -> None:
    write_recording(recordings, UNICODE_SYMBOL)
    write_recording(recordings, "BTCUSDT")
    exchange = SimulatedExchange(deployment, recordings)
    deployment.release(card=a_card())
    deployment.start_predictor()
    exchange.start()
    exchange.start_producer(["btcusdt", UNICODE_SYMBOL.replace("USDT", "usdt")])

    deployment.await_predictions(["BTCUSDT", UNICODE_SYMBOL], CANDLES - 1)

    shown = deployment.ulstm("predict", UNICODE_SYMBOL.lower(), "--json")
    assert json.loads(shown.stdout)["symbol"] == UNICODE_SYMBOL, shown.stderr
    watched = deployment.ulstm("watch", "--for", "3")
    assert UNICODE_SYMBOL in watched.stdout
    assert "close to arrival" in watched.stderr
    assert deployment.ulstm("verify").returncode == 0
    assert deployment.replay_agrees()


def test_history_of_a_symbol_of_any_script_is_imported(
    deployment: Deployment, recordings: Path
) -> None:
    write_recording(recordings, UNICODE_SYMBOL)
    write_recording(recordings, "BTCUSDT")

    imported = deployment.ulstm("import", str(recordings))

    assert imported.returncode == 0, imported.stderr
    keys = [record.key for record in deployment.read(deployment.topics.klines)]
    # Each begins with its listing.
    assert keys.count(UNICODE_SYMBOL.encode()) == keys.count(b"BTCUSDT") == CANDLES + 1


@pytest.fixture
def live_exchange(deployment: Deployment, recordings: Path, tmp_path: Path) -> SimulatedExchange:
    """Return an exchange whose candles take half a second, and in which symbols come and go."""
    for name in ("AAA", "BBB", "CCC", "DDD", "NEW"):
        write_recording(recordings, f"{name}USDT")
    faults = tmp_path / "faults.json"
    faults.write_text(
        json.dumps(
            {
                "origin": "first subscription",
                "faults": [
                    {"kind": "listing", "at": 20, "symbols": ["NEWUSDT"]},
                    {"kind": "halt", "at": 30, "for_candles": 20, "symbols": ["BBBUSDT"]},
                    {"kind": "delisting", "at": 40, "value": "gone", "symbols": ["CCCUSDT"]},
                ],
            }
        )
    )
    exchange = SimulatedExchange(deployment, recordings)
    exchange.start(EXCHANGE_SPEED="600", EXCHANGE_HISTORY="100", EXCHANGE_FAULTS=str(faults))
    return exchange


def start_live_producer(exchange: SimulatedExchange, symbols: str) -> Replica:
    return exchange.start_producer(
        [symbols], LISTING_REFRESH_S="0.5", DELISTED_AFTER_S="2", BACKFILL_CANDLES="50"
    )


def test_symbols_are_listed_halted_and_delisted_while_the_producer_runs(
    deployment: Deployment, live_exchange: SimulatedExchange
) -> None:
    version = deployment.release(card=a_card())
    deployment.start_predictor()
    producer = start_live_producer(live_exchange, "all")

    def names(symbol: str) -> list[str]:
        return [each["status"] for each in live_exchange.statuses()[symbol]]

    eventually(lambda: "resumed" in names("BBBUSDT"), 60)
    eventually(lambda: "delisted" in names("CCCUSDT"), 200)

    assert names("AAAUSDT") == names("DDDUSDT") == names("NEWUSDT") == ["listed"]
    assert names("BBBUSDT") == ["listed", "halted", "resumed"]
    assert names("CCCUSDT") == ["listed", "delisted"]
    log = live_exchange.klines()
    new = deployment.predictions()["NEWUSDT"]
    first_ms = log["NEWUSDT"][0]["open_time_ms"]
    assert new[0].open_time_ms - first_ms == a_card().architecture.window_length * STEP_MS
    assert new[0].model_version == version
    delisted = live_exchange.statuses()["CCCUSDT"][-1]
    assert delisted["time_ms"] == log["CCCUSDT"][-1]["open_time_ms"] + STEP_MS
    assert delisted["reason"] == "the exchange no longer lists it"
    assert producer.kill(signal.SIGTERM) == 0
    eventually(deployment.replay_agrees, 60, 1.0)
    assert deployment.ulstm("verify").returncode == 0


def test_the_user_removes_a_symbol_and_adds_it_again_while_the_producer_runs(
    deployment: Deployment, live_exchange: SimulatedExchange
) -> None:
    deployment.release(card=a_card())
    deployment.start_predictor()
    producer = start_live_producer(live_exchange, "AAAUSDT,BBBUSDT")
    eventually(lambda: deployment.predictions()["AAAUSDT"], 60)

    assert deployment.ulstm("symbols", "add", "DDDUSDT").returncode == 0
    assert deployment.ulstm("symbols", "remove", "aaausdt").returncode == 0

    eventually(lambda: len(live_exchange.statuses()["AAAUSDT"]) == 2, 30)
    eventually(lambda: deployment.predictions()["DDDUSDT"], 60)
    removed = live_exchange.statuses()["AAAUSDT"][-1]
    assert removed["status"] == "removed"
    assert live_exchange.klines()["AAAUSDT"][-1]["open_time_ms"] < removed["time_ms"]
    address = f"http://127.0.0.1:{producer.port}"
    shown = deployment.ulstm("symbols", "list", "--json", "--producer", address)
    standings = {row["symbol"]: row["standing"] for row in json.loads(shown.stdout)}
    assert standings["AAAUSDT"] == "removed"
    assert standings["DDDUSDT"] in {"following", "history"}

    # A restart keeps what the user wants, whatever the setting names.
    assert producer.kill(signal.SIGTERM) == 0
    producer = start_live_producer(live_exchange, "AAAUSDT,BBBUSDT")
    before = len(live_exchange.klines()["DDDUSDT"])
    eventually(lambda: len(live_exchange.klines()["DDDUSDT"]) > before, 60)
    assert len(live_exchange.statuses()["AAAUSDT"]) == 2
    assert deployment.ulstm("symbols", "add", "AAAUSDT").returncode == 0
    eventually(
        lambda: deployment.predictions()["AAAUSDT"][-1].open_time_ms > removed["time_ms"], 60
    )
    assert [each["status"] for each in live_exchange.statuses()["AAAUSDT"]][2:] == ["listed"]
    assert producer.kill(signal.SIGTERM) == 0
    eventually(deployment.replay_agrees, 60, 1.0)
    assert deployment.ulstm("verify").returncode == 0
