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
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from shared.adapters.retry import wait_until
from shared.core.errors import BadSetting, Unavailable
from shared.local_servers import data_folder, programs
from shared.local_servers.data_folder import Servers
from shared.local_servers.programs import HOST, free_port

__all__ = [
    "Running",
    "Servers",
    "bound_to_parent",
    "free_port",
    "running_servers",
    "start",
    "stop_servers",
]

START_S = 60.0
STOP_S = 15.0
ATTEMPTS = 3  # a port that was free may be taken before the server binds it
TAKEN = b"in use"  # what both servers log then
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
        data_folder.forget(self.folder)
        for process in self.processes:
            data_folder.send(signal.SIGTERM, process.popen.pid, self.folder)
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
        programs.refuse_taken(port)
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    with data_folder.locked(folder) as lock, contextlib.ExitStack() as undo:
        launch = _Launch(folder, lock, die_with_parent)
        redis = launch.until_bound(
            "Redis", redis_port, programs.redis_command, programs.redis_answers
        )
        undo.callback(redis.stop)
        kafka = launch.until_bound(
            "Kafka", kafka_port, programs.kafka_command, programs.kafka_answers
        )
        undo.callback(kafka.stop)
        pids = (kafka.popen.pid, redis.popen.pid)
        url = f"redis://{HOST}:{redis.port}/0"
        running = Running(Servers(f"{HOST}:{kafka.port}", url, pids), folder, (kafka, redis))
        data_folder.remember(folder, running.servers)
        undo.pop_all()
    return running


def bound_to_parent(command: list[str]) -> list[str]:
    """Return a command that runs another one until this thread ends, however it ends."""
    return [sys.executable, "-I", "-S", "-c", BOUND_TO_PARENT, str(os.getpid()), *command]


def running_servers(folder: Path) -> Servers | None:
    """Return the servers that run on `folder`, or None."""
    servers = data_folder.recorded(folder)
    if servers is None or data_folder.is_free(folder):
        return None
    return servers if all(data_folder.is_alive(pid, folder) for pid in servers.pids) else None


def stop_servers(folder: Path) -> bool:
    """End the servers that another process started on `folder`; False if there were none.

    Raises:
        Unavailable: they do not end.
    """
    servers = data_folder.recorded(folder)
    if servers is None or data_folder.is_free(folder):
        return False
    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid in servers.pids:
            data_folder.send(number, pid, folder)
        if wait_until(lambda: data_folder.is_free(folder), timeout_s=STOP_S):
            data_folder.forget(folder)
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
        data_folder.send(signal.SIGTERM, self.popen.pid, self.folder)
        try:
            self.popen.wait(STOP_S)
        except subprocess.TimeoutExpired:
            data_folder.send(signal.SIGKILL, self.popen.pid, self.folder)
            self.popen.wait()

    def await_answer(self, answers: Callable[[int], bool]) -> bool:
        """Return whether it answers; False if another process took its port."""
        if wait_until(
            lambda: self.popen.poll() is not None or answers(self.port), timeout_s=START_S
        ):
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
            chosen = port or free_port()
            process = self._started(name, chosen, command(self.folder, chosen))
            if process.await_answer(answers):
                return process
        raise Unavailable(f"{name} found its port taken {ATTEMPTS} times in a row: try again")

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
