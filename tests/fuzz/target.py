"""A decoder of bytes from outside, as the fuzzer sees it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from shared.core.errors import UlstmError

MB: Final = 1024 * 1024
JSON: Final = "json"
LINES: Final = "lines"
BINARY: Final = "binary"
HTTP: Final = "http"
GZIP: Final = "gzip"
ZIP: Final = "zip"
PARQUET: Final = "parquet"


@dataclass(frozen=True, slots=True)
class Target:
    """What decodes bytes: whatever the bytes are, it returns or raises an error of the project.

    Attributes:
        name: names it on the command line.
        decode: takes the bytes.
        samples: bytes that it takes, or nearly, which are damaged in many ways.
        covers: the functions that parse on its way, as `path: name`; see `decoder_sites.py`.
        kind: json: samples are JSON, damaged value by value too. The others have bombs of their
            own form.
        wrap: puts a JSON text where the format has it; takes the text.
        errors: what it may raise.
        max_mb: the memory that it may take beside the bytes.
    """

    name: str
    decode: Callable[[bytes], object]
    samples: tuple[bytes, ...]
    covers: tuple[str, ...]
    kind: str = JSON
    wrap: Callable[[bytes], bytes] = bytes
    errors: tuple[type[Exception], ...] = (UlstmError,)
    max_mb: int = 200
