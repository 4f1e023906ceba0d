"""Kafka starts from a cache of its classes where there is one."""

import subprocess
from pathlib import Path

import pytest

from shared.local_servers import binaries, programs


@pytest.mark.integration
@pytest.mark.skipif(not binaries.CLASS_CACHE.exists(), reason="`make install` wrote no class cache")
def test_java_takes_the_cache_of_the_installation(tmp_path: Path) -> None:
    command = programs.kafka_command(tmp_path, programs.free_port())
    java = command[: command.index("kafka.Kafka")]

    # With this mode Java refuses to start on a cache that does not fit.
    strict = programs.with_java_options(java, "-XX:AOTMode=on")
    done = subprocess.run(
        [*strict, "kafka.tools.StorageTool", "random-uuid"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
