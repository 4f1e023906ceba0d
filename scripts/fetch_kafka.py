"""Fetch Kafka's jars into this Python's environment and prepare fast starts, unless that is done.

With --lock, write the lock file anew from the fetched jars.
"""

import argparse
import hashlib
import tempfile
from pathlib import Path

from shared.core.errors import Unavailable
from shared.local_servers import binaries
from shared.local_servers.class_cache import write_class_cache


def main() -> None:
    """Fetch the jars; with --lock, write the lock file first."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lock", action="store_true", help="write requirements/kafka-jars.sha256")
    if parser.parse_args().lock:
        write_lock_file()
    binaries.fetch_kafka()
    print(f"Kafka's jars are in {binaries.JARS}")
    try:
        write_class_cache(binaries.CLASS_CACHE)
    except Unavailable as error:
        print(f"Kafka will start more slowly than it could: {error}")


def write_lock_file() -> None:
    """Write the digests of the jars that the coordinates resolve to today."""
    with tempfile.TemporaryDirectory() as folder:
        jars = sorted(binaries.resolve(Path(folder)), key=lambda jar: jar.name)
        lines = [f"{hashlib.sha256(jar.read_bytes()).hexdigest()}  {jar.name}\n" for jar in jars]
    binaries.LOCK_FILE.write_text("".join(lines))


if __name__ == "__main__":
    main()
