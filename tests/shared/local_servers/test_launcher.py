import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import redis
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from shared.adapters.kafka.connection import KafkaConnection
from shared.core.errors import BadSetting, Unavailable
from shared.local_servers import data_folder, launcher
from tests.support.waiting import eventually

pytestmark = pytest.mark.integration

STARTS_AND_WAITS = """
import pathlib, sys, time
from shared.local_servers import launcher
running = launcher.start(pathlib.Path(sys.argv[1]), die_with_parent=True)
print("started", flush=True)
time.sleep(600)
"""


def listens(address: str) -> bool:
    host, port = address.removeprefix("redis://").removesuffix("/0").split(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


def test_kafka_and_redis_answer(kafka: KafkaConnection, redis_url: str) -> None:
    brokers = AdminClient(kafka.client_config()).list_topics(timeout=10).brokers

    assert len(brokers) == 1
    with redis.Redis.from_url(redis_url) as client:
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        assert client.config_get("appendonly") == {"appendonly": "yes"}


def test_what_was_stored_is_there_after_a_stop_and_a_start(tmp_path: Path) -> None:
    with launcher.start(tmp_path, die_with_parent=True) as first:
        with redis.Redis.from_url(first.servers.redis_url) as client:
            client.set("kept", "yes")
        cluster = AdminClient(first.servers.kafka.client_config()).list_topics(timeout=10)

    with launcher.start(tmp_path, die_with_parent=True) as second:
        with redis.Redis.from_url(second.servers.redis_url) as client:
            kept = client.get("kept")
        again = AdminClient(second.servers.kafka.client_config()).list_topics(timeout=10)

    assert kept == b"yes"
    assert again.cluster_id == cluster.cluster_id


def test_a_stop_leaves_no_process_and_no_port(tmp_path: Path) -> None:
    with launcher.start(tmp_path, die_with_parent=True) as running:
        while_running = launcher.running_servers(tmp_path)
    stopped = running.servers

    assert while_running == stopped
    assert launcher.running_servers(tmp_path) is None
    assert not listens(stopped.kafka_bootstrap)
    assert not listens(stopped.redis_url)
    assert not any(data_folder.is_alive(pid, tmp_path) for pid in stopped.pids)


def test_a_killed_parent_leaves_no_server(tmp_path: Path) -> None:
    command = [sys.executable, "-c", STARTS_AND_WAITS, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"started\n"
        running = launcher.running_servers(tmp_path)
        os.kill(parent.pid, signal.SIGKILL)

    assert running is not None
    eventually(lambda: data_folder.is_free(tmp_path), deadline_s=10)
    assert not listens(running.kafka_bootstrap)
    assert not listens(running.redis_url)


def test_servers_in_the_background_are_found_and_stopped_by_their_folder(tmp_path: Path) -> None:
    program = STARTS_AND_WAITS.replace("True", "False").replace("time.sleep(600)", "")
    subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], check=True, stdout=subprocess.PIPE
    )

    running = launcher.running_servers(tmp_path)
    ended = launcher.stop_servers(tmp_path)

    assert running is not None
    assert ended
    assert not listens(running.kafka_bootstrap)
    assert not launcher.stop_servers(tmp_path)


@pytest.mark.parametrize("name", ["données, été #=", "币 b'c\"d\\u00e4\x1b[2J"])
def test_a_folder_may_have_any_name(name: str, tmp_path: Path) -> None:
    folder = tmp_path / name

    with launcher.start(folder, die_with_parent=True) as first:
        admin = AdminClient(first.servers.kafka.client_config())
        admin.create_topics([NewTopic("kept", 1, 1)])["kept"].result(10)
        with redis.Redis.from_url(first.servers.redis_url) as client:
            client.set("kept", "yes")
    with launcher.start(folder, die_with_parent=True) as second:
        admin = AdminClient(second.servers.kafka.client_config())
        assert "kept" in admin.list_topics(timeout=10).topics
        with redis.Redis.from_url(second.servers.redis_url) as client:
            assert client.get("kept") == b"yes"

    assert [each.name for each in tmp_path.iterdir()] == [name]


def test_one_server_without_the_other_is_told_and_stopped(tmp_path: Path) -> None:
    program = STARTS_AND_WAITS.replace("True", "False").replace("time.sleep(600)", "")
    subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], check=True, stdout=subprocess.PIPE
    )
    running = launcher.running_servers(tmp_path)
    assert running is not None
    assert launcher.half_running_servers(tmp_path) == []

    data_folder.send_signal(signal.SIGKILL, running.pids[1], tmp_path)  # Redis

    eventually(lambda: launcher.half_running_servers(tmp_path) == ["Kafka"], deadline_s=10)
    assert launcher.running_servers(tmp_path) is None
    assert launcher.stop_servers(tmp_path)
    assert launcher.half_running_servers(tmp_path) == []


def test_a_folder_in_use_is_refused(tmp_path: Path) -> None:
    with data_folder.lock(tmp_path), pytest.raises(BadSetting, match="servers run on"):
        launcher.start(tmp_path)


def test_a_port_in_use_is_refused_by_its_number(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        with pytest.raises(BadSetting, match=f"port {port} is in use"):
            launcher.start(tmp_path, kafka_port=port)


def test_a_server_that_does_not_start_is_named_with_its_last_words(tmp_path: Path) -> None:
    folder = tmp_path / "kafka"
    folder.mkdir()
    (folder / "meta.properties").write_text("version=1\nnode.id=7\ncluster.id=another\n")

    with pytest.raises(Unavailable, match=r"(?s)Kafka on port \d+ did not start.*Stored node id 7"):
        launcher.start(tmp_path, die_with_parent=True)

    assert data_folder.is_free(tmp_path)


def test_a_damaged_file_of_servers_is_refused_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "servers.json").write_text('{"pids": 7}')

    with pytest.raises(BadSetting, match=r"servers\.json does not name servers: remove it"):
        launcher.running_servers(tmp_path)
