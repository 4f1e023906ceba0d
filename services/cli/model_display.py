"""Model versions and their cards, on the terminal and as JSON values for programs.

A card's scores and training fields are free-form JSON, which a foreign program may have written:
whatever has another shape than ours is not shown.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from math import isinf
from typing import Any

from rich.table import Table

from services.cli.terminal import plain_text
from shared.core.evaluation.comparison import CHALLENGER
from shared.core.model.card import Bundle
from shared.core.timestamps import format_timestamp


def summary_to_json(bundle: Bundle, current_version: str | None) -> dict[str, Any]:
    """Return a version's row of `ulstm models list`."""
    card = bundle.card
    symbols = card.training.get("symbols")
    return {
        "version": bundle.version,
        "current": bundle.version == current_version,
        "trained_from_ms": card.trained_from_ms,
        "trained_through_ms": card.trained_through_ms,
        "parent": card.parent,
        "symbols": len(symbols if isinstance(symbols, list) else card.scalers),
        "skill": _skills(card.scores).get(CHALLENGER),
        "bundle_sha256": bundle.sha256,
    }


def build_versions_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """Return the rows of `ulstm models list` as a table."""
    table = Table()
    for name in ("version", "", "symbols", "skill", "parent"):
        table.add_column(name, no_wrap=name != "skill")  # users copy the versions
    for row in rows:
        table.add_row(
            plain_text(row["version"]),
            "current" if row["current"] else "",
            str(row["symbols"]),
            _percent(row["skill"]),
            plain_text(row["parent"] or ""),
        )
    return table


def card_to_json(bundle: Bundle) -> dict[str, Any]:
    """Return a bundle's card with its version and digest."""
    fields = {"version": bundle.version, "bundle_sha256": bundle.sha256, **asdict(bundle.card)}
    if isinf(bundle.card.huber_delta):
        fields["huber_delta"] = None  # JSON has no infinity
    return fields


def build_card_table(bundle: Bundle) -> Table:
    """Return a bundle's card as a table; the scalers are left out, as they are many."""
    table = Table(show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in card_to_json(bundle).items():
        if name == "scores":
            for row in _describe_scores(bundle.card.scores):
                table.add_row(*map(plain_text, row))
        elif name != "scalers":
            table.add_row(*map(plain_text, _describe_field(name, value)))
    return table


def _describe_field(name: str, value: object) -> tuple[str, str]:
    label = name.replace("_", " ")
    if name.endswith("_ms") and isinstance(value, int):
        return label.removesuffix(" ms"), format_timestamp(value)
    if isinstance(value, Mapping):
        return label, ", ".join(f"{key} {part}" for key, part in value.items())
    return label, str(value)


def _describe_scores(scores: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for forecast, skill in _skills(scores).items():
        yield f"skill, {forecast}", _percent(skill)
    decision = _mapping(scores.get("decision"))
    if decision:
        is_promoted = decision.get("promote") is True
        yield "promoted" if is_promoted else "not promoted", str(decision.get("reason", ""))


def _skills(scores: Mapping[str, Any]) -> dict[str, float | None]:
    """Return the skill against zero change of each forecast in a card's scores."""
    skills: dict[str, float | None] = {}
    for forecast, fields in _mapping(scores.get("forecasts")).items():
        value = _mapping(_mapping(fields).get("skill")).get("value")
        skills[str(forecast)] = value if isinstance(value, float) else None
    return skills


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _percent(skill: float | None) -> str:
    return "" if skill is None else f"{100 * skill:+.3f} %"
