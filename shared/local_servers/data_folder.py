"""The folder that local servers run on: its lock, and a file that names the servers."""

import contextlib
import fcntl
import json
import os
import signal
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter, ValidationError

from shared.adapters.atomic_write import write_atomically
from shared.adapters.bounded_text import read_json_file
from shared.adapters.kafka.connection import KafkaConnection
from shared.core.errors import BadInput, BadSetting


@dataclass(frozen=True, slots=True)
class Servers:
    """The servers' addresses and their process ids: Kafka's, then Redis'."""

    kafka_bootstrap: str
    redis_url: str
    pids: tuple[int, int]

    @property
    def kafka(self) -> KafkaConnection:
        """How the local Kafka is reached: without password, on this machine alone."""
        return KafkaConnection(self.kafka_bootstrap)


_SERVERS: Final = TypeAdapter(Servers)


@contextlib.contextmanager
def lock(folder: Path) -> Iterator[int]:
    """Lock the folder; yield the lock's file descriptor, which the servers inherit.

    The lock is free again when the last process that inherited it has ended, however it ended.

    Raises:
        BadSetting: servers run on the folder.
    """
    with _open_lock_file(folder) as descriptor:
        if not _try_lock(descriptor):
            raise BadSetting(
                f"servers run on {folder} already: stop them, or give them another folder"
            )
        remove_servers_file(folder)
        yield descriptor


def is_free(folder: Path) -> bool:
    """Return whether no server runs on the folder."""
    if not folder.is_dir():
        return True
    with _open_lock_file(folder) as descriptor:
        return _try_lock(descriptor)


def write_servers_file(folder: Path, servers: Servers) -> None:
    """Write which servers run on the folder."""
    write_atomically(_servers_file(folder), json.dumps(asdict(servers)).encode())


def read_servers_file(folder: Path) -> Servers | None:
    """Return the servers that were started on the folder; they may have ended since.

    Raises:
        BadSetting: the file is damaged.
    """
    file = _servers_file(folder)
    try:
        return _SERVERS.validate_json(read_json_file(file))
    except FileNotFoundError:
        return None
    except (ValidationError, BadInput) as error:
        message = f"{file} does not name servers: remove it; if servers run there, end them first"
        raise BadSetting(message) from error


def remove_servers_file(folder: Path) -> None:
    """Remove the file that names the servers."""
    _servers_file(folder).unlink(missing_ok=True)


def is_alive(pid: int, folder: Path) -> bool:
    """Return whether `pid` runs on the folder: another process may have its number by now."""
    try:
        os.kill(pid, 0)
        if not Path("/proc").is_dir():
            return True
        return Path(f"/proc/{pid}/cwd").readlink().is_relative_to(folder.resolve())
    except (ProcessLookupError, PermissionError, FileNotFoundError):
        return False


def send_signal(number: signal.Signals, pid: int, folder: Path) -> None:
    """Send a signal to the process group of `pid`, if it runs on the folder."""
    if is_alive(pid, folder):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, number)


@contextlib.contextmanager
def _open_lock_file(folder: Path) -> Iterator[int]:
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, mode=0o644)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _servers_file(folder: Path) -> Path:
    return folder / "servers.json"
