"""Weights out of a `.keras` file: arrays only. Its config and code are never looked at."""

import io
import zipfile
from pathlib import Path
from typing import Final

import h5py  # type: ignore[import-untyped]
import numpy as np

from shared.core.arrays import Float32s
from shared.core.errors import BadInput
from shared.core.model.architecture import Architecture
from shared.core.model.card import validate_weights

MAX_FILE_BYTES: Final = 64 * 1024 * 1024
_WEIGHTS: Final = "model.weights.h5"


def read_weights(path: Path, architecture: Architecture) -> Float32s:
    """Return the weights of a `.keras` file, flat in Keras' order.

    The file holds LSTM layers and a Dense(1), as Keras 3 names them by itself.

    Raises:
        BadInput: the file is none, is too large, or holds other arrays than the architecture has.
    """
    try:
        file = h5py.File(io.BytesIO(_weights_member(path)), "r")
    except OSError as error:
        raise _bad(path, f"{_WEIGHTS} is no HDF5 file ({error})") from error
    with file:
        _refuse_other_layers(file, architecture, path)
        arrays = [
            _array(file, name, shape, architecture, path)
            for name, shape in zip(_names(architecture), architecture.shapes(), strict=True)
        ]
    return validate_weights(architecture, np.concatenate([a.ravel() for a in arrays]))


def _weights_member(path: Path) -> bytes:
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise _bad(path, f"it is larger than {MAX_FILE_BYTES} bytes")
        with zipfile.ZipFile(path) as archive, archive.open(_WEIGHTS) as member:
            content = member.read(MAX_FILE_BYTES + 1)  # a small file may unpack to a huge one
    except (OSError, zipfile.BadZipFile, KeyError, NotImplementedError, RuntimeError) as error:
        raise _bad(path, f"it cannot be read as a .keras file ({error})") from error
    if len(content) > MAX_FILE_BYTES:
        raise _bad(path, f"{_WEIGHTS} unpacks to more than {MAX_FILE_BYTES} bytes")
    return content


def _names(architecture: Architecture) -> list[str]:
    names = []
    for at in range(len(architecture.widths)):
        layer = "lstm" if at == 0 else f"lstm_{at}"
        names += [f"layers/{layer}/cell/vars/{part}" for part in range(3)]
    return [*names, "layers/dense/vars/0", "layers/dense/vars/1"]


def _refuse_other_layers(file: h5py.File, architecture: Architecture, path: Path) -> None:
    """Refuse layers that the architecture has not; those without weights may be there."""
    known = {name.split("/")[1] for name in _names(architecture)}
    layers = file.get("layers", ())
    other = sorted(
        n for n in layers if n not in known and not n.startswith(("dropout", "input_layer"))
    )
    if other:
        raise _bad(
            path,
            f"it has the layers {', '.join(other)} too, the architecture is {_said(architecture)}",
        )


def _said(architecture: Architecture) -> str:
    return " -> ".join([*(f"LSTM({width})" for width in architecture.widths), "Dense(1)"])


def _array(
    file: h5py.File, name: str, shape: tuple[int, ...], architecture: Architecture, path: Path
) -> Float32s:
    found = _own(file, name, path)
    if found.shape != shape or found.dtype not in (np.float32, np.float64):
        said = f"the architecture has float32 {shape}: {_said(architecture)} over {architecture.features} features"
        raise _bad(path, f"{name} is {found.dtype} {found.shape}, {said}")
    if found.external or found.is_virtual:
        raise _bad(path, f"{name} takes its numbers from another file")
    return np.asarray(found[()], dtype=np.float32)


def _own(file: h5py.File, name: str, path: Path) -> h5py.Dataset:
    """Walk to a dataset by hard links alone: others may lead out of the file."""
    place = file
    for part in name.split("/"):
        link = place.get(part, getlink=True) if isinstance(place, h5py.Group) else None
        if not isinstance(link, h5py.HardLink):
            raise _bad(
                path, f"it has no {name}; wanted: LSTM layers and a Dense(1) as Keras 3 saves them"
            )
        place = place[part]
    if not isinstance(place, h5py.Dataset):
        raise _bad(path, f"{name} is no array")
    return place


def _bad(path: Path, fault: str) -> BadInput:
    return BadInput("bad_keras_file", f"{path}: {fault}")
