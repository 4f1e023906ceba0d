"""Find the functions that parse bytes from outside, by the parsers that they call."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
# What turns bytes or texts into values, or reads them from where others write them.
PARSERS: Final = frozenset({
    "DictReader", "ParquetFile", "ZipFile", "decode_json", "decode_struct",
    "frombuffer", "fromisoformat", "fromstring", "h5py.File", "hgetall", "hmget", "iter_content",
    "json.load", "load_der_x509_certificate", "load_pem_private_key", "load_pem_x509_certificate",
    "loads", "model_validate_json", "csv.reader", "np.load", "parse_qs", "read1", "read_bytes",
    "read_metadata", "read_table", "read_text", "recv_data_frame", "safe_load",
    "text_string_to_metric_families", "unpack", "unpack_from", "urlopen",
    "validate_json",
})  # fmt: skip


def parsing_functions() -> set[str]:
    """Return the functions of the services and of `shared` that parse, as `path: name`."""
    files = [file for top in ("shared", "services") for file in (ROOT / top).rglob("*.py")]
    return {f"{file.relative_to(ROOT)}: {name}" for file in files for name in _parsing(file)}


def _parsing(file: Path) -> Iterator[str]:
    for name, function in _functions(ast.parse(file.read_text(encoding="utf-8")), ()):
        calls = (node for node in ast.walk(function) if isinstance(node, ast.Call))
        if any(not PARSERS.isdisjoint(_names(call.func)) for call in calls):
            yield name


def _functions(
    node: ast.AST, outer: tuple[str, ...]
) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef):
            yield from _functions(child, (*outer, child.name))
        elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield ".".join((*outer, child.name)), child


def _names(function: ast.expr) -> set[str]:
    """Return the name of what is called, alone and with what it belongs to."""
    text = ast.unparse(function) if isinstance(function, ast.Name | ast.Attribute) else ""
    parts = text.split(".")
    return {parts[-1], ".".join(parts[-2:])}
