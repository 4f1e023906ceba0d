"""What a figure depends on beside the code."""

import os
import platform
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

from shared.core.model.kernel.library import variant_name


def facts() -> dict[str, Any]:
    """Return processor, cores, memory, versions and the load before the run."""
    return {
        "processor": next(
            _lines(Path("/proc/cpuinfo"), "model name"), platform.processor() or platform.machine()
        ),
        "cores": os.cpu_count(),
        "memory": next(_lines(Path("/proc/meminfo"), "MemTotal"), "unknown"),
        "system": platform.platform(),
        "python": platform.python_version(),
        "kernel_variant": variant_name(),
        "confluent_kafka": version("confluent-kafka"),
        "load_before": round(os.getloadavg()[0], 2),
    }


def told(machine: dict[str, Any]) -> str:
    """Return the facts as a sentence, which says so where other work ran beside."""
    load = machine["load_before"]
    beside = f"; other work ran beside (load average {load} before the start)" if load > 0.5 else ""
    return (
        f"{machine['processor']}, {machine['cores']} cores, memory {machine['memory']}, {machine['system']},"
        f" Python {machine['python']}, kernel variant {machine['kernel_variant']}{beside};"
        f" {machine['seconds']} s in all"
    )


def resident_mb(pid: int) -> float | None:
    """Return a process's resident memory; None where the system does not tell it this way."""
    kilobytes = next(_lines(Path(f"/proc/{pid}/status"), "VmRSS"), None)
    return None if kilobytes is None else int(kilobytes.split()[0]) / 1024


def cpu_s(pid: int) -> float:
    """Return the processor time that a process has used; 0 where the system does not tell it this way."""
    path = Path(f"/proc/{pid}/stat")
    if not path.exists():
        return 0.0
    user, system = path.read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def _lines(path: Path, name: str) -> Iterator[str]:
    if path.exists():
        for line in path.read_text().splitlines():
            if line.startswith(name):
                yield line.partition(":")[2].strip()
