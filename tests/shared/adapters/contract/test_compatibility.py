"""Within a schema number only optional fields are added."""

import json
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any, Final

import pytest

from scripts.contract_pages import check_compatible
from scripts.write_reference import REFERENCE
from shared.adapters.contract.compatibility import find_violations
from shared.adapters.contract.json_schema import record_schema, schema_number
from shared.adapters.contract.record_kinds import KINDS
from shared.core.errors import Incompatible

# The schemas of the last release. `make reference` compares with the newest ones besides.
EARLIER: Final = sorted((Path(__file__).parent / "earlier").glob("*.json"))
PREDICTION: Final = record_schema(KINDS["prediction"])

Change = Callable[[dict[str, Any]], object]


def changed(change: Change) -> dict[str, Any]:
    schema = deepcopy(PREDICTION)
    change(schema)
    return schema


def require(schema: dict[str, Any]) -> None:
    schema["properties"]["mood"] = {"type": "string"}
    schema["required"].append("mood")


def release(schema: dict[str, Any]) -> None:
    schema["required"].remove("close")


VIOLATIONS: Final[dict[str, tuple[Change, str]]] = {
    "a field is removed": (
        lambda s: s["properties"].pop("loss"),
        "record.loss: was removed",
    ),
    "a field inside another is removed": (
        lambda s: s["$defs"]["ScoresMessage"]["properties"].pop("moves"),
        "record.scores.moves: was removed",
    ),
    "a field of a list's items is removed": (
        lambda s: s["$defs"]["IntervalMessage"]["properties"].pop("coverage"),
        "record.intervals items.coverage: was removed",
    ),
    "a new field is required": (require, "record.mood: is required now"),
    "a field may be missing": (release, "record.close: is not required any more"),
    "another type": (
        lambda s: s["properties"]["steps"].update(type="number"),
        "record.steps type: 'integer' has become 'number'",
    ),
    "a lower bound is raised": (
        lambda s: s["properties"]["steps"].update(minimum=1),
        "record.steps minimum: 0 has become 1",
    ),
    "a bound is new": (
        lambda s: s["properties"]["steps"].update(maximum=10),
        "record.steps: maximum was added",
    ),
    "a pattern is gone": (
        lambda s: s["properties"]["state_digest"].pop("pattern"),
        "record.state_digest: pattern was removed",
    ),
    "null is forbidden": (
        lambda s: s["properties"]["loss"].update(anyOf=[{"type": "number"}]),
        "record.loss anyOf",
    ),
    "another default": (
        lambda s: s["properties"]["corrections"].update(default=1),
        "record.corrections default: 0 has become 1",
    ),
    "unknown fields are forbidden": (
        lambda s: s.update(additionalProperties=False),
        "record: additionalProperties was added",
    ),
}


@pytest.mark.parametrize(("change", "violation"), VIOLATIONS.values(), ids=list(VIOLATIONS))
def test_what_would_break_a_reader_or_a_writer_is_found(change: Change, violation: str) -> None:
    found = find_violations(PREDICTION, changed(change))

    assert [text for text in found if text.startswith(violation)] == found != []


@pytest.mark.parametrize(
    "change",
    [
        lambda s: s["properties"].update(mood={"type": "string"}),
        lambda s: s["$defs"]["ScoresMessage"]["properties"].update(error={"type": "number"}),
        lambda s: s["properties"]["close"].update(description="other words"),
        lambda s: s.update(examples=[]),
    ],
    ids=["a new field", "a new field inside another", "other words", "another example"],
)
def test_optional_fields_and_words_may_change(change: Change) -> None:
    assert find_violations(PREDICTION, changed(change)) == []


@pytest.mark.parametrize("path", EARLIER, ids=lambda path: path.stem)
def test_the_schemas_of_the_last_release_still_hold(path: Path) -> None:
    earlier = json.loads(path.read_text(encoding="utf-8"))
    later = record_schema(KINDS[path.stem])

    if schema_number(later) == schema_number(earlier):
        assert find_violations(earlier, later) == []


def test_the_reference_has_the_schemas_of_all_kinds_and_no_others() -> None:
    assert {path.stem for path in (REFERENCE / "schemas").iterdir()} == set(KINDS)


def test_the_last_release_has_schemas() -> None:
    assert {"candle", "prediction"} <= {path.stem for path in EARLIER}


def test_a_violation_is_not_written_to_the_reference(tmp_path: Path) -> None:
    path = tmp_path / "schemas" / "prediction.json"
    path.parent.mkdir()
    path.write_text(json.dumps(PREDICTION))

    check_compatible(path, json.dumps(changed(lambda s: s["properties"].update(mood={}))))
    with pytest.raises(Incompatible, match="loss: was removed"):
        check_compatible(path, json.dumps(changed(lambda s: s["properties"].pop("loss"))))


def test_another_schema_number_begins_anew(tmp_path: Path) -> None:
    def renumber(schema: dict[str, Any]) -> None:
        schema["properties"]["schema"]["const"] = 2
        del schema["properties"]["loss"]

    path = tmp_path / "schemas" / "prediction.json"
    path.parent.mkdir()
    path.write_text(json.dumps(PREDICTION))

    check_compatible(path, json.dumps(changed(renumber)))
