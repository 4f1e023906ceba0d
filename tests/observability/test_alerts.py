"""The alert rules: they parse, fire when they must, and say what to do."""

import re
from typing import Any, Final

import pytest
import yaml

from tests.observability.promql import unknown_names
from tests.observability.promtool import ALERTS, promtool
from tests.support.imports import ROOT

RULES: Final[dict[str, dict[str, Any]]] = {
    rule["alert"]: rule
    for group in yaml.safe_load(ALERTS.read_text(encoding="utf-8"))["groups"]
    for rule in group["rules"]
}
TESTS: Final = yaml.safe_load((ALERTS.parent / "alerts_test.yml").read_text(encoding="utf-8"))
RUNBOOK: Final = "docs/how-to/monitor.md"
each_alert = pytest.mark.parametrize("name", RULES)


@pytest.mark.slow
def test_prometheus_accepts_its_configuration_and_the_rules() -> None:
    promtool("check", "config", "prometheus.yml")


@pytest.mark.slow
def test_each_alert_fires_when_it_must_and_not_otherwise() -> None:
    promtool("test", "rules", "alerts_test.yml")


@each_alert
def test_an_alert_is_tested_both_ways(name: str) -> None:
    expected = [
        bool(test["exp_samples"])
        for case in TESTS["tests"]
        for test in case["promql_expr_test"]
        if f'"{name}"' in test["expr"]
    ]

    assert set(expected) == {True, False}


@each_alert
def test_an_alert_says_how_bad_it_is_and_what_to_do(name: str) -> None:
    rule = RULES[name]

    assert rule["labels"]["severity"] in {"critical", "warning"}
    assert rule["annotations"].keys() == {"summary", "description", "runbook"}
    assert rule["annotations"]["runbook"] == f"{RUNBOOK}#{name.lower()}"


def test_the_runbook_has_a_section_for_each_alert_and_for_no_other() -> None:
    page = (ROOT / RUNBOOK).read_text(encoding="utf-8")

    assert re.findall(r"^### ([A-Z]\w+)$", page, re.MULTILINE) == list(RULES)


def test_what_the_rules_name_is_exported() -> None:
    assert unknown_names(rule["expr"] for rule in RULES.values()) == set()
