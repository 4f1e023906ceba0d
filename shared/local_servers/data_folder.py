"""The folder that local servers run on: its lock, and the record of what runs there."""

import contextlib
import fcntl
import json
import os
import signal
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from shared.adapters.atomic_write import write_atomically
from shared.core.errors import BadSetting


@dataclass(frozen=True, slots=True)
class Servers:
    """Where the servers answer, and their process ids: Kafka's, then Redis's."""

    kafka_bootstrap: str
    redis_url: str
    pids: tuple[int, int]


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[int]:
    """Take the folder's lock and yield its descriptor, for the servers to inherit and hold on.

    Raises:
        BadSetting: servers run on the folder.
    """
    with _lock_file(folder) as lock:
        if not _taken(lock):
            raise BadSetting(
                f"servers run on {folder} already: stop them, or give them another folder"
            )
        forget(folder)
        yield lock


def is_free(folder: Path) -> bool:
    """Return whether no server runs on the folder."""
    if not folder.is_dir():
        return True
    with _lock_file(folder) as lock:
        return _taken(lock)


def remember(folder: Path, servers: Servers) -> None:
    """Write down what runs on the folder."""
    write_atomically(_record(folder), json.dumps(asdict(servers)).encode())


def recorded(folder: Path) -> Servers | None:
    """Return what was written down; it may have ended since."""
    try:
        fields = json.loads(_record(folder).read_text())
    except FileNotFoundError:
        return None
    kafka, redis = fields["pids"]
    return Servers(fields["kafka_bootstrap"], fields["redis_url"], (kafka, redis))


def forget(folder: Path) -> None:
    """Remove the record."""
    _record(folder).unlink(missing_ok=True)


def is_alive(pid: int, folder: Path) -> bool:
    """Return whether `pid` runs on the folder: another process may have its number by now."""
    try:
        os.kill(pid, 0)
        if not Path("/proc").is_dir():
            return True
        return Path(f"/proc/{pid}/cwd").readlink().is_relative_to(folder.resolve())
    except (ProcessLookupError, PermissionError, FileNotFoundError):
        return False


def send(number: signal.Signals, pid: int, folder: Path) -> None:
    """Send a signal to the process group of `pid`, if it runs on the folder."""
    if is_alive(pid, folder):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, number)


@contextlib.contextmanager
def _lock_file(folder: Path) -> Iterator[int]:
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, mode=0o644)
    try:
        yield lock
    finally:
        os.close(lock)


def _taken(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _record(folder: Path) -> Path:
    return folder / "servers.json"
