"""The table of faults names what exists."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from tests.feed.table import SCENARIOS

ROOT = Path(__file__).parent.parent
TABLE = (ROOT / "docs" / "evidence" / "faults.md").read_text()
ROWS = {
    int(cells[0]): cells
    for cells in re.findall(r"^\| (\d+) \| (.+?) \| (.+?) \| (.+) \|$", TABLE, re.MULTILINE)
}
TESTS = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", TABLE)))
SCENARIO_NAMES = sorted(set(re.findall(r"`feed: ([^`…]+)`", TABLE)))
FAULTS = sorted(set(re.findall(r"`(chaos|simulation|cluster): ([^`…]+)`", TABLE)))
FILES = {
    "chaos": ["tests/chaos/faults.py"],
    "cluster": ["tests/cluster/faults.py"],
    "simulation": ["tests/simulation/network.py", "tests/simulation/schedules.py"],
}


@cache
def tree(path: str) -> ast.Module:
    return ast.parse((ROOT / path).read_text())


def functions(path: str) -> set[str]:
    return {node.name for node in tree(path).body if isinstance(node, ast.FunctionDef)}


def words(path: str) -> set[object]:
    """Texts and names of fields: a fault is one or the other."""
    nodes = list(ast.walk(tree(path)))
    fields = {
        node.target.id
        for node in nodes
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }
    return {node.value for node in nodes if isinstance(node, ast.Constant)} | fields


def test_every_fault_has_a_row_and_every_row_says_what_shows_it() -> None:
    assert list(ROWS) == list(range(1, len(ROWS) + 1))
    for cells in ROWS.values():
        assert re.search(
            r"`(tests/[\w/]+\.py::\w+|(chaos|simulation|cluster|feed): [^`]+)`|^left out: ",
            cells[3],
        ), cells


@pytest.mark.parametrize(("path", "name"), TESTS)
def test_a_named_test_exists(path: str, name: str) -> None:
    assert name in functions(path)


def test_each_kind_of_the_exchanges_faults_is_a_row_that_names_scenarios_of_it() -> None:
    kinds = {scenario.name: scenario.kind for scenario in SCENARIOS}
    for name in SCENARIO_NAMES:
        assert name in kinds
    for kind in sorted(set(kinds.values())):
        named = re.findall(r"`feed: ([^`…]+)`", ROWS[71 + kind][3])
        assert named
        assert {kinds[name] for name in named} == {kind}


@pytest.mark.parametrize(("where", "name"), FAULTS)
def test_a_named_kind_of_fault_exists(where: str, name: str) -> None:
    assert any(name in words(path) for path in FILES[where])
