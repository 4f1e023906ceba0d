"""Grafana's board: written from its definition, with queries that exist."""

import json
import re
from pathlib import Path

import pytest
import yaml

from scripts.write_board import BOARD, queries, read_definition, render_board
from tests.observability.promql import label_names, unknown_names
from tests.observability.promtool import OBSERVABILITY, promtool

PANELS = [panel for row in read_definition()["rows"] for panel in row["panels"]]


def test_the_board_is_what_its_definition_says() -> None:
    assert BOARD.read_text(encoding="utf-8") == render_board(), "run `make reference`"


@pytest.mark.slow
def test_every_query_parses(tmp_path: Path) -> None:
    rules = [{"record": f"board:query{at}", "expr": each} for at, each in enumerate(queries())]
    file = tmp_path / "queries.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "board", "rules": rules}]}))

    promtool("check", "rules", str(file))


def test_what_the_queries_name_is_exported() -> None:
    assert unknown_names(queries()) == set()


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_a_legend_has_the_labels_that_its_query_keeps(panel: dict[str, dict[str, str]]) -> None:
    for legend, query in panel["queries"].items():
        shown = set(re.findall(r"\{\{(\w+)\}\}", legend)) - {"job", "instance"}
        assert shown <= label_names(query)


def test_panels_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in json.loads(BOARD.read_text(encoding="utf-8"))["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert cells.isdisjoint(taken)
        assert max(x for x, _ in cells) < 24
        taken |= cells


def test_the_board_asks_the_data_source_that_is_provisioned() -> None:
    provisioned = yaml.safe_load(
        (OBSERVABILITY / "grafana/provisioning/datasources/prometheus.yml").read_text()
    )
    uids = {source["uid"] for source in provisioned["datasources"]}

    assert uids == set(re.findall(r'"uid": "(prometheus)"', BOARD.read_text(encoding="utf-8")))
