"""The map of outside libraries in pyproject.toml, held against the imports.

A banned library's message names its owners; `per-file-ignores` lets exactly these files import it.
"""

import ast
import re
import sys
import tomllib
from collections.abc import Iterable
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any, Final

import pytest

from tests.support.imports import ROOT, imported_modules, source_files

RUFF: Final[dict[str, Any]] = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["ruff"]
BANNED: Final[dict[str, dict[str, str]]] = RUFF["lint"]["flake8-tidy-imports"]["banned-api"]
IGNORES: Final[dict[str, list[str]]] = RUFF["lint"]["per-file-ignores"]
FILES: Final = source_files("shared", "services")

FREE: Final = {"numpy", "shared", "services"}  # may be imported everywhere
FORBIDDEN: Final = {"pickle", "joblib"}  # nobody may import them
LIBRARIES: Final = sorted(name for name in BANNED if "." not in name and name not in FORBIDDEN)
PATH: Final = re.compile(r"\b(?:shared|services)/[\w/*.]+[\w/]")
BRACES: Final = re.compile(r"\{([^}]*)\}")


@cache
def libraries(file: Path) -> frozenset[str]:
    """The outside libraries that a file imports."""
    roots = {module.split(".")[0] for module in imported_modules(file)}
    return frozenset(roots - FREE - sys.stdlib_module_names)


def reads_environment(file: Path) -> bool:
    return any(
        isinstance(node, ast.Attribute) and ast.unparse(node) in {"os.environ", "os.getenv"}
        for node in ast.walk(ast.parse((ROOT / file).read_text()))
    )


def owners(library: str) -> list[str]:
    """The files and folders that a library's message names."""
    return PATH.findall(BANNED[library]["msg"])


def importers(library: str) -> list[Path]:
    return [file for file in FILES if library in libraries(file)]


def is_within(file: Path, owner: str) -> bool:
    return file.is_relative_to(owner) if owner.endswith("/") else str(file) == owner


def expand(pattern: str) -> list[str]:
    """Write out the braces of a pattern."""
    texts = BRACES.split(pattern)
    choices = [[text] if at % 2 == 0 else text.split(",") for at, text in enumerate(texts)]
    return ["".join(parts) for parts in product(*choices)]


def matching(patterns: Iterable[str]) -> set[Path]:
    return {
        file.relative_to(ROOT)
        for pattern in patterns
        for text in expand(pattern)
        for file in ROOT.glob(text)
        if file.suffix == ".py"
    }


PATTERNS: Final = [
    pattern
    for pattern, rules in IGNORES.items()
    if "TID251" in rules and pattern.startswith(("shared/", "services/"))
]


def test_every_outside_library_is_in_the_map() -> None:
    assert set().union(*map(libraries, FILES)) == set(LIBRARIES)


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_library_is_imported_by_its_owners_and_by_nobody_else(library: str) -> None:
    assert owners(library)
    strangers = [
        str(file)
        for file in importers(library)
        if not any(is_within(file, owner) for owner in owners(library))
    ]
    assert strangers == []


@pytest.mark.parametrize("library", LIBRARIES)
def test_every_owner_imports_its_library(library: str) -> None:
    idle = [
        owner
        for owner in owners(library)
        if not any(is_within(file, owner) for file in importers(library))
    ]
    assert idle == []


def test_the_linter_lets_the_owners_import_and_nobody_else() -> None:
    allowed = {file for file in FILES if libraries(file) or reads_environment(file)}
    folders = [owner for library in LIBRARIES for owner in owners(library) if owner.endswith("/")]
    in_owned_folder = {file for file in FILES if any(is_within(file, each) for each in folders)}

    assert allowed - matching(PATTERNS) == set()
    assert matching(PATTERNS) - allowed - in_owned_folder == set()


def test_every_pattern_of_the_map_names_files_that_exist() -> None:
    texts = [text for pattern in IGNORES for text in expand(pattern)]

    assert [text for text in texts if not any(ROOT.glob(text))] == []


def test_the_environment_is_read_by_the_services_main_modules_only() -> None:
    readers = [file for file in FILES if reads_environment(file)]

    assert readers
    assert {file.name for file in readers} == {"__main__.py"}
