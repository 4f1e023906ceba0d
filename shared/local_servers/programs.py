"""Commands, settings and readiness checks of a local Kafka and a local Redis."""

import base64
import socket
import struct
import subprocess
import uuid
from collections.abc import Mapping
from pathlib import Path

from shared.core.errors import BadSetting, Unavailable
from shared.local_servers import binaries

HOST = "127.0.0.1"
# Java decodes its working directory by the locale, which may be ASCII.
_UTF_8 = ("/usr/bin/env", "LC_ALL=C.UTF-8")
_KAFKA_DATA = "kafka"
_KAFKA_SETTINGS = "server.properties"
_REDIS_DATA = "redis"
MESSAGE_BYTES = 64 * 2**20  # a bundle of weights travels as one message
JAVA_OPTIONS = (
    "-Xmx512m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
)


def redis_command(folder: Path, port: int) -> list[str]:
    """Return the command that runs Redis on `folder`, its working directory, and `port`.

    No path is given in full: any character may stand in the folder's.
    """
    (folder / _REDIS_DATA).mkdir(exist_ok=True)
    settings = {
        "port": str(port),
        "bind": HOST,
        "dir": _REDIS_DATA,
        "maxmemory-policy": "noeviction",
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
    }
    pairs = [(f"--{name}", value) for name, value in settings.items()]
    return [str(binaries.find_redis_server()), *(word for pair in pairs for word in pair)]


def kafka_command(
    folder: Path,
    port: int,
    overrides: Mapping[str, object] | None = None,
    cluster_id: str | None = None,
) -> list[str]:
    """Return the command that runs Kafka on `folder`, its working directory, and `port`.

    The folder is formatted if it is new. No path is given in full: Kafka takes a comma for the end
    of one, and reads its settings as Latin-1.

    Args:
        folder: keeps the broker's data and settings.
        port: where clients connect.
        overrides: the broker's settings that differ from a single broker's.
        cluster_id: the cluster that the broker belongs to; None: one of its own.
    """
    settings = _kafka_settings(port, controller_port=free_port()) | dict(overrides or {})
    lines = "".join(f"{name}={value}\n" for name, value in settings.items())
    (folder / _KAFKA_SETTINGS).write_text(lines)
    if not (folder / _KAFKA_DATA / "meta.properties").exists():
        _format(folder, cluster_id or new_cluster_id())
    return java_command("kafka.Kafka", _KAFKA_SETTINGS)


def _kafka_settings(port: int, *, controller_port: int) -> dict[str, object]:
    return {
        "process.roles": "broker,controller",
        "node.id": 1,
        "controller.quorum.voters": f"1@{HOST}:{controller_port}",
        "listeners": f"PLAINTEXT://{HOST}:{port},CONTROLLER://{HOST}:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://{HOST}:{port}",
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "log.dirs": _KAFKA_DATA,
        "auto.create.topics.enable": "false",
        "default.replication.factor": 1,
        "min.insync.replicas": 1,
        "offsets.topic.replication.factor": 1,
        "offsets.topic.num.partitions": 4,
        "transaction.state.log.replication.factor": 1,
        "transaction.state.log.min.isr": 1,
        "transaction.state.log.num.partitions": 4,
        "share.coordinator.state.topic.replication.factor": 1,
        "share.coordinator.state.topic.min.isr": 1,
        # the log is the truth: neither records nor committed offsets expire
        "log.retention.ms": -1,
        "offsets.retention.minutes": 2**31 - 1,
        "group.initial.rebalance.delay.ms": 0,
        "group.min.session.timeout.ms": 6000,
        # members that join with GROUP_PROTOCOL=consumer take these from the broker
        "group.consumer.session.timeout.ms": 5000,
        "group.consumer.min.session.timeout.ms": 5000,
        "group.consumer.heartbeat.interval.ms": 300,
        "group.consumer.min.heartbeat.interval.ms": 300,
        "group.consumer.assignment.interval.ms": 0,
        # After a kill, a broker leads its partitions again as it starts, is fenced when the
        # session from before the kill expires, and only then works. A transaction that it times
        # out in between never gets its end marker (seen with 4.3.1). So the session is short, and
        # the first search for timed-out transactions comes after it.
        "broker.session.timeout.ms": 6000,
        "broker.heartbeat.interval.ms": 1000,
        "transaction.abort.timed.out.transaction.cleanup.interval.ms": 10_000,
        "message.max.bytes": MESSAGE_BYTES,
        "replica.fetch.max.bytes": MESSAGE_BYTES,
        "log.cleaner.dedupe.buffer.size": 16 * 2**20,
    }


def new_cluster_id() -> str:
    """Return an id for a new cluster."""
    return base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")


def _format(folder: Path, cluster_id: str) -> None:
    # with "=", as an id may begin with a dash
    command = java_command("kafka.tools.StorageTool", "format", f"--cluster-id={cluster_id}")
    done = subprocess.run(
        [*command, "--config", _KAFKA_SETTINGS],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise Unavailable(
            f"Kafka cannot format {folder}, see {_KAFKA_SETTINGS} there:\n{done.stderr[-2000:]}"
        )


def java_command(*arguments: str) -> list[str]:
    """Return the command that runs a class of Kafka's, such as one of its tools."""
    return [
        *_UTF_8,
        str(binaries.find_java()),
        *JAVA_OPTIONS,
        *_class_cache_options(binaries.CLASS_CACHE),
        "-cp",
        binaries.kafka_class_path(),
        *arguments,
    ]


def with_java_options(command: list[str], *options: str) -> list[str]:
    """Return a command of Java's with more options before its class path.

    >>> with_java_options(["java", "-cp", "jars", "Main"], "-Xint")
    ['java', '-Xint', '-cp', 'jars', 'Main']
    """
    at = command.index("-cp")
    return [*command[:at], *options, *command[at:]]


def _class_cache_options(cache: Path) -> tuple[str, ...]:
    """Return the options that let Java use the cache; it warns where one does not fit, and goes on.

    >>> _class_cache_options(Path("not-there.aot"))
    ()
    """
    return ("-Xlog:disable", f"-XX:AOTCache={cache}") if cache.exists() else ()


def is_redis_ready(port: int) -> bool:
    """Return whether Redis has loaded its data and answers."""
    return _request(port, b"PING\r\n", 5) == b"+PONG"


def is_kafka_ready(port: int) -> bool:
    """Return whether the answer to a Metadata request (version 1) lists a broker."""
    request = struct.pack(">hhihi", 3, 1, 1, -1, 0)
    answer = _request(port, struct.pack(">i", len(request)) + request, 12)
    return len(answer) == 12 and struct.unpack(">iii", answer)[2] >= 1


def _request(port: int, request: bytes, size: int) -> bytes:
    try:
        with socket.create_connection((HOST, port), timeout=5) as connection:
            connection.sendall(request)
            return connection.recv(size, socket.MSG_WAITALL)
    except OSError:
        return b""


def free_port() -> int:
    """Return a port that was free a moment ago; retry with another if it is taken by now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def check_port_is_free(port: int | None) -> None:
    """Raise BadSetting if something listens on `port`."""
    if port is None:
        return
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise BadSetting(
                f"port {port} is in use ({error.strerror}): stop what listens there or give another"
            ) from error
