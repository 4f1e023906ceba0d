"""The machine that figures depend on."""

import os
import platform
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

from shared.core.model.kernel.library import variant_name


def facts() -> dict[str, Any]:
    """Read processor, cores, memory, versions and the load before the run."""
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


def describe(machine: dict[str, Any]) -> str:
    """Return the facts as a sentence, with the load if other work ran at the same time."""
    load = machine["load_before"]
    other = f"; other work was running (load average {load} before the start)" if load > 0.5 else ""
    return (
        f"{machine['processor']}, {machine['cores']} cores, memory {machine['memory']},"
        f" {machine['system']}, Python {machine['python']}, kernel variant"
        f" {machine['kernel_variant']}{other}; {machine['seconds']} s in all"
    )


def resident_mb(pid: int) -> float | None:
    """Read a process's resident memory; None on a system without /proc."""
    kilobytes = next(_lines(Path(f"/proc/{pid}/status"), "VmRSS"), None)
    return None if kilobytes is None else int(kilobytes.split()[0]) / 1024


def tree_memory_mb(pid: int) -> float:
    """Read the memory of a process and of those that it has started; 0 without /proc.

    What processes share is counted once (PSS): one that has just been forked is no second one.
    """
    started = _words(Path(f"/proc/{pid}/task/{pid}/children"))
    kilobytes = next(_lines(Path(f"/proc/{pid}/smaps_rollup"), "Pss:"), "0 kB")
    own = int(kilobytes.split()[0]) / 1024
    return own + sum(tree_memory_mb(int(child)) for child in started)


def processor_s(pid: int) -> float:
    """Read the processor time that a process has used; 0 on a system without /proc."""
    path = Path(f"/proc/{pid}/stat")
    if not path.exists():
        return 0.0
    user, system = path.read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def _words(path: Path) -> list[str]:
    try:
        return path.read_text().split()
    except OSError:  # the process has ended
        return []


def _lines(path: Path, name: str) -> Iterator[str]:
    try:
        text = path.read_text() if path.exists() else ""
    except OSError:  # the process has ended
        text = ""
    for line in text.splitlines():
        if line.startswith(name):
            yield line.partition(":")[2].strip()
