"""Inputs that are small or legal, and hurt a reader without bounds."""

import gzip
import io
import json
import struct
import zipfile
import zlib
from collections.abc import Iterator
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from tests.fuzz.target import GZIP, HTTP, JSON, MB, PARQUET, ZIP, Target

_TEXTS: Final[tuple[bytes, ...]] = (
    b"",
    b"\x00" * MB,
    b"\xff" * MB,
    b" " * 9 * MB,
    b"[" * 100_000,
    b"[" * 100_000 + b"]" * 100_000,
    b'{"a":' * 100_000,
    b"9" * MB,
    b"-" + b"9" * MB,
    b"1e" + b"9" * 100_000,
    b'"' + b"a" * 9 * MB + b'"',
    b'"' + b"\\u0000" * MB,
    b"[" + b"[]," * 2_500_000 + b"[]]",
    b"[" + b"{}," * 2_500_000 + b"{}]",
    b"[" + b"0.5," * 2_000_000 + b"1]",
    b"," * 4 * MB,
    b"\n" * 4 * MB,
    b"a{" + b'b="c",' * 100_000 + b"} 1\n",
    b"a 1\n" * MB,
    "[1]".encode("utf-16"),
    b"\xef\xbb\xbf{}",
)
_VALUES: Final = (
    "[" * 100_000 + "]" * 100_000,
    '{"a":' * 50_000 + "1" + "}" * 50_000,
    "9" * 100_000,
    "[" + "[]," * 500_000 + "[]]",
    '"' + "a" * 2 * MB + '"',
    "{" + ",".join(f'"{number}":[]' for number in range(200_000)) + "}",
)


def bombs(target: Target) -> Iterator[bytes]:
    """Yield the bombs of a target's kind."""
    yield from _TEXTS
    if target.kind == JSON:
        for text in target.samples[:1]:
            yield from map(target.wrap, _in_json(json.loads(text)))
    for sample in target.samples:
        yield from (sample * 50, sample + b"\x00" * MB, sample[: len(sample) // 2])
    yield from _FILES.get(target.kind, lambda: ())()


def _in_json(tree: Any) -> Iterator[bytes]:
    """Yield texts in which a field is a bomb: one that is known, one that is not."""
    for name in (*list(tree)[:40], "unknown") if isinstance(tree, dict) else ():
        others = {key: value for key, value in tree.items() if key != name}
        head = json.dumps(others)[:-1] + (", " if others else "")
        yield from (f"{head}{json.dumps(name)}: {value}}}".encode() for value in _VALUES[:3])
    if isinstance(tree, dict):
        yield from (f'{{"unknown": {value}}}'.encode() for value in _VALUES)


def answers() -> Iterator[bytes]:
    """Yield answers that unpack to hundreds of MB, or never end."""
    head = b"HTTP/1.1 200 OK\r\n"
    body = gzip.compress(b"[]," * 100 * MB, 1)
    for coding, data in ((b"gzip", body), (b"gzip, gzip", gzip.compress(body))):
        length = b"Content-Length: %d\r\n" % len(data)
        yield head + b"Content-Encoding: " + coding + b"\r\n" + length + b"\r\n" + data
    yield head + b"A: b\r\n" * 200_000 + b"\r\n"
    yield head + b"A: " + b"b" * 5 * MB + b"\r\n\r\n"
    yield head + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\na\r\n" * 100_000
    yield head + b"Content-Length: 99999999999999999999\r\n\r\n" + b"a" * 5 * MB
    yield b"HTTP/1.1 100 Continue\r\n\r\n" * 20_000


def gzip_files() -> Iterator[bytes]:
    """Yield gzip files that unpack to one long line, or to nothing but lines."""
    yield gzip.compress(b"1" * 50 * MB, 1)
    yield gzip.compress(b"\n" * 50 * MB, 1)
    yield gzip.compress(b"1\n" * 1_000) + b"x"


def zip_files() -> Iterator[bytes]:
    """Yield ZIPs that unpack to gigabytes, or cannot be unpacked."""
    for member in ("BTCUSDT-5m.csv", "model.weights.h5", "\x1b[2J.csv"):
        yield deflated(member, 6_000)
        for method in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
            yield zipped({member: b"1,2,3\n" * 1_000}, method)
        whole = zipped({member: b"1,2,3\n"})
        yield encrypted(whole)
        yield renamed(whole, member)
        yield unknown_method(whole)
    yield zipped({f"{number:0200}": b"" for number in range(20_000)})


def zipped(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Return a ZIP."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as target:
        for name, data in members.items():
            target.writestr(name, data)
    return file.getvalue()


def deflated(member: str, size_mb: int) -> bytes:
    """Return a ZIP with one line of so many MB, made of a block that is repeated."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = packer.compress(b"1" * 16 * MB) + packer.flush(zlib.Z_FULL_FLUSH)
    data, name = block * (size_mb // 16), member.encode()
    size = struct.pack("<IIIHH", 0, len(data), min(size_mb * MB, 2**31 - 1), len(name), 0)
    local = b"PK\x03\x04" + struct.pack("<HHHHH", 20, 0, 8, 0, 0) + size + name
    central = b"PK\x01\x02" + struct.pack("<HHHHHH", 20, 20, 0, 8, 0, 0) + size
    central += struct.pack("<HHHII", 0, 0, 0, 0, 0) + name
    end = struct.pack("<HHHHIIH", 0, 0, 1, 1, len(central), len(local) + len(data), 0)
    return local + data + central + b"PK\x05\x06" + end


def encrypted(whole: bytes) -> bytes:
    """Return a ZIP whose first member says that it needs a password."""
    at = whole.index(b"PK\x01\x02") + 8
    return whole[:6] + b"\x01\x00" + whole[8:at] + b"\x01\x00" + whole[at + 2 :]


def unknown_method(whole: bytes) -> bytes:
    """Return a ZIP whose first member is compressed in a way that nobody knows."""
    at = whole.index(b"PK\x01\x02") + 10
    return whole[:8] + b"\x63\x00" + whole[10:at] + b"\x63\x00" + whole[at + 2 :]


def renamed(whole: bytes, member: str) -> bytes:
    """Return a ZIP with bytes for a name that are in no encoding."""
    return whole.replace(member.encode(), b"\xff\xfe\x80" * 9)[: len(whole)]


def parquet_files() -> Iterator[bytes]:
    """Yield Parquet files: pages of hundreds of MB, long texts, nested texts, wrong types."""
    rows = 1_000
    columns: dict[str, Any] = {
        "open_time": pa.array(range(0, rows * 300_000, 300_000), pa.int64()),
        **{name: pa.array([1.0] * rows) for name in ("open", "high", "low", "close", "volume")},
        "symbol": pa.array(["BTCUSDT"] * rows),
        "open_time_ms": pa.array([0] * rows, pa.int64()),
        "change": pa.array([0.1] * rows),
    }
    yield parquet(columns)
    yield parquet(columns | {"symbol": pa.array(["A" * 5 * MB] * 4 + ["B"] * (rows - 4))})
    yield parquet(columns | {"symbol": pa.array(["A" * 50_000] * rows)})
    long = columns | {"symbol": pa.array(["A" * 50_000 + str(at) for at in range(rows)])}
    yield parquet(long, column_encoding={"symbol": "DELTA_BYTE_ARRAY"}, use_dictionary=False)
    yield parquet(columns | {"symbol": pa.array([["A" * 1_000]] * rows)})
    yield parquet(columns | {"symbol": pa.array([b"A" * 16] * rows, pa.binary(16))})
    yield parquet(columns | {"open": pa.array([[1.0]] * rows), "symbol": pa.array([1] * rows)})
    zeros = {name: pa.array([0.0] * 9_000_000) for name in ("open",)}
    yield parquet(zeros, use_dictionary=False, data_page_size=200 * MB, compression="zstd",
                  row_group_size=9_000_000, max_rows_per_page=9_000_000)  # fmt: skip
    yield parquet({f"c{number}": pa.array([1]) for number in range(5_000)})


def parquet(columns: dict[str, Any], **options: Any) -> bytes:
    """Return a Parquet file of columns."""
    file = io.BytesIO()
    pq.write_table(pa.table(columns), file, **options)
    return file.getvalue()


_FILES: Final = {HTTP: answers, GZIP: gzip_files, ZIP: zip_files, PARQUET: parquet_files}
