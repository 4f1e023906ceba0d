"""Start and stop a real Kafka (one KRaft node) and a real Redis on this machine.

One folder holds all their data. Its lock is inherited by the servers, so it is free again when the
last of them has ended.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from shared.adapters.retry import wait_until
from shared.core.errors import BadSetting, Unavailable
from shared.local_servers import data_folder, programs
from shared.local_servers.data_folder import Servers
from shared.local_servers.programs import HOST, free_port

START_S: Final = 60.0
STOP_S: Final = 15.0
ATTEMPTS: Final = 3  # a port that was free may be taken before the server binds it
PORT_TAKEN: Final = b"in use"  # both servers log this then
_LOG_LINES: Final = 8  # of a server's log in an error message
# prctl(PR_SET_PDEATHSIG, SIGKILL) is Linux's; elsewhere the servers outlive a killed parent
_KILL_WITH_PARENT: Final = """
import ctypes, os, sys
getattr(ctypes.CDLL(None), "prctl", lambda *_: 0)(1, 9)
os.getppid() == int(sys.argv[1]) or sys.exit("the parent has ended already")
os.execv(sys.argv[2], sys.argv[2:])
"""


@dataclass(frozen=True, slots=True)
class RunningServers:
    """Servers that this process started."""

    servers: Servers
    folder: Path
    processes: tuple["_Process", "_Process"]

    def stop(self) -> None:
        """End both servers: SIGTERM, then SIGKILL if that does not do it in time."""
        data_folder.remove_servers_file(self.folder)
        for process in self.processes:
            data_folder.send_signal(signal.SIGTERM, process.popen.pid, self.folder)
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
) -> RunningServers:
    """Start Kafka and Redis on a folder; return once both answer.

    Args:
        folder: keeps their data; created if missing.
        kafka_port: None takes a free one.
        redis_port: None takes a free one.
        die_with_parent: kill the servers when this process ends, even if it is killed. Linux ties
            them to the calling thread, so this works from the main thread only.

    Raises:
        BadSetting: the folder or a port is in use.
        Unavailable: a program is missing or a server does not start.
    """
    if die_with_parent and threading.current_thread() is not threading.main_thread():
        raise BadSetting("die_with_parent works from the main thread only: start the servers there")
    for port in (kafka_port, redis_port):
        programs.check_port_is_free(port)
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    with data_folder.lock(folder) as lock, contextlib.ExitStack() as undo:
        launch = _Launch(folder, lock, die_with_parent)
        redis = launch.start_server(
            "Redis", redis_port, programs.redis_command, programs.is_redis_ready
        )
        undo.callback(redis.stop)
        kafka = launch.start_server(
            "Kafka", kafka_port, programs.kafka_command, programs.is_kafka_ready
        )
        undo.callback(kafka.stop)
        pids = (kafka.popen.pid, redis.popen.pid)
        servers = Servers(f"{HOST}:{kafka.port}", f"redis://{HOST}:{redis.port}/0", pids)
        data_folder.write_servers_file(folder, servers)
        undo.pop_all()
    return RunningServers(servers, folder, (kafka, redis))


def kill_with_parent(command: list[str]) -> list[str]:
    """Return a command that runs another one and kills it when the calling thread ends."""
    return [sys.executable, "-I", "-S", "-c", _KILL_WITH_PARENT, str(os.getpid()), *command]


def running_servers(folder: Path) -> Servers | None:
    """Return the servers that run on a folder, or None."""
    servers = data_folder.read_servers_file(folder)
    if servers is None or data_folder.is_free(folder):
        return None
    return servers if all(data_folder.is_alive(pid, folder) for pid in servers.pids) else None


def half_running_servers(folder: Path) -> list[str]:
    """Return which server still runs on a folder although the other has ended; usually none."""
    servers = data_folder.read_servers_file(folder)
    if servers is None or data_folder.is_free(folder):
        return []
    alive = [data_folder.is_alive(pid, folder) for pid in servers.pids]
    names = ("Kafka", "Redis")
    return [] if all(alive) else [name for name, is_up in zip(names, alive, strict=True) if is_up]


def stop_servers(folder: Path) -> bool:
    """End the servers that another process started on a folder; return False if none run.

    Raises:
        Unavailable: they do not end.
    """
    servers = data_folder.read_servers_file(folder)
    if servers is None or data_folder.is_free(folder):
        return False
    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid in servers.pids:
            data_folder.send_signal(number, pid, folder)
        if wait_until(lambda: data_folder.is_free(folder), timeout_s=STOP_S):
            data_folder.remove_servers_file(folder)
            return True
    raise Unavailable(
        f"the servers on {folder} did not end in {2 * STOP_S:.0f} s: end the processes"
        f" {', '.join(map(str, servers.pids))}"
    )


@dataclass(frozen=True, slots=True)
class _Process:
    name: str
    port: int
    popen: subprocess.Popen[bytes]
    log: Path
    folder: Path

    def stop(self) -> None:
        data_folder.send_signal(signal.SIGTERM, self.popen.pid, self.folder)
        try:
            self.popen.wait(STOP_S)
        except subprocess.TimeoutExpired:
            data_folder.send_signal(signal.SIGKILL, self.popen.pid, self.folder)
            self.popen.wait()

    def await_ready(self, is_ready: Callable[[int], bool]) -> bool:
        """Wait until the server answers; return False if another process took its port.

        Raises:
            Unavailable: it does not start.
        """
        if wait_until(
            lambda: self.popen.poll() is not None or is_ready(self.port), timeout_s=START_S
        ):
            if self.popen.poll() is None:
                return True
            if PORT_TAKEN in self.log.read_bytes():
                return False
        self.stop()
        lines = self.log.read_text(errors="replace").splitlines()[-_LOG_LINES:]
        raise Unavailable(
            f"{self.name} on port {self.port} did not start; the last lines of {self.log}:\n"
            + "\n".join(lines)
        )


@dataclass(frozen=True, slots=True)
class _Launch:
    folder: Path
    lock: int
    die_with_parent: bool

    def start_server(
        self,
        name: str,
        port: int | None,
        make_command: Callable[[Path, int], list[str]],
        is_ready: Callable[[int], bool],
    ) -> _Process:
        for _ in range(ATTEMPTS):
            chosen = port or free_port()
            process = self._spawn(name, chosen, make_command(self.folder, chosen))
            if process.await_ready(is_ready):
                return process
        raise Unavailable(f"{name} found its port taken {ATTEMPTS} times in a row: try again")

    def _spawn(self, name: str, port: int, command: list[str]) -> _Process:
        if self.die_with_parent:
            command = kill_with_parent(command)
        log = self.folder / f"{name.lower()}.log"
        with log.open("wb") as output:
            popen = subprocess.Popen(
                command,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=(self.lock,),
                start_new_session=True,  # Ctrl-C ends the services first: they need the servers
            )
        return _Process(name, port, popen, log, self.folder)
