"""Write Grafana's board of observability/grafana/board.yml, which is made to be read.

`make reference` writes it; tests/observability/test_board.py fails where the two differ.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

GRAFANA: Final = Path(__file__).parents[1] / "observability" / "grafana"
DEFINITION: Final = GRAFANA / "board.yml"
BOARD: Final = GRAFANA / "boards" / "updating-lstm.json"

SOURCE: Final = {"type": "prometheus", "uid": "prometheus"}
COLUMNS: Final = 24
DEFAULT_WIDTH: Final = 8
HEIGHTS: Final = {"number": 4}
DEFAULT_HEIGHT: Final = 7
TYPES: Final = {"line": "timeseries", "bars": "timeseries", "number": "stat", "table": "table"}


def main() -> None:
    """Write the board."""
    BOARD.write_text(render_board(), encoding="utf-8")


def read_definition() -> dict[str, Any]:
    """Return the definition: a title and rows of panels."""
    definition: dict[str, Any] = yaml.safe_load(DEFINITION.read_text(encoding="utf-8"))
    return definition


def queries() -> list[str]:
    """Return every PromQL expression of the board."""
    panels = [panel for row in read_definition()["rows"] for panel in row["panels"]]
    return [query for panel in panels for query in panel["queries"].values()]


def render_board() -> str:
    """Return the board as Grafana reads it from a file."""
    definition = read_definition()
    board = {
        "uid": "updating-lstm",
        "title": definition["title"],
        "tags": ["updating-lstm"],
        "timezone": "utc",
        "editable": False,
        "refresh": "15s",
        "time": {"from": "now-6h", "to": "now"},
        "schemaVersion": 39,
        "panels": list(_panels(definition["rows"])),
    }
    return json.dumps(board, indent=1, ensure_ascii=False) + "\n"


def _panels(rows: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    number, top = 0, 0
    for row in rows:
        number += 1
        yield {
            "id": number,
            "type": "row",
            "title": row["title"],
            "collapsed": False,
            "gridPos": {"x": 0, "y": top, "w": COLUMNS, "h": 1},
            "panels": [],
        }
        top += 1
        left, height = 0, 0
        for panel in row["panels"]:
            kind, width = panel.get("kind", "line"), panel.get("width", DEFAULT_WIDTH)
            if left + width > COLUMNS:
                left, top, height = 0, top + height, 0
            number += 1
            place = {"x": left, "y": top, "w": width, "h": HEIGHTS.get(kind, DEFAULT_HEIGHT)}
            left, height = left + width, max(height, place["h"])
            yield _panel(panel, kind, number, place)
        top += height


def _panel(
    panel: Mapping[str, Any], kind: str, number: int, place: Mapping[str, int]
) -> dict[str, Any]:
    custom: dict[str, Any] = {}
    if kind == "bars":
        custom = {"drawStyle": "bars", "fillOpacity": 60, "stacking": {"mode": "normal"}}
    return {
        "id": number,
        "type": TYPES[kind],
        "title": panel["title"],
        "description": panel.get("help", ""),
        "datasource": SOURCE,
        "gridPos": place,
        "fieldConfig": {
            "defaults": {"unit": panel.get("unit", "short"), "custom": custom},
            "overrides": [],
        },
        "options": _options(kind),
        "targets": [
            _target(at, name, query, kind)
            for at, (name, query) in enumerate(panel["queries"].items())
        ],
    }


def _options(kind: str) -> dict[str, Any]:
    if kind == "number":
        reduce = {"calcs": ["lastNotNull"], "fields": "", "values": False}
        return {
            "reduceOptions": reduce,
            "orientation": "auto",
            "textMode": "auto",
            "colorMode": "none",
            "graphMode": "none",
        }
    if kind == "table":
        return {"showHeader": True}
    return {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }


def _target(at: int, name: str, query: str, kind: str) -> dict[str, Any]:
    is_table = kind == "table"
    return {
        "refId": chr(ord("A") + at),
        "datasource": SOURCE,
        "expr": query,
        "legendFormat": name or "__auto",
        "instant": is_table,
        "range": not is_table,
        "format": "table" if is_table else "time_series",
    }


if __name__ == "__main__":
    main()
