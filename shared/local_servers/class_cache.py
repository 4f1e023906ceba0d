"""A cache of the Java classes that Kafka loads at its start: later starts take half the time.

Java writes it at the end of a process that began with `-XX:AOTCacheOutput` (JEP 514, Java 25).
"""

import subprocess
import tempfile
from pathlib import Path
from typing import Final

from shared.adapters.retry import wait_until
from shared.core.errors import Unavailable
from shared.local_servers import programs

START_S: Final = 60.0
WRITE_S: Final = 120.0


def write_class_cache(cache: Path) -> None:
    """Start a Kafka on a temporary folder, end it, and keep its classes; replace an older cache.

    Raises:
        Unavailable: Kafka does not start, or Java writes no cache.
    """
    cache.unlink(missing_ok=True)  # Java reads or writes one, not both
    with tempfile.TemporaryDirectory(dir=cache.parent, prefix=".classes-") as temporary:
        folder = Path(temporary)
        written = folder / cache.name
        _start_and_end(folder, written)
        if not written.exists():
            raise Unavailable(f"Java has written no cache of its classes to {cache.parent}")
        written.rename(cache)


def _start_and_end(folder: Path, cache: Path) -> None:
    port = programs.free_port()
    options = ("-Xlog:disable", f"-XX:AOTCacheOutput={cache}")
    process = subprocess.Popen(
        programs.with_java_options(programs.kafka_command(folder, port), *options),
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        if not wait_until(lambda: programs.is_kafka_ready(port), timeout_s=START_S):
            raise Unavailable(f"Kafka did not start within {START_S:.0f} s")
        process.terminate()
        process.wait(WRITE_S)
    except subprocess.TimeoutExpired as error:
        raise Unavailable(f"Java wrote no cache within {WRITE_S:.0f} s") from error
    finally:
        process.kill()
        process.wait()
