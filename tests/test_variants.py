"""Rows of a comparison: those of a contest, through a file and back."""

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.variants import (
    DEFAULT,
    ONE_SET,
    VARIANTS,
    VariantScore,
    add_row,
    raw_of,
    read_rows,
    rows_of,
)
from services.trainer.settings import TrainerSettings
from shared.core.evaluation.comparison import FROZEN, Comparison
from tests.support.builders import a_contest, some_tracks


def scored_contest(seed: int = 7) -> Comparison:
    contest, tracks = a_contest(some_tracks(seed=seed)), some_tracks(seed=seed, borne_out=0.3)
    for name in (FROZEN, ONE_SET):
        contest.add(name, tracks)
        contest.add(raw_of(name), tracks, raw=True)
    return contest


def some_rows() -> list[VariantScore]:
    return list(rows_of(DEFAULT, scored_contest(), (), "2025-03", {"EPOCHS": "1"}, 1.5))


def test_the_default_has_a_row_of_its_own_and_one_with_one_set_of_weights_held_against_it() -> None:
    default, one_set = some_rows()

    assert (default.name, one_set.name) == ("default", "default, one set of weights")
    assert default.against_default is None
    assert one_set.against_default == scored_contest().skill(ONE_SET, "candidate")
    assert one_set.raw == scored_contest().skill(raw_of(ONE_SET))


def test_a_variant_is_held_against_the_errors_of_the_default_over_the_same_candles() -> None:
    default, _ = some_rows()

    (same,) = rows_of("SGD 3e-4", scored_contest(), default.errors, "2025-03", {}, 1.0)
    (other,) = rows_of("SGD 3e-4", scored_contest(), default.errors[:-1], "2025-03", {}, 1.0)

    assert same.against_default is not None
    assert same.against_default.value == 0.0
    assert other.against_default is None


def test_rows_come_back_from_a_file_as_they_were(tmp_path: Path) -> None:
    rows = some_rows()

    for row in rows:
        add_row(tmp_path / "rows.json", row)

    assert [
        replace(row, errors=tuple(row.errors)) for row in read_rows(tmp_path / "rows.json")
    ] == [replace(row, errors=tuple(row.errors)) for row in rows]
    assert read_rows(None) == read_rows(tmp_path / "none.json") == []


@pytest.mark.parametrize("line", ["{", "[]", '{"name": "default"}', '{"unheard": "of"}'])
def test_a_line_that_is_no_row_is_named(line: str, tmp_path: Path) -> None:
    add_row(tmp_path / "rows.json", some_rows()[0])
    with (tmp_path / "rows.json").open("a") as file:
        file.write(line)

    with pytest.raises(ValueError, match=r"line 2 of .*: delete it"):
        read_rows(tmp_path / "rows.json")


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_can_be_trained_by_the_kernel(name: str) -> None:
    assert TrainerSettings.from_env(VARIANTS[name]).dropout == 0.0
