"""The examples of messages in docs/reference/topics.md, held against their schemas."""

import json
import re
from pathlib import Path
from typing import Any, get_args

import pytest

from shared.adapters.schemas.baskets import BasketsMessage, baskets_to_json, decode_baskets
from shared.adapters.schemas.control import SymbolControlMessage, decode_control
from shared.adapters.schemas.kline_messages import (
    CandleMessage,
    CorrectionKind,
    GapMessage,
    MarketMessage,
    StatusMessage,
)
from shared.adapters.schemas.predictions import (
    IntervalMessage,
    IntervalScoresMessage,
    OutcomeMessage,
    PredictionMessage,
    ScoresMessage,
)
from shared.adapters.schemas.wire import Wire
from shared.core.records import StatusName

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "topics.md"


def test_the_example_of_a_prediction_has_every_field() -> None:
    example = example_of("prediction")

    assert set(example) == names(PredictionMessage)
    assert set(example["previous"]) == names(OutcomeMessage)
    assert set(example["scores"]) == names(ScoresMessage)
    assert set(example["intervals"][0]) == names(IntervalMessage)
    assert set(example["interval_scores"]) == names(IntervalScoresMessage)


def test_the_example_of_a_candle_has_every_field_and_is_read() -> None:
    example = example_of("candle")

    assert set(example) == names(CandleMessage)
    assert set(example["market"]) == names(MarketMessage)
    assert CandleMessage.model_validate(example).market is not None


@pytest.mark.parametrize(("name", "message"), [("gap", GapMessage), ("status", StatusMessage)])
def test_the_examples_of_other_klines_have_every_field_and_are_read(
    name: str, message: type[GapMessage | StatusMessage]
) -> None:
    example = example_of(name)

    assert set(example) == names(message)
    assert message.model_validate(example).model_dump(by_alias=True) == example


def test_the_page_names_every_type_and_status() -> None:
    page = PAGE.read_text(encoding="utf-8")

    assert [f'"{kind}"' for kind in get_args(CorrectionKind) if f'"{kind}"' not in page] == []
    assert [f"`{status}`" for status in get_args(StatusName) if f"`{status}`" not in page] == []


def test_the_example_of_a_definition_of_baskets_is_one() -> None:
    example = example_of("definition of baskets")

    assert set(example) == names(BasketsMessage)
    assert baskets_to_json(decode_baskets(json.dumps(example).encode())) == example


def test_the_example_of_a_control_record_has_every_field_and_is_read() -> None:
    example = example_of("control record")

    assert set(example) == names(SymbolControlMessage)
    assert decode_control(json.dumps(example).encode(), "5m") is not None


def example_of(message: str) -> dict[str, Any]:
    pattern = rf"## A {message}\n.*?```json\n(.*?)```"
    match = re.search(pattern, PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert match is not None
    example: dict[str, Any] = json.loads(match[1])
    return example


def names(message: type[Wire]) -> set[str]:
    return {field.alias or name for name, field in message.model_fields.items()}
