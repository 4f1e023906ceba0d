"""What the page shows of cards and promotions."""

from dataclasses import replace
from math import inf, nan
from typing import Any

import pytest

from services.dashboard.models.card_fields import describe_bundle
from services.dashboard.models.promotion_timeline import (
    DatedPromotion,
    champion_of,
    promotion_timeline,
)
from shared.adapters.schemas.wire import canonical_json
from shared.core.evaluation.comparison import CHALLENGER, CHAMPION
from shared.core.model.card import Bundle
from tests.support.builders import a_bundle, a_card

SKILL = {"value": 0.01, "low": 0.005, "high": 0.015, "p": 0.001, "n": 400}
OVER = {"value": 0.002, "low": -0.001, "high": 0.005, "p": 0.09, "n": 400}
SCORES: dict[str, Any] = {
    "forecasts": {
        CHALLENGER: {"skill": SKILL, "symbols": {"BTCUSDT": SKILL}},
        CHAMPION: {"skill": OVER, "challenger_against": OVER},
    },
    "decision": {"promote": True, "reason": "it is better"},
    "span": {"from_ms": 1, "through_ms": 2, "candles": 400, "symbols": 3},
    "running": {"open_time_ms": [1, 2], CHALLENGER: [0.0, 0.01], CHAMPION: [0.0, 0.002]},
}


def bundle_with(scores: dict[str, Any], **training: Any) -> Bundle:
    card = replace(a_card(), scores=scores, training=training, parent="m0")
    return replace(a_bundle(1, a_card()), card=card)


def test_a_version_has_its_skill_its_decision_and_its_size() -> None:
    fields = describe_bundle(bundle_with(SCORES, symbols=["A", "B"]), 7).fields

    assert fields["skill"] == SKILL
    assert fields["over_champion"] == OVER
    assert fields["decision"] == {"promoted": True, "reason": "it is better"}
    assert (fields["published_ms"], fields["parent"], fields["symbols"]) == (7, "m0", 2)
    assert fields["layers"] == [8]
    assert fields["weights"] > 0


def test_the_rest_of_the_card_is_json_without_what_is_of_every_symbol() -> None:
    fields = describe_bundle(bundle_with(SCORES, symbols=["A"]), None).fields

    canonical_json(fields)
    assert fields["card"]["huber_delta"] is None
    assert fields["card"]["scores"]["forecasts"][CHALLENGER] == {"skill": SKILL}
    assert "scalers" not in fields["card"]


def test_the_comparison_is_of_challenger_and_champion_on_the_same_candles() -> None:
    bundle = bundle_with(SCORES)

    comparison = describe_bundle(bundle, None).comparison

    assert comparison is not None
    assert comparison["challenger"] == bundle.version
    assert (comparison["champion"], comparison["candles"]) == ("m0", 400)
    assert comparison["skill_challenger"] == SKILL
    assert comparison["skill_champion"] == comparison["over_champion"] == OVER
    assert comparison["running"] == SCORES["running"]


@pytest.mark.parametrize(
    "scores",
    [
        {},
        {"forecasts": [1], "decision": "yes", "span": 3, "running": []},
        {"forecasts": {CHALLENGER: "good"}, "decision": {"promote": 1, "reason": None}},
        {"forecasts": {CHALLENGER: {"skill": {**SKILL, "value": nan}}}},
        {"forecasts": {CHALLENGER: {"skill": {**SKILL, "p": "0.1"}}}},
        {"forecasts": {CHALLENGER: {"skill": {"value": True}}}, "more": [inf, {"a": -inf}]},
    ],
)
def test_scores_of_another_shape_are_not_known(scores: dict[str, Any]) -> None:
    described = describe_bundle(bundle_with(scores), None)

    assert described.fields["skill"] is None
    assert described.fields["decision"] is None
    assert described.comparison is None
    canonical_json(described.fields)


def test_a_running_skill_of_unequal_columns_is_not_known() -> None:
    scores = {**SCORES, "running": {"open_time_ms": [1, 2, 3], CHALLENGER: [0.0, 0.01]}}

    comparison = describe_bundle(bundle_with(scores), None).comparison

    assert comparison is not None
    assert comparison["running"] is None


def test_a_version_that_was_promoted_before_is_a_rollback() -> None:
    promoted = ["m1", "m2", "m2", "m1", "m3"]

    timeline = promotion_timeline(DatedPromotion(one, at) for at, one in enumerate(promoted))

    assert [one["kind"] for one in timeline] == [
        *("promotion", "promotion", "promotion", "rollback", "promotion"),
    ]
    assert [one["previous"] for one in timeline] == [None, "m1", "m2", "m2", "m1"]


def test_the_champion_is_the_last_one_since_it_replaced_another() -> None:
    promoted = ["m1", "m2", "m2"]

    timeline = promotion_timeline(DatedPromotion(one, at) for at, one in enumerate(promoted))

    assert champion_of(timeline) == {"version": "m2", "since_ms": 1}
    assert champion_of([]) is None
