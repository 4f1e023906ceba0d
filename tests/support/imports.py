"""The project's imports, read from the source."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]


def source_files(*folders: str) -> list[Path]:
    """Return the Python files of some folders, relative to the root."""
    return sorted(
        file.relative_to(ROOT) for folder in folders for file in (ROOT / folder).rglob("*.py")
    )


@cache
def imported_modules(file: Path) -> frozenset[str]:
    """Return the modules that a file imports, those within functions too.

    Of `from a import b` both `a` and `a.b`, as `b` may be a module.
    """
    return frozenset(_imports(ast.parse((ROOT / file).read_text())))


def reachable_files(file: Path) -> set[Path]:
    """Return the project's files that a file imports, directly and indirectly."""
    found, open_files = set[Path](), [file]
    while open_files:
        current = open_files.pop()
        if current not in found:
            found.add(current)
            open_files += [
                imported
                for module in imported_modules(current)
                if (imported := _file_of(module)) is not None
            ]
    return found


def _imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            yield node.module
            yield from (f"{node.module}.{name.name}" for name in node.names)


def _file_of(module: str) -> Path | None:
    file = Path(*module.split(".")).with_suffix(".py")
    return file if (ROOT / file).is_file() else None
