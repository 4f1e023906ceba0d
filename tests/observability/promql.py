"""What PromQL expressions name, found without a parser of the language."""

import re
from collections.abc import Iterable
from functools import cache
from typing import Final

from prometheus_client.metrics_core import Metric

from scripts.write_reference import METRICS
from shared.adapters.prometheus import Telemetry

METRIC: Final = re.compile(r"\bulstm_[a-z0-9_]+\b")
SERIES: Final = re.compile(r"_(?:bucket|count|sum)$")
SELECTED: Final = re.compile(r"[{,]\s*([a-z_]+)\s*(?:=~|!~|!=|=)")
GROUPED: Final = re.compile(r"\b(?:by|without|on|ignoring)\s*\(([^)]*)\)")
OF_EVERY_SERIES: Final = {"job", "instance"}
ALERTS_LABELS: Final = {"alertstate"}


@cache
def exported() -> dict[str, set[str]]:
    """The label names of each metric that a service exports."""
    found: dict[str, set[str]] = {}
    for service, register in METRICS.items():
        telemetry = Telemetry(service)
        register(telemetry)
        for metric in telemetry.registry.collect():
            found[_name_of(metric)] = set(telemetry.labels.get(_name_of(metric), ()))
    return found


def metric_names(expression: str) -> set[str]:
    """Return the metrics that an expression names, histograms by their own name."""
    return {SERIES.sub("", name) for name in METRIC.findall(expression)}


def label_names(expression: str) -> set[str]:
    """Return the labels that an expression selects or groups by, but those of every series."""
    grouped = ",".join(GROUPED.findall(expression)).replace(" ", "").split(",")
    return {*SELECTED.findall(expression), *filter(None, grouped)} - OF_EVERY_SERIES


def unknown_names(expressions: Iterable[str]) -> set[str]:
    """Return metrics that no service exports, and labels that none of an expression's has."""
    unknown = set[str]()
    for expression in expressions:
        names = metric_names(expression)
        if any(name.split("_")[1] not in METRICS for name in names):
            continue
        unknown |= names - exported().keys()
        allowed = {label for name in names for label in exported().get(name, ())}
        allowed |= {"le"} if "_bucket" in expression else set()
        allowed |= ALERTS_LABELS if "ALERTS" in expression else set()
        unknown |= label_names(expression) - allowed
    return unknown


def _name_of(metric: Metric) -> str:
    return f"{metric.name}_total" if metric.type == "counter" else metric.name
