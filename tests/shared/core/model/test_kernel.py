"""The kernel computes the same bits with every vector width and compiler."""

import ctypes
import ctypes.util
import platform
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from shared.core.errors import Incompatible
from shared.core.model.kernel.library import load_kernel
from shared.core.model.numeric_profile import GOLDEN

ROOT = Path(__file__).parents[4]

# Of networks that take every path through the kernel, as its first form computed them.
STEPS = "b20dc206a3de54174bbec893ff845fec3b88a286a02a76b1e04c0823bb53739a"
# Of batches, each the sum of its windows.
BATCHES = "34826ce9be9b4e4ef7606d08004e738aed93ccf769a9f12053f4195de7c8f78d"
# Of the hidden vectors of those networks, and of heads of several sizes.
HIDDEN = "711ca675f4775d819e5789a6b0283de11066ab9ee8b2320e36781e636ea86eb4"
HEADS = "9872f39172847dae6f7deaaaaabb75e950b484a9e4ba112057a41014c91e3adf"


@pytest.mark.slow  # compiles a kernel for each
@pytest.mark.skipif(
    platform.machine() not in {"x86_64", "AMD64"}, reason="other processors have one variant"
)
@pytest.mark.parametrize("only", ["plain", "v3", "v4"])
def test_every_vector_width_computes_the_golden_bits(only: str, tmp_path: Path) -> None:
    library = tmp_path / f"{only}.so"
    build = [
        sys.executable,
        str(ROOT / "scripts/build_kernel.py"),
        "--only",
        only,
        "--output",
        str(library),
    ]
    subprocess.run(build, check=True, capture_output=True)

    found = subprocess.run(
        [sys.executable, "-m", "tests.shared.core.model.kernel_digests", str(library)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if found.returncode == -signal.SIGILL:
        pytest.skip(f"this processor has no {only}")
    assert found.stdout.split() == [GOLDEN, STEPS, BATCHES, HIDDEN, HEADS], found.stderr


def test_a_missing_kernel_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(Incompatible, match="make install"):
        load_kernel(tmp_path / "missing.so")


def test_a_kernel_of_an_older_version_says_what_to_do() -> None:
    another = ctypes.util.find_library("m")
    assert another is not None

    with pytest.raises(Incompatible, match="make install"):
        load_kernel(Path(another))
