"""Results of variants, through a file and back."""

import json
from pathlib import Path

import pytest

from benchmarks.skill_result import ResultFile, VariantResult, family_p, variant_result
from benchmarks.skill_tables import raw_name, variant_rows, variants_table
from benchmarks.variants import DEFAULT, ONE_SET, VARIANTS
from services.trainer.settings import TrainerSettings
from shared.core.errors import BadSetting
from shared.core.evaluation.comparison import CHALLENGER, CHALLENGER_FROZEN, Comparison
from shared.core.evaluation.costs import FILLS, NetReturn
from tests.support.builders import a_comparison, some_forecasts

TASK = {"klines": "folder", "scored": ["S0USDT"]}
NET = {CHALLENGER: [NetReturn(0.001, fill, 0.0, 0.0, 0.0, 0.0, 0.5, 0.1, 0.2, 9) for fill in FILLS]}


def scored_comparison(realised: float = 0.5) -> Comparison:
    series = some_forecasts(count=2000, realised=realised)
    comparison = a_comparison(series)
    for name in (CHALLENGER_FROZEN, ONE_SET):
        comparison.add(name, series, raw=True)
        comparison.add(raw_name(name), series, raw=True)
    return comparison


def a_result(name: str = DEFAULT) -> VariantResult:
    return variant_result(name, {"EPOCHS": "1"}, 1.5, scored_comparison(), NET)


def test_a_variant_has_one_row_and_another_with_one_set_of_weights() -> None:
    default, one_set = variant_rows(a_result(), a_result())

    assert (default[0], one_set[0]) == ("default", "default, one set of weights")
    assert default[-1] == ""
    assert one_set[-1] != ""


def test_a_variant_is_compared_with_the_default_over_the_same_candles() -> None:
    other, fewer = a_result("SGD 3e-4"), a_result()
    fewer.errors[CHALLENGER].pop()  # type: ignore[attr-defined]

    (same, _), (unlike, _) = (variant_rows(other, default) for default in (a_result(), fewer))

    assert same[-2:] == ("+0.000 %", "1")
    assert unlike[-2:] == ("", "")


def test_one_p_value_says_whether_any_variant_is_better_than_the_default() -> None:
    p = family_p([a_result(), a_result("SGD 3e-4")])

    assert p is not None
    assert p > 0.5
    assert family_p([a_result("SGD 3e-4")]) is None
    assert "Hansen" in str(variants_table([a_result()], "April").caption)


def test_results_survive_a_file(tmp_path: Path) -> None:
    path, result = tmp_path / "results.json", a_result()
    ResultFile(path, TASK, "3-test").write([result])

    same, other = (ResultFile(path, TASK | more, "3-test") for more in ({}, {"cold": True}))

    assert same.find(DEFAULT, {"EPOCHS": "1"}) == VariantResult(
        **json.loads(path.read_text())["variants"][0]
    )
    assert same.find(DEFAULT, {"EPOCHS": "2"}) is None
    assert other.find(DEFAULT, {"EPOCHS": "1"}) is None
    assert ResultFile(path, TASK, "4-test").find(DEFAULT, {"EPOCHS": "1"}) is None


def test_results_that_are_not_asked_for_stay_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    ResultFile(path, TASK, "3-test").write([a_result()])
    ResultFile(path, TASK, "3-test").write([a_result("SGD 3e-4")])

    names = [one["name"] for one in json.loads(path.read_text())["variants"]]

    assert names == ["SGD 3e-4", DEFAULT]


def test_a_file_has_every_figure_of_every_forecast(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    ResultFile(path, TASK, "3-test").write([a_result()])

    document = json.loads(path.read_text())

    assert document["task"] == TASK
    assert document["versions"]["numeric_profile"] == "3-test"
    (variant,) = document["variants"]
    assert variant["forecasts"][CHALLENGER]["skill"]["n"] == 2000
    assert set(variant["forecasts"][CHALLENGER]["symbols"]) == set(some_forecasts())
    assert [one["fill"] for one in variant["net_returns"][CHALLENGER]] == list(FILLS)


@pytest.mark.parametrize("text", ["{", "[]", '{"schema": 1}'])
def test_a_file_of_something_else_is_rejected(text: str, tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    path.write_text(text)

    with pytest.raises(BadSetting, match="move it away"):
        ResultFile(path, TASK, "3-test")


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_can_be_trained_by_the_kernel(name: str) -> None:
    assert TrainerSettings.from_env(VARIANTS[name]).dropout == 0.0
