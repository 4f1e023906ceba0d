"""Rows of variants, through a file and back."""

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.variants import (
    DEFAULT,
    ONE_SET,
    VARIANTS,
    VariantScore,
    append_rows,
    raw_name,
    read_rows,
    variant_rows,
)
from services.trainer.settings import TrainerSettings
from shared.core.evaluation.comparison import CHALLENGER, CHALLENGER_FROZEN, Comparison
from tests.support.builders import a_comparison, some_forecasts


def scored_comparison(seed: int = 7) -> Comparison:
    comparison, series = (
        a_comparison(some_forecasts(seed=seed)),
        some_forecasts(seed=seed, realised=0.3),
    )
    for name in (CHALLENGER_FROZEN, ONE_SET):
        comparison.add(name, series)
        comparison.add(raw_name(name), series, raw=True)
    return comparison


def some_rows() -> list[VariantScore]:
    return list(variant_rows(DEFAULT, scored_comparison(), (), "2025-03", {"EPOCHS": "1"}, 1.5))


def test_the_default_has_one_row_and_another_with_one_set_of_weights() -> None:
    default, one_set = some_rows()

    assert (default.name, one_set.name) == ("default", "default, one set of weights")
    assert default.against_default is None
    assert one_set.against_default == scored_comparison().skill(ONE_SET, CHALLENGER)
    assert one_set.raw == scored_comparison().skill(raw_name(ONE_SET))


def test_a_variant_is_compared_with_the_default_over_the_same_candles() -> None:
    default, _ = some_rows()

    (same,) = variant_rows("SGD 3e-4", scored_comparison(), default.errors, "2025-03", {}, 1.0)
    (other,) = variant_rows(
        "SGD 3e-4", scored_comparison(), default.errors[:-1], "2025-03", {}, 1.0
    )

    assert same.against_default is not None
    assert same.against_default.value == 0.0
    assert other.against_default is None


def test_rows_survive_a_file(tmp_path: Path) -> None:
    rows = some_rows()

    for row in rows:
        append_rows(tmp_path / "rows.json", [row])

    assert [
        replace(row, errors=tuple(row.errors)) for row in read_rows(tmp_path / "rows.json")
    ] == [replace(row, errors=tuple(row.errors)) for row in rows]
    assert read_rows(None) == read_rows(tmp_path / "none.json") == []


@pytest.mark.parametrize("line", ["{", "[]", '{"name": "default"}', '{"unheard": "of"}'])
def test_a_line_that_is_not_a_row_is_named(line: str, tmp_path: Path) -> None:
    append_rows(tmp_path / "rows.json", some_rows()[:1])
    with (tmp_path / "rows.json").open("a") as file:
        file.write(line)

    with pytest.raises(ValueError, match=r"line 2 of .*: delete it"):
        read_rows(tmp_path / "rows.json")


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_can_be_trained_by_the_kernel(name: str) -> None:
    assert TrainerSettings.from_env(VARIANTS[name]).dropout == 0.0
