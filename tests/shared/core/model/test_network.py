import ctypes
import ctypes.util
import platform
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from math import inf
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.core.arrays import Float32s
from shared.core.errors import BadInput, Incompatible
from shared.core.model.architecture import Architecture
from shared.core.model.kernel.library import load_kernel
from shared.core.model.network import Network
from shared.core.model.numeric_profile import GOLDEN, PROFILE_VERSION, self_test
from shared.core.model.optimiser import Optimiser, apply_gradient, new_learner

ROOT = Path(__file__).parents[4]
GOLDEN_OF = """
import sys, pathlib
from shared.core.model.kernel.library import load_kernel
from shared.core.model.numeric_profile import golden_digest
print(golden_digest(load_kernel(pathlib.Path(sys.argv[1]))))
"""
BITS_OF = """
import sys, pathlib, hashlib
from shared.core.model.architecture import Architecture
from shared.core.model.kernel.library import load_kernel
from shared.core.model.network import Network
from shared.core.model.numeric_profile import fixed_numbers
from shared.core.model.optimiser import Optimiser, new_learner
library, bits = load_kernel(pathlib.Path(sys.argv[1])), hashlib.sha256()
for sizes in (((128, 64, 8), 16, 32), ((16, 40), 17, 1), ((56, 72), 19, 3), ((104,), 18, 7), ((32,), 1024, 6)):
    network = Network(Architecture(*sizes), library)
    window = fixed_numbers(sizes[1] * sizes[2], 2.0).reshape(sizes[1], sizes[2])
    learner = new_learner(fixed_numbers(network.architecture.weight_count(), 0.8))
    for error in (0.5, -1.0):
        output, jacobian = network.jacobian(learner.weights, window)
        learner = network.step(learner, Optimiser(rate=1e-3), output.dtype.type(error), jacobian)
        for array in (output, jacobian, learner.parameters):
            bits.update(array.astype("<f4").tobytes())
print(bits.hexdigest())
"""
# of sizes that take every path through the kernel, as its first form computed them
BITS = "149c4d9a23f7cbadd6957d7c6b06e0a8ce3ccca4164a01d1c100fa2bd93c4126"
BATCH_OF = """
import sys, pathlib, hashlib
from shared.core.model.architecture import Architecture
from shared.core.model.kernel.library import load_kernel
from shared.core.model.network import Network
from shared.core.model.numeric_profile import fixed_numbers
library, bits = load_kernel(pathlib.Path(sys.argv[1])), hashlib.sha256()
for sizes in (((32, 32), 60, 6), ((8, 24), 17, 5)):
    network = Network(Architecture(*sizes), library)
    windows = fixed_numbers(7 * sizes[1] * sizes[2], 2.0).reshape(7, sizes[1], sizes[2])
    weights = fixed_numbers(network.architecture.weight_count(), 0.8)
    for huber_delta in (float("inf"), 0.25):
        for array in network.batch_gradient(weights, windows, fixed_numbers(7, 1.0), huber_delta):
            bits.update(array.astype("<f4").tobytes())
print(bits.hexdigest())
"""
# a batch is the sum of its windows: that of every width and compiler
BATCH = "34826ce9be9b4e4ef7606d08004e738aed93ccf769a9f12053f4195de7c8f78d"
SMALL = Architecture((8, 16), 20, 6)


def some(shape: tuple[int, ...], seed: int, reach: float = 0.4) -> Float32s:
    return np.random.default_rng(seed).uniform(-reach, reach, shape).astype(np.float32)


def reference(architecture: Architecture, weights: Float32s, rows: Float32s) -> float:
    """The network as the textbook writes it, in float64 (Hochreiter and Schmidhuber 1997, with Keras' gate order)."""
    at, arrays = 0, []
    for shape in architecture.shapes():
        size = int(np.prod(shape))
        arrays.append(weights[at : at + size].astype(np.float64).reshape(shape))
        at += size
    x = rows.astype(np.float64)
    for layer in range(len(architecture.widths)):
        w, u, b = arrays[3 * layer : 3 * layer + 3]
        h = c = np.zeros(architecture.widths[layer])
        outputs = []
        for row in x:
            i, f, g, o = np.split(row @ w + h @ u + b, 4)
            c = c / (1 + np.exp(-f)) + np.tanh(g) / (1 + np.exp(-i))
            h = np.tanh(c) / (1 + np.exp(-o))
            outputs.append(h)
        x = np.array(outputs)
    return float((x[-1] @ arrays[-2] + arrays[-1])[0])


def test_this_machine_computes_the_golden_bits() -> None:
    assert self_test() == f"{PROFILE_VERSION}-{GOLDEN[:16]}"


@pytest.fixture
def flushed_to_zero() -> Iterator[None]:
    """What a library that was built with -ffast-math does when it is loaded."""
    library = ctypes.CDLL(ctypes.util.find_library("m"))
    before = ctypes.create_string_buffer(32)
    assert library.fegetenv(before) == 0
    control = int.from_bytes(before.raw[28:], "little") | 0x8040
    assert (
        library.fesetenv(
            ctypes.create_string_buffer(before.raw[:28] + control.to_bytes(4, "little"), 32)
        )
        == 0
    )
    yield
    library.fesetenv(before)


@pytest.mark.skipif(
    platform.machine() != "x86_64" or platform.libc_ver()[0] != "glibc", reason="its registers"
)
@pytest.mark.usefixtures("flushed_to_zero")
def test_a_processor_that_takes_small_numbers_for_zero_fails_the_self_test() -> None:
    with pytest.raises(Incompatible, match="take numbers below 1e-38 for zero"):
        self_test()


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

    for program, expected in ((GOLDEN_OF, GOLDEN), (BITS_OF, BITS), (BATCH_OF, BATCH)):
        found = subprocess.run(
            [sys.executable, "-c", program, str(library)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        if found.returncode == -signal.SIGILL:
            pytest.skip(f"this processor has no {only}")
        assert found.stdout.strip() == expected, found.stderr


@pytest.mark.parametrize(
    "architecture", [SMALL, Architecture((32, 32), 288, 6), Architecture((128,), 16, 1)]
)
def test_the_forward_pass_is_the_textbooks(architecture: Architecture) -> None:
    weights, rows = (
        some((architecture.weight_count(),), 1),
        some((architecture.window_length, architecture.features), 2),
    )

    found = Network(architecture).predict(weights, rows)

    assert float(found) == pytest.approx(reference(architecture, weights, rows), abs=2e-6)


@given(st.integers(0, 2**31), st.data())
@settings(max_examples=25, deadline=None)
def test_the_jacobian_is_the_slope_of_the_output(seed: int, data: st.DataObject) -> None:
    weights, rows = some((SMALL.weight_count(),), seed), some((20, 6), seed + 1, 1.0)
    at = data.draw(st.integers(0, SMALL.weight_count() - 1))
    _, jacobian = Network(SMALL).jacobian(weights, rows)

    step = np.zeros_like(weights)
    step[at] = 1e-3
    slope = (reference(SMALL, weights + step, rows) - reference(SMALL, weights - step, rows)) / 2e-3

    assert float(jacobian[at]) == pytest.approx(slope, abs=2e-5)


@pytest.mark.parametrize("huber_delta", [inf, 0.1])
def test_a_batch_is_the_sum_of_its_windows_to_the_bit(huber_delta: float) -> None:
    network, weights = Network(SMALL), some((SMALL.weight_count(),), 1)
    windows, labels = some((9, 20, 6), 2, 1.0), some((9,), 3, 1.0)

    outputs, gradient = network.batch_gradient(weights, windows, labels, huber_delta)

    expected = np.zeros_like(weights)
    for window, label, output in zip(windows, labels, outputs, strict=True):
        alone, jacobian = network.jacobian(weights, window)
        assert output == alone
        expected += (
            np.float32(2.0)
            * np.clip(output - label, -np.float32(huber_delta), np.float32(huber_delta))
            * jacobian
        )
    assert gradient.tobytes() == expected.tobytes()
    assert network.predict_many(weights, windows).tobytes() == outputs.tobytes()


def test_no_windows_have_no_gradient() -> None:
    network, weights = Network(SMALL), some((SMALL.weight_count(),), 1)

    outputs, gradient = network.batch_gradient(weights, some((0, 20, 6), 2), some((0,), 3))

    assert outputs.shape == (0,)
    assert not gradient.any()


def test_a_label_that_is_not_a_number_is_not_hidden() -> None:
    network, weights = Network(SMALL), some((SMALL.weight_count(),), 1)

    _, gradient = network.batch_gradient(
        weights, some((1, 20, 6), 2), np.full(1, np.nan, np.float32), 0.1
    )

    assert np.isnan(gradient[-1])


def test_a_call_leaves_its_inputs_as_they_were() -> None:
    weights, rows = some((SMALL.weight_count(),), 1), some((20, 6), 2)
    before = weights.copy(), rows.copy()
    network = Network(SMALL)
    learner = new_learner(weights)
    parameters = learner.parameters.copy()

    _, jacobian = network.jacobian(weights, rows)
    network.step(learner, Optimiser(rate=0.1), np.float32(0.5), jacobian)

    assert np.array_equal(weights, before[0])
    assert np.array_equal(rows, before[1])
    assert np.array_equal(learner.parameters, parameters)


@given(st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_a_symbols_bits_do_not_depend_on_what_was_computed_before(seed: int) -> None:
    network = Network(SMALL)
    weights, rows = some((SMALL.weight_count(),), 7), some((20, 6), 8)
    alone = Network(SMALL).jacobian(weights, rows)

    network.jacobian(some((SMALL.weight_count(),), seed), some((20, 6), seed + 1, 5.0))
    among_others = network.jacobian(weights, rows)

    assert among_others[0] == alone[0]
    assert np.array_equal(among_others[1], alone[1])


def test_threads_share_a_network_and_each_gets_its_own_bits() -> None:
    network = Network(SMALL)
    asked = [
        (some((SMALL.weight_count(),), seed), some((20, 6), seed + 1)) for seed in range(0, 200, 2)
    ]
    alone = [network.jacobian(*one) for one in asked]

    with ThreadPoolExecutor(4) as threads:
        together = list(threads.map(lambda one: network.jacobian(*one), asked * 5))

    for (output, jacobian), (expected, slope) in zip(together, alone * 5, strict=True):
        assert output == expected
        assert np.array_equal(jacobian, slope)


def test_extreme_inputs_give_finite_outputs() -> None:
    rows = np.full((20, 6), 1e30, dtype=np.float32)
    weights = np.full(SMALL.weight_count(), -3.0, dtype=np.float32)

    assert np.isfinite(Network(SMALL).predict(weights, rows))


@pytest.mark.parametrize(
    ("widths", "window", "features"),
    [
        ((), 20, 6),
        ((8, 8, 8, 8), 20, 6),
        ((12,), 20, 6),
        ((136,), 20, 6),
        ((8,), 8, 6),
        ((8,), 1025, 6),
        ((8,), 20, 33),
    ],
)
def test_an_architecture_the_kernel_does_not_compute_is_refused(
    widths: tuple[int, ...], window: int, features: int
) -> None:
    with pytest.raises(BadInput, match="allowed"):
        Architecture(widths, window, features)


def test_memory_that_does_not_fit_never_reaches_the_kernel() -> None:
    network, weights = Network(SMALL), some((SMALL.weight_count(),), 1)

    with pytest.raises(ValueError, match="do not fit"):
        network.predict(weights, some((19, 6), 2))
    with pytest.raises(ValueError, match="contiguous float32"):
        network.predict(weights, np.zeros((20, 6)))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="do not fit"):
        network.predict_many(weights, some((20, 6), 2))
    with pytest.raises(ValueError, match="contiguous float32"):
        network.predict_many(weights, some((8, 20, 6), 2)[::2])
    with pytest.raises(ValueError, match="do not fit"):
        network.batch_gradient(weights, some((4, 20, 6), 2), some((3,), 3))
    with pytest.raises(ValueError, match="contiguous float32"):
        network.batch_gradient(weights, some((4, 20, 6), 2), np.zeros(4))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="Huber delta is 0"):
        network.batch_gradient(weights, some((4, 20, 6), 2), some((4,), 3), 0.0)
    with pytest.raises(ValueError, match="do not fit"):
        apply_gradient(new_learner(weights), Optimiser(), np.float32(1.0), weights[1:])


def test_a_kernel_that_is_not_there_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(Incompatible, match="make install"):
        load_kernel(tmp_path / "missing.so")


def test_a_kernel_of_an_older_version_says_what_to_do() -> None:
    another = ctypes.util.find_library("m")
    assert another is not None

    with pytest.raises(Incompatible, match="make install"):
        load_kernel(Path(another))


def test_plain_descent_takes_the_gradient_times_the_rate_off_the_weights() -> None:
    architecture = Architecture((8,), 16, 3)
    random = np.random.default_rng(1)
    learner = new_learner(random.normal(size=architecture.weight_count()).astype(np.float32))
    jacobian = random.normal(size=architecture.weight_count()).astype(np.float32)

    stepped = Network(architecture).step(
        learner, Optimiser("sgd", rate=0.25), np.float32(0.5), jacobian
    )

    assert stepped.weights.tobytes() == (learner.weights - np.float32(0.25) * jacobian).tobytes()
    assert not stepped.parameters[1:].any()
    assert (stepped.steps, stepped.is_finite) == (1, True)


def test_plain_descent_that_leaves_the_numbers_says_so() -> None:
    architecture = Architecture((8,), 16, 3)
    learner = new_learner(np.ones(architecture.weight_count(), dtype=np.float32))
    jacobian = np.full(architecture.weight_count(), 1e38, dtype=np.float32)

    stepped = Network(architecture).step(
        learner, Optimiser("sgd", rate=1.0), np.float32(1e3), jacobian
    )

    assert not stepped.is_finite
