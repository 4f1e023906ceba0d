"""Open Parquet files of unknown origin, within bounds on their size when unpacked.

A page's header says how large the page is once it is decompressed, and a reader makes room for that
at once. The metadata's summary of it may be wrong, so the headers are read here one by one. The
metadata are read here too: where they are damaged, pyarrow's view of them may end the process.

file      "PAR1", column chunks, metadata, length of the metadata (4 bytes), "PAR1"
chunk     pages, each with a header before it
metadata  a struct in Thrift's compact protocol, as a header is (parquet.thrift of Apache Parquet)
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

import pyarrow as pa
import pyarrow.parquet as pq

from shared.adapters.thrift_struct import decode_struct
from shared.core.errors import BadInput

MAX_PAGE_BYTES: Final = 64 * 1024 * 1024  # decompressed; writers make pages of about 1 MiB
MAX_METADATA_BYTES: Final = 4 * 1024 * 1024
MAX_TEXT_BYTES: Final = 200  # of a text; a symbol has 50 characters
_END: Final = b"PAR1"
_HEADER_BYTES: Final = 4_096  # enough for nearly every header
_MAX_HEADER_BYTES: Final = 65_536
_TEXT, _FIXED_BYTES = 6, 7  # physical types

# Fields of the metadata, of a row group, of a column chunk, of a chunk's metadata.
_ROW_GROUPS, _COLUMNS, _CHUNK_METADATA = 4, 1, 3
_TYPE, _PATH, _VALUES, _CHUNK_BYTES, _DATA_OFFSET, _DICTIONARY_OFFSET = 1, 3, 5, 7, 9, 11
# Fields of a page's header, and of the headers of both kinds of data pages in it.
_SIZE, _COMPRESSED_SIZE = 2, 3
_DATA_PAGES: Final = {5: 2, 8: 4}  # the field, and the field of its encoding
# PLAIN, PLAIN_DICTIONARY, RLE, RLE_DICTIONARY: of texts the others may unpack to any size.
_ENCODINGS: Final = {0, 2, 3, 8}

Fields = Mapping[int, Any]


def open_parquet(path: Path, columns: Sequence[str]) -> pq.ParquetFile:
    """Open a file after a look at all pages of some columns; texts come as dictionaries.

    Args:
        path: the file.
        columns: those that will be read, as far as the file has them.

    Raises:
        BadInput: a page or the metadata is too large, or a column is no column of numbers or texts.
        ArrowException, OSError, ValueError, OverflowError: the file is damaged.
    """
    with path.open("rb") as data:
        chunks = [each for each in _column_chunks(path, data) if each.name in columns]
        for chunk in chunks:
            _check_pages(path, data, chunk)
    texts = {chunk.path for chunk in chunks if chunk.type == _TEXT}
    if not texts <= set(columns):
        raise BadInput("bad_columns", f"{path}: {sorted(texts)} are nested, not columns of texts")
    return pq.ParquetFile(path, read_dictionary=sorted(texts))


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


@dataclass(frozen=True, slots=True)
class _ColumnChunk:
    """The pages of a column in a row group: where they begin and end."""

    path: str
    type: int
    start: int
    end: int

    @property
    def name(self) -> str:
        """The column that it is part of."""
        return self.path.split(".")[0]


def _column_chunks(path: Path, data: BinaryIO) -> Iterator[_ColumnChunk]:
    """Yield the column chunks of all row groups, as the metadata have them."""
    size = path.stat().st_size
    data.seek(max(0, size - 8))
    end = data.read(8)
    if end[4:] != _END:
        raise ValueError("it does not end as a Parquet file does")
    length = int.from_bytes(end[:4], "little")
    if length > MAX_METADATA_BYTES:
        message = f"{path}: {length} bytes of metadata, at most {MAX_METADATA_BYTES}: split it"
        raise BadInput("too_large", message)
    data.seek(size - 8 - length)
    metadata, _ = decode_struct(data.read(length))
    for group in _structs(metadata, _ROW_GROUPS):
        for column in _structs(group, _COLUMNS):
            yield _to_chunk(column.get(_CHUNK_METADATA))


def _structs(fields: Fields, field: int) -> list[Fields]:
    """Return a list of structs; ValueError if it is none."""
    found = fields.get(field)
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise ValueError(f"field {field} of the metadata is no list of structs")
    return found


def _to_chunk(fields: Any) -> _ColumnChunk:
    if not isinstance(fields, dict) or not isinstance(fields.get(_PATH), list):
        raise ValueError("a column without metadata")  # noqa: TRY004 - likewise
    parts = [part.decode() if isinstance(part, bytes) else "" for part in fields[_PATH]]
    start, dictionary = _number(fields, _DATA_OFFSET), fields.get(_DICTIONARY_OFFSET)
    if isinstance(dictionary, int) and 0 < dictionary < start:
        start = dictionary
    # A chunk without values needs no page.
    size = _number(fields, _CHUNK_BYTES) if _number(fields, _VALUES) > 0 else 0
    return _ColumnChunk(".".join(parts), _number(fields, _TYPE), start, start + size)


def _check_pages(path: Path, data: BinaryIO, chunk: _ColumnChunk) -> None:
    """Check the headers of a column chunk's pages."""
    name = f"{path}: column {chunk.path}"
    if chunk.type == _FIXED_BYTES:
        raise BadInput("bad_columns", f"{name} has bytes, not texts or numbers: convert the file")
    for header in _page_headers(data, chunk):
        _check_page(name, chunk.type, header)


def _page_headers(data: BinaryIO, chunk: _ColumnChunk) -> Iterator[Fields]:
    start = chunk.start
    while start < chunk.end:
        header, size = _read_header(data, start)
        start += size + max(0, _number(header, _COMPRESSED_SIZE))
        yield header


def _read_header(data: BinaryIO, start: int) -> tuple[Fields, int]:
    """Return a page's header and its size; ValueError if there is none."""
    data.seek(start)
    try:
        return decode_struct(data.read(_HEADER_BYTES))
    except ValueError:  # it is longer
        data.seek(start)
        return decode_struct(data.read(_MAX_HEADER_BYTES))


def _number(fields: Fields, field: int) -> int:
    """Return a number; ValueError if it is none."""
    value = fields.get(field)
    if not isinstance(value, int):
        raise ValueError(f"field {field} is no number")  # noqa: TRY004 - a file's, not a caller's
    return value


def _check_page(name: str, kind: int, header: Fields) -> None:
    size = _number(header, _SIZE)
    if not 0 <= size <= MAX_PAGE_BYTES:
        message = f"{name} has a page of {size} bytes, at most {MAX_PAGE_BYTES}: write smaller ones"
        raise BadInput("too_large", message)
    pages = [(header.get(field), number) for field, number in _DATA_PAGES.items()]
    encodings = [page.get(number) for page, number in pages if isinstance(page, dict)]
    if kind == _TEXT and not _ENCODINGS.issuperset(encodings):
        message = f"{name} is encoded in the way {encodings[0]}; write it plain or as a dictionary"
        raise BadInput("bad_columns", message)
