"""A Kafka and a Redis that can be killed, paused and started again, each by itself; links stand in front of both."""

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
from shared.local_servers.launcher import bound_to_parent
from tests.support.waiting import eventually

START_S = 60.0


def a_port(chance: random.Random) -> int:
    """A port that is free now and that no client gets by chance while its server is away."""
    while True:
        port = chance.randrange(15_000, 32_000)
        with contextlib.suppress(BadSetting):
            programs.refuse_taken(port)
            return port


class Server:
    """A server process on a folder of its own; it ends with this process, however that ends."""

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
            eventually(self._answers_or_begins_again, START_S)
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
        """Start it, if it does not run."""
        if self._process is not None:
            return
        with (self.folder / f"{self.name}.log").open("ab") as output:
            self._process = subprocess.Popen(
                bound_to_parent(self._command()),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _answers_or_begins_again(self) -> bool:
        self.tend()
        return self.answers

    def tend(self) -> None:
        """Start it again if it has ended without being told to: something took a port while it was away."""
        if self._process is not None and self._process.poll() is not None:
            self._process = None
            self.launch()

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def send(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)

    def put_back(self, copy: Path) -> None:
        """Replace what a dead server has kept by an older copy of it."""
        shutil.rmtree(self.folder / "redis")
        shutil.copytree(copy, self.folder / "redis")

    def copied(self, copy: Path) -> None:
        """Copy what a live server keeps: as torn as a snapshot of its disk would be."""
        shutil.rmtree(copy, ignore_errors=True)
        with contextlib.suppress(shutil.Error):  # a file that it removed meanwhile
            shutil.copytree(self.folder / "redis", copy)


def kafka(folder: Path, port: int, linked: Sequence[tuple[int, int]]) -> Server:
    """A broker that listens on `port`, and for each link on a port of its own that it advertises as the link's.

    `linked` holds (listening port, the link's port) pairs: whoever asks through a link is sent back through it.
    """

    def command() -> list[str]:
        words = programs.kafka_command(folder, port)
        settings = folder / "server.properties"
        given = dict(line.split("=", 1) for line in settings.read_text().splitlines())
        names = [f"LINK{number}" for number in range(len(linked))]
        for name, (listening, advertised) in zip(names, linked, strict=True):
            given["listeners"] += f",{name}://{programs.HOST}:{listening}"
            given["advertised.listeners"] += f",{name}://{programs.HOST}:{advertised}"
            given["listener.security.protocol.map"] += f",{name}:PLAINTEXT"
        settings.write_text("".join(f"{name}={value}\n" for name, value in given.items()))
        return words

    return Server("kafka", folder, port, command, programs.kafka_answers)


def redis(folder: Path, port: int) -> Server:
    return Server(
        "redis",
        folder,
        port,
        lambda: programs.redis_command(folder, port),
        programs.redis_answers,
    )
