"""Reads the weights of a `.keras` file: arrays only, never its config or code."""

import io
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import h5py  # type: ignore[import-untyped]
import numpy as np

from shared.adapters.zip_member import ZIP_ERRORS, open_member
from shared.core.arrays import Float32s, Float64s
from shared.core.errors import BadInput
from shared.core.model.architecture import Architecture
from shared.core.model.card import validate_weights

MAX_FILE_BYTES: Final = 64 * 1024 * 1024
_WEIGHTS: Final = "model.weights.h5"
# Layers without weights, which a training may have and the architecture does not name.
_WEIGHTLESS: Final = ("concatenate", "cropping1d", "dropout", "flatten", "input_layer")


def read_weights(path: Path, architecture: Architecture) -> Float32s:
    """Read the weights (weights,) of a `.keras` file, flat in Keras' order.

    The file holds LSTM layers and a Dense(1), under the names that Keras 3 gives them.

    Raises:
        BadInput: the file cannot be read, is too large, or holds other arrays than the
            architecture's.
    """
    return validate_weights(architecture, _read_flat(path, architecture, architecture.shapes()))


def read_weights_with_head(path: Path, architecture: Architecture) -> tuple[Float32s, Float64s]:
    """Read a file whose last layer takes the window's newest row too, as an export of a head does.

    Returns:
        The weights (weights,), flat in Keras' order, and those of the head (n,).

    Raises:
        BadInput: as `read_weights`.
    """
    width, features = architecture.widths[-1], architecture.features
    *shapes, _, bias = architecture.shapes()
    flat = _read_flat(path, architecture, [*shapes, (width + features, 1), bias])
    inputs = width + features + 1
    weights = np.delete(flat, np.arange(len(flat) - 1 - features, len(flat) - 1))
    return validate_weights(architecture, weights), flat[-inputs:].astype(np.float64)


def _read_flat(
    path: Path, architecture: Architecture, shapes: Sequence[tuple[int, ...]]
) -> Float32s:
    """Read arrays of these shapes, flat."""
    try:
        file = h5py.File(io.BytesIO(_read_member(path)), "r")
    except OSError as error:
        raise _bad_file(path, f"{_WEIGHTS} is not an HDF5 file ({error})") from error
    with file:
        _refuse_other_layers(file, architecture, path)
        arrays = [
            _read_array(file, name, shape, architecture, path)
            for name, shape in zip(_names(architecture), shapes, strict=True)
        ]
    return np.concatenate([array.ravel() for array in arrays])


def _read_member(path: Path) -> bytes:
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise _bad_file(path, f"it is larger than {MAX_FILE_BYTES} bytes")
        # A small file may unpack to a huge one.
        with open_member(path, _select_weights, MAX_FILE_BYTES) as member:
            return member.read(MAX_FILE_BYTES)
    except (KeyError, *ZIP_ERRORS) as error:
        raise _bad_file(path, f"it cannot be read as a .keras file ({error})") from error


def _select_weights(archive: zipfile.ZipFile) -> zipfile.ZipInfo:
    return archive.getinfo(_WEIGHTS)


def _names(architecture: Architecture) -> list[str]:
    """Return the names of the weight arrays, in Keras' order."""
    layers = ["lstm", *(f"lstm_{at}" for at in range(1, len(architecture.widths)))]
    cells = [f"layers/{layer}/cell/vars/{part}" for layer in layers for part in range(3)]
    return [*cells, "layers/dense/vars/0", "layers/dense/vars/1"]


def _refuse_other_layers(file: h5py.File, architecture: Architecture, path: Path) -> None:
    known = {name.split("/")[1] for name in _names(architecture)}
    layers = file.get("layers", ())
    other = sorted(n for n in layers if n not in known and not n.startswith(_WEIGHTLESS))
    if other:
        raise _bad_file(
            path,
            f"it has the layers {', '.join(other)} too, the architecture is"
            f" {_describe(architecture)}",
        )


def _describe(architecture: Architecture) -> str:
    return " -> ".join([*(f"LSTM({width})" for width in architecture.widths), "Dense(1)"])


def _read_array(
    file: h5py.File, name: str, shape: tuple[int, ...], architecture: Architecture, path: Path
) -> Float32s:
    dataset = _find_dataset(file, name, path)
    if dataset.shape != shape or dataset.dtype not in (np.float32, np.float64):
        raise _bad_file(
            path,
            f"{name} is {dataset.dtype} {dataset.shape}, the architecture has float32 {shape}:"
            f" {_describe(architecture)} over {architecture.features} features",
        )
    if dataset.external or dataset.is_virtual:
        raise _bad_file(path, f"{name} takes its numbers from another file")
    return np.asarray(dataset[()], dtype=np.float32)


def _find_dataset(file: h5py.File, name: str, path: Path) -> h5py.Dataset:
    """Walk to a dataset by hard links alone: others may lead out of the file."""
    place = file
    for part in name.split("/"):
        link = place.get(part, getlink=True) if isinstance(place, h5py.Group) else None
        if not isinstance(link, h5py.HardLink):
            raise _bad_file(
                path, f"it has no {name}; wanted: LSTM layers and a Dense(1) as Keras 3 saves them"
            )
        place = place[part]
    if not isinstance(place, h5py.Dataset):
        raise _bad_file(path, f"{name} is not an array")
    return place


def _bad_file(path: Path, fault: str) -> BadInput:
    return BadInput("bad_keras_file", f"{path}: {fault}")
