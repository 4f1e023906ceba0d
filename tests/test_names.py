"""Names are the field's own words, and each names one thing."""

import ast
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Final

import pytest

from tests.support.imports import ROOT, source_files

CODE: Final = source_files("shared", "services", "benchmarks", "scripts")


def words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Words that the field has a better one for: the left columns of the project's dictionary.
OLD_CLASSES: Final = words(
    """
    Answer Askers Beside Budget Candidate Chain Contest Entry Fate Fitted Folded Folder Found
    GroupMember GroupState Guidance Hits InForce Kline KnownModels Learning Learnt Letter Loop
    Measures Move Online Outgoing Place Placed Plan Progress Published Reached Received
    RedisStates Saved Scorer Search Stack Standing States Structure Taken Track Tracks Unseen
    Verdict Waiting Waits Watch
    """
)
OLD_FUNCTIONS: Final = words(
    """
    alone answered asked_anew broke enter folding gone_on heard hold hurry lives may_pass
    passed_over patiently readied refused rest_said stream_said tell told translated turn
    when_available
    """
)
OLD_NAMES: Final = words(
    """
    _abandon _begin_anew _begun _folded _give_up _group_folded _renew _settle agenda askers
    asked_anew borne_out go_on gone_on known_models may_pass passed_over patiently quiet_time
    readied rest_said stream_said tell told version_in_use watermark way_back whole_file
    """
)
OLD_MODULES: Final = words(
    """
    agenda asking beside candidate checking closes contest contiguity drawing dump_checks
    epochs exchange_time folding follower growth inbox known_models letters linear lives measures
    moments observing page plain published quiet release reporting row scoring search_record
    searching server_folder server_programs site standing verdict verifying way_back
    whole_file witness
    """
)


@cache
def tree_of(file: Path) -> ast.Module:
    return ast.parse((ROOT / file).read_text())


def classes(file: Path) -> Iterator[str]:
    return (node.name for node in ast.walk(tree_of(file)) if isinstance(node, ast.ClassDef))


def functions(file: Path) -> Iterator[str]:
    for node in ast.walk(tree_of(file)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name


def identifiers(file: Path) -> Iterator[str]:
    """Every name that a file defines or uses: of values, arguments, attributes and functions."""
    yield from functions(file)
    for node in ast.walk(tree_of(file)):
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name):
                yield name
            case ast.keyword(arg=str(name)) | ast.alias(asname=str(name)):
                yield name


def test_no_class_name_stands_in_two_files() -> None:
    files = defaultdict[str, set[str]](set)
    for file in [*CODE, *source_files("tests")]:
        for name in classes(file):
            files[name].add(str(file))

    assert {name: found for name, found in files.items() if len(found) > 1} == {}


@pytest.mark.parametrize(
    ("old", "names_of"),
    [(OLD_CLASSES, classes), (OLD_FUNCTIONS, functions), (OLD_NAMES, identifiers)],
    ids=["classes", "functions", "names"],
)
def test_no_old_name_is_left(
    old: frozenset[str], names_of: Callable[[Path], Iterator[str]]
) -> None:
    found = {name: str(file) for file in CODE for name in names_of(file) if name in old}

    assert found == {}


def test_no_module_has_an_old_name() -> None:
    assert [str(file) for file in CODE if file.stem in OLD_MODULES] == []
