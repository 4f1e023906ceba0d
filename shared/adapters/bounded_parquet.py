"""Open Parquet files of unknown origin: what they unpack to is bounded before it is unpacked.

A page's header says how large the page is once it is decompressed, and a reader makes room for that
at once. The file's own summary of it may be wrong, so the headers are read here, one after another:

file      "PAR1", column chunks, metadata, length of the metadata (4 bytes), "PAR1"
chunk     pages, each with a header before it
header    a struct in Thrift's compact protocol
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Final

import pyarrow as pa
import pyarrow.parquet as pq

from shared.adapters.thrift_struct import decode_struct
from shared.core.errors import BadInput

MAX_PAGE_BYTES: Final = 64 * 1024 * 1024  # decompressed; writers make pages of about 1 MiB
MAX_METADATA_BYTES: Final = 16 * 1024 * 1024
MAX_TEXT_BYTES: Final = 200  # of a text; a symbol has 50 characters
_TEXT: Final = "BYTE_ARRAY"
_END: Final = b"PAR1"
_HEADER_BYTES: Final = 4_096  # enough for nearly every header
_MAX_HEADER_BYTES: Final = 65_536

# Fields of a page's header, and of the headers of both kinds of data pages in it.
_SIZE, _COMPRESSED_SIZE = 2, 3
_DATA_PAGES: Final = {5: 2, 8: 4}  # the field, and the field of its encoding
# PLAIN, PLAIN_DICTIONARY, RLE, RLE_DICTIONARY: of texts the others may unpack to any size.
_ENCODINGS: Final = {0, 2, 3, 8}


def open_parquet(path: Path, columns: Sequence[str]) -> pq.ParquetFile:
    """Open a file after a look at all pages of some columns; texts come as dictionaries.

    Args:
        path: the file.
        columns: those that will be read, as far as the file has them.

    Raises:
        BadInput: a page or the metadata is too large.
        ArrowException, OSError, ValueError: the file is damaged.
    """
    with path.open("rb") as data:
        _check_metadata_size(path, data)
        metadata = pq.read_metadata(path)
        leaves = [metadata.schema.column(at) for at in range(metadata.num_columns)]
        wanted = [at for at, leaf in enumerate(leaves) if leaf.path.split(".")[0] in columns]
        for group in range(metadata.num_row_groups):
            for at in wanted:
                _check_pages(path, data, metadata.row_group(group).column(at))
    texts = [leaves[at].path for at in wanted if leaves[at].physical_type == _TEXT]
    if not set(texts) <= set(columns):
        raise BadInput("bad_columns", f"{path}: {texts} are nested, not columns of texts")
    return pq.ParquetFile(path, metadata=metadata, read_dictionary=texts)


def texts_of(path: Path, column: pa.Array) -> pa.Array:
    """Return the different texts of a column that came as a dictionary.

    Raises:
        BadInput: one of them is too long, or it is no column of texts.
    """
    if not pa.types.is_dictionary(column.type):
        raise BadInput("bad_columns", f"{path}: column symbol is {column.type}, not string")
    texts = column.dictionary
    longest = max((len(each.as_buffer() or b"") for each in texts if each.is_valid), default=0)
    if longest > MAX_TEXT_BYTES:
        message = f"{path}: column symbol has a text of {longest} bytes, at most {MAX_TEXT_BYTES}"
        raise BadInput("bad_symbol", message)
    return texts


def _check_metadata_size(path: Path, data: BinaryIO) -> None:
    data.seek(max(0, path.stat().st_size - 8))
    end = data.read(8)
    size = int.from_bytes(end[:4], "little") if end[4:] == _END else 0
    if size > MAX_METADATA_BYTES:
        message = f"{path}: {size} bytes of metadata, at most {MAX_METADATA_BYTES}: split it"
        raise BadInput("too_large", message)


def _check_pages(path: Path, data: BinaryIO, chunk: Any) -> None:
    """Check the headers of a column chunk's pages."""
    name = f"{path}: column {chunk.path_in_schema}"
    if chunk.physical_type == "FIXED_LEN_BYTE_ARRAY":
        raise BadInput("bad_columns", f"{name} has bytes, not texts or numbers: convert the file")
    for header in _page_headers(data, chunk):
        _check_page(name, chunk.physical_type, header)


def _page_headers(data: BinaryIO, chunk: Any) -> Iterator[dict[int, Any]]:
    """Yield the headers of a column chunk's pages."""
    start = chunk.data_page_offset
    if chunk.has_dictionary_page and 0 < (chunk.dictionary_page_offset or 0) < start:
        start = chunk.dictionary_page_offset
    # A chunk without values needs no page.
    end = start + chunk.total_compressed_size if chunk.num_values > 0 else start
    while start < end:
        header, size = _read_header(data, start)
        start += size + max(0, _number(header, _COMPRESSED_SIZE))
        yield header


def _read_header(data: BinaryIO, start: int) -> tuple[dict[int, Any], int]:
    """Return a page's header and its size.

    Raises:
        ValueError: there is none.
    """
    data.seek(start)
    try:
        return decode_struct(data.read(_HEADER_BYTES))
    except ValueError:  # it is longer
        data.seek(start)
        return decode_struct(data.read(_MAX_HEADER_BYTES))


def _number(header: dict[int, Any], field: int) -> int:
    """Return a number of a header.

    Raises:
        ValueError: it has none.
    """
    value = header.get(field)
    if not isinstance(value, int):
        raise ValueError(f"a page's header has no number as its field {field}")  # noqa: TRY004
    return value


def _check_page(name: str, kind: str, header: dict[int, Any]) -> None:
    size = _number(header, _SIZE)
    if not 0 <= size <= MAX_PAGE_BYTES:
        message = f"{name} has a page of {size} bytes, at most {MAX_PAGE_BYTES}: write smaller ones"
        raise BadInput("too_large", message)
    pages = [(header.get(field), number) for field, number in _DATA_PAGES.items()]
    encodings = [page.get(number) for page, number in pages if isinstance(page, dict)]
    if kind == _TEXT and not _ENCODINGS.issuperset(encodings):
        message = f"{name} is encoded in the way {encodings[0]}; write it plain or as a dictionary"
        raise BadInput("bad_columns", message)
