"""Kafka and Redis processes that a test can kill, pause and restart one by one."""

import contextlib
import random
import shutil
import signal
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

from shared.core.errors import BadSetting
from shared.local_servers import programs
from shared.local_servers.launcher import kill_with_parent
from tests.support.waiting import eventually

START_S = 60.0
STOP_S = 60.0


def reserve_port() -> int:
    """Return a free port below the range that the system gives to clients.

    A port of that range could be taken by a client's connection while its server is down.
    """
    while True:
        port = random.randrange(15_000, 32_000)
        with contextlib.suppress(BadSetting):
            programs.check_port_is_free(port)
            return port


class ServerProcess:
    """A server on a folder of its own; it ends with this process, however that ends."""

    def __init__(
        self,
        name: str,
        folder: Path,
        port: int,
        command: Callable[[], list[str]],
        answers: Callable[[int], bool],
    ) -> None:
        self.name, self.folder, self.port = name, folder, port
        self._command, self._answers = command, answers
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.launch()
        try:
            eventually(self._restart_until_it_answers, START_S)
        finally:
            if not self.answers:
                self.kill()
        assert self.answers, f"{self.name} did not start: see {self.folder / self.name}.log"
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    @property
    def answers(self) -> bool:
        return self._answers(self.port)

    def launch(self) -> None:
        """Start it unless it runs."""
        if self._process is not None:
            return
        with (self.folder / f"{self.name}.log").open("ab") as output:
            self._process = subprocess.Popen(
                kill_with_parent(self._command()),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _restart_until_it_answers(self) -> bool:
        self.restart_if_ended()
        return self.answers

    def restart_if_ended(self) -> None:
        """Start it again if it ended by itself: something took its port while it was down."""
        if self._process is not None and self._process.poll() is not None:
            self._process = None
            self.launch()

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def await_end(self) -> None:
        """Wait until a server that was asked to stop has ended."""
        if self._process is not None:
            self._process.wait(STOP_S)
            self._process = None

    def send(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)

    def restore_snapshot(self, copy: Path) -> None:
        """Replace the data of a stopped Redis by an older copy."""
        shutil.rmtree(self.folder / "redis")
        shutil.copytree(copy, self.folder / "redis")

    def take_snapshot(self, copy: Path) -> None:
        """Copy the data of a running Redis: as torn as a snapshot of its disk would be."""
        shutil.rmtree(copy, ignore_errors=True)
        with contextlib.suppress(shutil.Error):  # Redis removed a file meanwhile
            shutil.copytree(self.folder / "redis", copy)


def kafka_behind_links(folder: Path, port: int, links: Sequence[tuple[int, int]]) -> ServerProcess:
    """Return a broker on `port` with one more listener for each link in front of it.

    `links` holds (listening port, port of the link). A broker tells clients which address to
    connect to; for each listener that is the link's, so that a client stays behind its link.
    """

    def command() -> list[str]:
        words = programs.kafka_command(folder, port)
        settings = folder / "server.properties"
        given = dict(line.split("=", 1) for line in settings.read_text().splitlines())
        names = [f"LINK{number}" for number in range(len(links))]
        for name, (listening, advertised) in zip(names, links, strict=True):
            given["listeners"] += f",{name}://{programs.HOST}:{listening}"
            given["advertised.listeners"] += f",{name}://{programs.HOST}:{advertised}"
            given["listener.security.protocol.map"] += f",{name}:PLAINTEXT"
        settings.write_text("".join(f"{name}={value}\n" for name, value in given.items()))
        return words

    return ServerProcess("kafka", folder, port, command, programs.is_kafka_ready)


def redis_server(folder: Path, port: int) -> ServerProcess:
    return ServerProcess(
        "redis",
        folder,
        port,
        lambda: programs.redis_command(folder, port),
        programs.is_redis_ready,
    )
