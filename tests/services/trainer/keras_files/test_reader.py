"""A `.keras` file from outside: arrays of the right shapes, or a refusal."""

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py  # type: ignore[import-untyped]
import numpy as np
import pytest

from services.trainer.keras_files.reader import MAX_FILE_BYTES, read_weights
from shared.core.errors import BadInput
from shared.core.model.architecture import Architecture

ARCHITECTURE = Architecture((8,), 16, 6)
NAMES = [
    "layers/lstm/cell/vars/0",
    "layers/lstm/cell/vars/1",
    "layers/lstm/cell/vars/2",
    "layers/dense/vars/0",
    "layers/dense/vars/1",
]


def right_arrays() -> dict[str, Any]:
    numbers = np.random.default_rng(1)
    shapes = ARCHITECTURE.shapes()
    return {
        name: numbers.normal(size=shape).astype(np.float32)
        for name, shape in zip(NAMES, shapes, strict=True)
    }


def a_file(path: Path, arrays: Mapping[str, Any], **members: bytes) -> Path:
    weights = io.BytesIO()
    with h5py.File(weights, "w") as file:
        for name, array in arrays.items():
            file[name] = array
    return a_zip(path, {"model.weights.h5": weights.getvalue(), **members})


def a_zip(path: Path, members: Mapping[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def test_right_arrays_are_read_and_the_config_is_never_looked_at(tmp_path: Path) -> None:
    arrays = right_arrays()
    path = a_file(tmp_path / "m.keras", arrays, **{"config.json": b"no JSON; import os"})

    weights = read_weights(path, ARCHITECTURE)

    assert weights.tobytes() == b"".join(a.tobytes() for a in arrays.values())


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_array_is_refused(name: str, tmp_path: Path) -> None:
    arrays = right_arrays()
    del arrays[name]

    with pytest.raises(BadInput, match="LSTM layers and a Dense"):
        read_weights(a_file(tmp_path / "m.keras", arrays), ARCHITECTURE)


@pytest.mark.parametrize("name", ["lstm_1", "dense_1", "gru"])
def test_layers_that_the_architecture_lacks_are_refused_by_both_names(
    name: str, tmp_path: Path
) -> None:
    path = a_file(
        tmp_path / "m.keras", {**right_arrays(), f"layers/{name}/vars/0": np.zeros(8, np.float32)}
    )

    with pytest.raises(
        BadInput, match=rf"the layers {name} too, the architecture is LSTM\(8\) -> Dense\(1\)"
    ):
        read_weights(path, ARCHITECTURE)


def test_dropout_between_the_layers_is_accepted(tmp_path: Path) -> None:
    seed = np.zeros(2, np.uint32)
    path = a_file(
        tmp_path / "m.keras", {**right_arrays(), "layers/dropout/seed_generator/vars/0": seed}
    )

    assert len(read_weights(path, ARCHITECTURE)) == ARCHITECTURE.weight_count()


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((7, 32), np.float32),
        np.zeros((32, 6), np.float32),
        np.zeros((6, 32), np.int32),
        np.zeros((6, 32), "S8"),
        np.float32(1),
    ],
)
def test_an_array_of_another_shape_or_type_is_refused(wrong: Any, tmp_path: Path) -> None:
    path = a_file(tmp_path / "m.keras", {**right_arrays(), NAMES[0]: wrong})

    with pytest.raises(BadInput, match="the architecture has float32"):
        read_weights(path, ARCHITECTURE)


@pytest.mark.parametrize("number", [np.nan, np.inf, 1e30])
def test_a_weight_that_is_not_finite_or_too_large_is_refused(number: float, tmp_path: Path) -> None:
    arrays = right_arrays()
    arrays[NAMES[1]][3, 5] = number

    with pytest.raises(BadInput, match="a weight is not finite or too large"):
        read_weights(a_file(tmp_path / "m.keras", arrays), ARCHITECTURE)


def test_a_link_out_of_the_file_is_refused(tmp_path: Path) -> None:
    arrays = right_arrays()
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["x"] = arrays[NAMES[0]]
    link = h5py.ExternalLink(str(tmp_path / "other.h5"), "x")

    with pytest.raises(BadInput, match="LSTM layers and a Dense"):
        read_weights(a_file(tmp_path / "m.keras", {**arrays, NAMES[0]: link}), ARCHITECTURE)


def test_numbers_outside_the_file_are_refused(tmp_path: Path) -> None:
    arrays = right_arrays()
    (tmp_path / "raw").write_bytes(arrays[NAMES[0]].tobytes())
    weights = io.BytesIO()
    with h5py.File(weights, "w") as file:
        for name in NAMES[1:]:
            file[name] = arrays[name]
        outside = [(str(tmp_path / "raw"), 0, h5py.h5f.UNLIMITED)]
        file.create_dataset(NAMES[0], (6, 32), "float32", external=outside)

    with pytest.raises(BadInput, match="another file"):
        read_weights(
            a_zip(tmp_path / "m.keras", {"model.weights.h5": weights.getvalue()}), ARCHITECTURE
        )


def test_what_unpacks_to_too_much_is_refused(tmp_path: Path) -> None:
    path = a_zip(tmp_path / "m.keras", {"model.weights.h5": bytes(MAX_FILE_BYTES + 1)})

    with pytest.raises(BadInput, match="unpacks to 67108865 bytes, at most 67108864"):
        read_weights(path, ARCHITECTURE)


@pytest.mark.parametrize(
    "members",
    [{}, {"model.weights.h5": b""}, {"model.weights.h5": b"\x89HDF\r\n\x1a\n" + bytes(100)}],
)
def test_a_zip_without_weights_is_refused(members: dict[str, bytes], tmp_path: Path) -> None:
    with pytest.raises(BadInput):
        read_weights(a_zip(tmp_path / "m.keras", members), ARCHITECTURE)


def test_a_damaged_or_missing_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.keras").write_bytes(b"PK\x03\x04 cut off")

    with pytest.raises(BadInput):
        read_weights(tmp_path / "m.keras", ARCHITECTURE)
    with pytest.raises(BadInput):
        read_weights(tmp_path / "missing.keras", ARCHITECTURE)
