"""A real Prometheus asks the real services: every query of the board answers, with data."""

import json
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

import pytest
import yaml

from scripts.write_board import queries
from shared.local_servers.launcher import kill_with_parent
from shared.local_servers.programs import free_port
from tests.observability.promql import metric_names
from tests.observability.promtool import ALERTS, program
from tests.support.deployment import Deployment, Replica
from tests.support.waiting import eventually

pytestmark = [pytest.mark.integration, pytest.mark.end_to_end, pytest.mark.slow]

SYMBOLS: Final = 4
SMALL_TRAINING: Final = {
    "WINDOW_LENGTH": "16",
    "WIDTHS": "8",
    "MIN_CANDLES": "100",
    "EPOCHS": "1",
    "WINDOWS_PER_EPOCH": "200",
    "VALIDATION_WINDOWS": "200",
    "SCORED_CANDLES": "20",
    "PROMOTE": "always",
}
# Their series begin with the first event of a kind, and there may be none.
OF_EVENTS: Final = {
    "ulstm_producer_stream_ends_total",
    "ulstm_producer_symbol_statuses_total",
    "ulstm_producer_dead_letters_total",
    "ulstm_predictor_dead_letters_total",
}


class Prometheus:
    """Prometheus as a process, which asks some services every second."""

    def __init__(self, folder: Path, services: dict[str, Replica]) -> None:
        jobs = [
            {"job_name": name, "static_configs": [{"targets": [f"127.0.0.1:{service.port}"]}]}
            for name, service in services.items()
        ]
        config = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(ALERTS)],
            "scrape_configs": jobs,
        }
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
        self._address = f"127.0.0.1:{free_port()}"
        with (folder / "prometheus.log").open("wb") as log:
            self.process = subprocess.Popen(
                kill_with_parent(
                    [
                        program("prometheus"),
                        f"--config.file={folder / 'prometheus.yml'}",
                        f"--storage.tsdb.path={folder / 'data'}",
                        f"--web.listen-address={self._address}",
                    ]
                ),
                stdout=log,
                stderr=log,
            )

    def get(self, path: str, **arguments: str) -> Any:
        """Return the data of an answer of the API, which must be no error."""
        url = f"http://{self._address}/api/v1/{path}?{urlencode(arguments)}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            document = json.load(answer)
        assert document["status"] == "success", document
        return document["data"]

    def has_data(self, query: str) -> bool:
        """Return whether a query answers with any series."""
        try:
            return bool(self.get("query", query=query)["result"])
        except OSError:
            return False  # it is still starting

    def close(self) -> None:
        self.process.kill()
        self.process.wait(20)


@pytest.fixture
def services(deployment: Deployment) -> dict[str, Replica]:
    """A whole system on a market that closes a candle each second."""
    port = free_port()
    deployment.start(
        "services.exchange_simulator",
        EXCHANGE_PORT=str(port),
        EXCHANGE_SPEED="300",
        EXCHANGE_SYMBOLS=str(SYMBOLS),
        EXCHANGE_HISTORY="600",
    )
    producer = deployment.start(
        "services.producer",
        EXCHANGE_REST_URL=f"http://127.0.0.1:{port}",
        EXCHANGE_STREAM_URL=f"ws://127.0.0.1:{port}",
        SYMBOLS="all",
        BACKFILL_CANDLES="400",
        CLOSE_GRACE_S="0.5",
        GAP_AFTER_S="2",
        OUTAGE_GAP_AFTER_S="2",
    )
    return {
        "producer": producer,
        "predictor": deployment.start_predictor(),
        "trainer": deployment.start("services.trainer", **SMALL_TRAINING),
        "dashboard": deployment.start("services.dashboard", DASHBOARD_PORT="0"),
    }


@pytest.fixture
def prometheus(tmp_path: Path, services: dict[str, Replica]) -> Iterator[Prometheus]:
    server = Prometheus(tmp_path, services)
    yield server
    server.close()


def test_every_query_of_the_board_answers_with_data(
    prometheus: Prometheus, services: dict[str, Replica]
) -> None:
    wanted = [
        query
        for query in queries()
        if metric_names(query) and metric_names(query).isdisjoint(OF_EVENTS)
    ]
    eventually(lambda: prometheus.has_data("ulstm_predictor_scored_predictions > 0"), 90)
    missing = set(wanted)

    def all_have_data() -> bool:
        missing.difference_update([each for each in missing if prometheus.has_data(each)])
        return not missing

    try:
        eventually(all_have_data, 30, 0.5)
    except TimeoutError:
        pytest.fail(f"without data: {sorted(missing)}")

    for query in queries():
        prometheus.get("query", query=query)
    targets = prometheus.get("targets")["activeTargets"]
    assert {each["labels"]["job"]: each["health"] for each in targets} == dict.fromkeys(
        services, "up"
    )
    rules = [rule for group in prometheus.get("rules")["groups"] for rule in group["rules"]]
    assert {rule["name"]: rule["health"] for rule in rules if rule["health"] != "ok"} == {}
    firing = [rule["name"] for rule in rules if rule["state"] == "firing"]
    assert firing == []
