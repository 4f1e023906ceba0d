import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from shared.adapters.kafka.connection import KafkaConnection
from shared.local_servers import launcher
from shared.local_servers.programs import free_port
from tests.support.builders import interleaved_candles
from tests.support.deployment import Deployment
from tests.support.servers import redis_server, reserve_port
from tests.support.waiting import eventually

pytestmark = [pytest.mark.integration, pytest.mark.end_to_end]


def test_a_missing_kafka_and_redis_are_named_and_waited_for(
    kafka: KafkaConnection, topic_prefix: str, tmp_path: Path
) -> None:
    ports = free_port(), free_port()
    deployment = Deployment(
        KafkaConnection(f"127.0.0.1:{ports[0]}"),
        f"redis://127.0.0.1:{ports[1]}/0",
        topic_prefix,
        tmp_path,
    )
    replica = deployment.start_predictor()
    eventually(lambda: f"127.0.0.1:{ports[0]}" in replica.log_text())
    assert replica.process.poll() is None
    assert replica.get("/health/live")[0] == 200
    eventually(lambda: f"127.0.0.1:{ports[0]}" in replica.get("/health/ready")[1])
    assert replica.get("/health/ready")[0] == 503

    with launcher.start(tmp_path / "servers", kafka_port=ports[0], redis_port=ports[1]), deployment:
        eventually(lambda: replica.get("/health/ready")[0] == 200, 60)
        deployment.publish(interleaved_candles(["BTCUSDT"], 0, 20))
        deployment.release()
        deployment.publish(interleaved_candles(["BTCUSDT"], 20, 22))
        deployment.await_predictions(["BTCUSDT"], 21)
        assert replica.kill(signal.SIGTERM) == 0


def test_a_redis_that_goes_away_stops_no_prediction(
    kafka: KafkaConnection, topic_prefix: str, tmp_path: Path
) -> None:
    port = reserve_port()
    url = f"redis://127.0.0.1:{port}/0"
    with (
        redis_server(tmp_path / "redis", port) as redis,
        Deployment(kafka, url, topic_prefix, tmp_path) as deployment,
    ):
        deployment.publish(interleaved_candles(["BTCUSDT"], 0, 20))
        deployment.release()
        deployment.start_predictor()
        deployment.publish(interleaved_candles(["BTCUSDT"], 20, 22))
        deployment.await_predictions(["BTCUSDT"], 21)
        redis.kill()
        deployment.publish(interleaved_candles(["BTCUSDT"], 22, 26))

        deployment.await_predictions(["BTCUSDT"], 25)

        assert deployment.replay_agrees()


def test_a_replica_started_without_redis_goes_on_from_the_log(
    kafka: KafkaConnection, topic_prefix: str, tmp_path: Path
) -> None:
    with Deployment(
        kafka, f"redis://127.0.0.1:{free_port()}/0", topic_prefix, tmp_path
    ) as deployment:
        deployment.publish(interleaved_candles(["BTCUSDT"], 0, 20))
        deployment.release()
        for start in (20, 22):
            replica = deployment.start_predictor()
            deployment.publish(interleaved_candles(["BTCUSDT"], start, start + 2))
            deployment.await_predictions(["BTCUSDT"], start + 1)
            assert "ulstm_predictor_redis_up 0.0" in replica.get("/metrics")[1]
            assert replica.kill(signal.SIGTERM) == 0

        assert deployment.replay_agrees()


@pytest.mark.parametrize(
    ("service", "name", "value"),
    [
        ("predictor", "SYMBOL_GROUPS", "none"),
        ("predictor", "INTERVAL", "7m"),
        ("predictor", "SESSION_TIMEOUT_MS", "1"),
        ("producer", "SYMBOLS", "BTC/USDT"),
        ("trainer", "WINDOW_LENGTH", "5000"),
    ],
)
def test_a_bad_setting_refuses_to_start_and_names_it(service: str, name: str, value: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", f"services.{service}"],
        env={**os.environ, "SYMBOLS": "BTCUSDT", name: value},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 2
    assert name in done.stderr
    assert value in done.stderr


def test_another_number_of_groups_is_refused_with_what_to_do(deployment: Deployment) -> None:
    replica = deployment.start_predictor(SYMBOL_GROUPS="5")

    assert replica.process.wait(60) == 1
    assert "SYMBOL_GROUPS=3" in replica.log_text()


def test_servers_that_die_and_come_back_are_told_and_cost_no_candle(
    topic_prefix: str, tmp_path: Path
) -> None:
    folder, ports = tmp_path / "servers", (free_port(), free_port())
    running = launcher.start(folder, kafka_port=ports[0], redis_port=ports[1])
    found = running.servers
    with Deployment(found.kafka, found.redis_url, topic_prefix, tmp_path) as deployment:
        deployment.publish(interleaved_candles(["BTCUSDT"], 0, 20))
        deployment.release()
        replica = deployment.start_predictor()
        deployment.publish(interleaved_candles(["BTCUSDT"], 20, 22))
        deployment.await_predictions(["BTCUSDT"], 21)
        for pid in found.pids:
            os.kill(pid, signal.SIGKILL)
        running.stop()
        eventually(lambda: "has not answered" in replica.get("/health/ready")[1], 20)
        assert replica.get("/health/live")[0] == 200

        with launcher.start(folder, kafka_port=ports[0], redis_port=ports[1]):
            deployment.publish(interleaved_candles(["BTCUSDT"], 22, 30))
            assert len(deployment.await_predictions(["BTCUSDT"], 29, 90)["BTCUSDT"]) == 10
            eventually(replica.is_ready, 20)
            assert deployment.replay_agrees()
            assert replica.kill(signal.SIGTERM) == 0
