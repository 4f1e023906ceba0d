import json
from pathlib import Path

import pytest

from tests.support.builders import a_card
from tests.support.deployment import Deployment
from tests.support.simulated_exchange import CANDLES, SimulatedExchange, write_recording

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
    assert keys.count(UNICODE_SYMBOL.encode()) == keys.count(b"BTCUSDT") == CANDLES
