"""A real Kafka (one KRaft node) and a real Redis on this machine: started, waited for, stopped.

One folder holds all they keep. Whoever runs on it holds its lock, which the servers inherit:
it is free again when the last of them has ended, however that came about.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from shared.adapters import server_folder, server_programs
from shared.adapters.server_folder import Servers
from shared.adapters.server_programs import HOST
from shared.core.errors import BadSetting, Unavailable

HOST = "127.0.0.1"
START_S = 60.0
STOP_S = 15.0
POLL_S = 0.02
ATTEMPTS = 3  # a port that was free may be taken before the server binds it
TAKEN = b"in use"  # what both servers log then
MESSAGE_BYTES = 64 * 2**20  # a bundle of weights travels as one message

JAVA_OPTIONS = (
    "-Xmx512m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
)
# prctl(PR_SET_PDEATHSIG, SIGKILL) is Linux's; elsewhere the servers outlive a killed parent
BOUND_TO_PARENT = """
import ctypes, os, sys
getattr(ctypes.CDLL(None), "prctl", lambda *_: 0)(1, 9)
os.getppid() == int(sys.argv[1]) or sys.exit("the parent has ended already")
os.execv(sys.argv[2], sys.argv[2:])
"""


@dataclass(frozen=True, slots=True)
class Running:
    """Servers that this process started."""

    servers: Servers
    folder: Path
    processes: tuple["_Process", "_Process"]

    def stop(self) -> None:
        """End both servers and wait for it; SIGKILL if SIGTERM does not do it in time."""
        server_folder.forget(self.folder)
        for process in self.processes:
            server_folder.send(signal.SIGTERM, process.popen.pid, self.folder)
        for process in self.processes:
            process.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def start(
    folder: Path,
    *,
    kafka_port: int | None = None,
    redis_port: int | None = None,
    die_with_parent: bool = False,
) -> Running:
    """Start Kafka and Redis on `folder` and return once both answer.

    Without a port, a free one is taken. With `die_with_parent` no server outlives this process,
    not even if it is killed: call from the main thread, as Linux ties them to the calling thread.

    Raises:
        BadSetting: the folder or a port is in use.
        Unavailable: a program is missing or a server does not start.
    """
    if die_with_parent and threading.current_thread() is not threading.main_thread():
        raise BadSetting("die_with_parent works from the main thread only: start the servers there")
    for port in (kafka_port, redis_port):
        _refuse_taken(port)
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    with server_folder.locked(folder) as lock, contextlib.ExitStack() as undo:
        launch = _Launch(folder, lock, die_with_parent)
        redis = launch.until_bound("Redis", redis_port, _redis_command, _redis_answers)
        undo.callback(redis.stop)
        kafka = launch.until_bound("Kafka", kafka_port, _kafka_command, _kafka_answers)
        undo.callback(kafka.stop)
        pids = (kafka.popen.pid, redis.popen.pid)
        url = f"redis://{HOST}:{redis.port}/0"
        running = Running(Servers(f"{HOST}:{kafka.port}", url, pids), folder, (kafka, redis))
        server_folder.remember(folder, running.servers)
        undo.pop_all()
    return running


def bound_to_parent(command: list[str]) -> list[str]:
    """Return a command that runs another one until this thread ends, however it ends."""
    return [sys.executable, "-I", "-S", "-c", BOUND_TO_PARENT, str(os.getpid()), *command]


def running_servers(folder: Path) -> Servers | None:
    """Return the servers that run on `folder`, or None."""
    servers = server_folder.recorded(folder)
    if servers is None or server_folder.is_free(folder):
        return None
    return servers if all(server_folder.lives(pid, folder) for pid in servers.pids) else None


def stop_servers(folder: Path) -> bool:
    """End the servers that another process started on `folder`; False if there were none.

    Raises:
        Unavailable: they do not end.
    """
    servers = server_folder.recorded(folder)
    if servers is None or server_folder.is_free(folder):
        return False
    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid in servers.pids:
            server_folder.send(number, pid, folder)
        if _eventually(lambda: server_folder.is_free(folder), STOP_S):
            server_folder.forget(folder)
            return True
    raise Unavailable(f"the servers on {folder} did not end in {2 * STOP_S:.0f} s: {servers.pids}")


@dataclass(frozen=True, slots=True)
class _Process:
    name: str
    port: int
    popen: subprocess.Popen[bytes]
    log: Path
    folder: Path

    def stop(self) -> None:
        server_folder.send(signal.SIGTERM, self.popen.pid, self.folder)
        try:
            self.popen.wait(STOP_S)
        except subprocess.TimeoutExpired:
            server_folder.send(signal.SIGKILL, self.popen.pid, self.folder)
            self.popen.wait()

    def await_answer(self, answers: Callable[[int], bool]) -> bool:
        """Return whether it answers; False if another process took its port."""
        if _eventually(lambda: self.popen.poll() is not None or answers(self.port), START_S):
            if self.popen.poll() is None:
                return True
            if TAKEN in self.log.read_bytes():
                return False
        self.stop()
        lines = self.log.read_text(errors="replace").splitlines()[-8:]
        raise Unavailable(
            f"{self.name} on port {self.port} did not start; the last lines of {self.log}:\n"
            + "\n".join(lines)
        )


@dataclass(frozen=True, slots=True)
class _Launch:
    folder: Path
    lock: int
    die_with_parent: bool

    def until_bound(
        self,
        name: str,
        port: int | None,
        command: Callable[[Path, int], list[str]],
        answers: Callable[[int], bool],
    ) -> _Process:
        for _ in range(ATTEMPTS):
            chosen = port or server_programs.free_port()
            process = self._started(name, chosen, command(self.folder, chosen))
            if process.await_answer(answers):
                return process
        raise Unavailable(f"{name} found its port taken {ATTEMPTS} times, lastly {chosen}: try again")

    def _started(self, name: str, port: int, command: list[str]) -> _Process:
        if self.die_with_parent:
            command = bound_to_parent(command)
        log = self.folder / f"{name.lower()}.log"
        with log.open("wb") as output:
            popen = subprocess.Popen(
                command,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=(self.lock,),
                start_new_session=True,  # Ctrl-C is for those who use the servers: they go first
            )
        return _Process(name, port, popen, log, self.folder)


def _redis_command(folder: Path, port: int) -> list[str]:
    kept = folder / "redis"
    kept.mkdir(exist_ok=True)
    settings = {
        "port": str(port),
        "bind": HOST,
        "dir": str(kept),
        "maxmemory-policy": "noeviction",
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
    }
    pairs = [(f"--{name}", value) for name, value in settings.items()]
    return [str(binaries.redis_server()), *(word for pair in pairs for word in pair)]


def _kafka_command(folder: Path, port: int) -> list[str]:
    settings = folder / "server.properties"
    lines = _kafka_settings(folder / "kafka", port, controller_port=server_programs.free_port()).items()
    settings.write_text("".join(f"{name}={value}\n" for name, value in lines))
    if not (folder / "kafka" / "meta.properties").exists():
        _format(settings)
    return _java("kafka.Kafka", str(settings))


def _kafka_settings(kept: Path, port: int, *, controller_port: int) -> dict[str, object]:
    return {
        "process.roles": "broker,controller",
        "node.id": 1,
        "controller.quorum.voters": f"1@{HOST}:{controller_port}",
        "listeners": f"PLAINTEXT://{HOST}:{port},CONTROLLER://{HOST}:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://{HOST}:{port}",
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "log.dirs": kept,
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
        # the log is the truth: nothing in it and no place in it is forgotten with time
        "log.retention.ms": -1,
        "offsets.retention.minutes": 2**31 - 1,
        "group.initial.rebalance.delay.ms": 0,
        "group.min.session.timeout.ms": 6000,
        "transaction.abort.timed.out.transaction.cleanup.interval.ms": 1000,
        "message.max.bytes": MESSAGE_BYTES,
        "replica.fetch.max.bytes": MESSAGE_BYTES,
        "log.cleaner.dedupe.buffer.size": 16 * 2**20,
    }


def _format(settings: Path) -> None:
    cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    # "=": an id may begin with a dash
    command = _java("kafka.tools.StorageTool", "format", f"--cluster-id={cluster}")
    done = subprocess.run(
        [*command, "--config", str(settings)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise Unavailable(f"Kafka cannot format its folder, see {settings}:\n{done.stderr[-2000:]}")


def _java(*arguments: str) -> list[str]:
    return [str(binaries.java()), *JAVA_OPTIONS, "-cp", binaries.kafka_class_path(), *arguments]


def _redis_answers(port: int) -> bool:
    return _answer(port, b"PING\r\n", 5) == b"+PONG"


def _kafka_answers(port: int) -> bool:
    """Return whether the broker lists itself: a Metadata request, version 1, about no topic."""
    request = struct.pack(">hhihi", 3, 1, 1, -1, 0)
    answer = _answer(port, struct.pack(">i", len(request)) + request, 12)
    return len(answer) == 12 and struct.unpack(">iii", answer)[2] == 1


def _answer(port: int, request: bytes, size: int) -> bytes:
    try:
        with socket.create_connection((HOST, port), timeout=5) as connection:
            connection.sendall(request)
            return connection.recv(size, socket.MSG_WAITALL)
    except OSError:
        return b""


def server_programs.free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _refuse_taken(port: int | None) -> None:
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


@contextlib.contextmanager
def server_folder.locked(folder: Path) -> Iterator[int]:
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        server_folder.forget(folder)
        yield lock
    except BlockingIOError as error:
        raise BadSetting(
            f"servers run on {folder} already: stop them, or give them another folder"
        ) from error
    finally:
        os.close(lock)  # the servers hold it on


def server_folder.is_free(folder: Path) -> bool:
    try:
        lock = os.open(folder / "lock", os.O_RDWR)
    except FileNotFoundError:
        return True
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    else:
        return True
    finally:
        os.close(lock)


def _signal(pid: int, number: signal.Signals, folder: Path) -> None:
    if server_folder.lives(pid, folder):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, number)


def server_folder.lives(pid: int, folder: Path) -> bool:
    """Return whether `pid` runs and is ours: another process may have its number by now."""
    try:
        os.kill(pid, 0)
        if not Path("/proc").is_dir():
            return True
        return Path(f"/proc/{pid}/cwd").readlink().is_relative_to(folder.resolve())
    except (ProcessLookupError, PermissionError, FileNotFoundError):
        return False


def _record(folder: Path) -> Path:
    return folder / "servers.json"


def server_folder.recorded(folder: Path) -> Servers | None:
    try:
        fields = json.loads(_record(folder).read_text())
    except FileNotFoundError:
        return None
    kafka, redis = fields["pids"]
    return Servers(fields["kafka_bootstrap"], fields["redis_url"], (kafka, redis))


def _write(path: Path, text: str) -> None:
    complete = path.with_suffix(".new")
    complete.write_text(text)
    complete.replace(path)


def _eventually(happened: Callable[[], bool], deadline_s: float) -> bool:
    end = time.monotonic() + deadline_s
    while not happened():
        if time.monotonic() > end:
            return False
        time.sleep(POLL_S)
    return True
