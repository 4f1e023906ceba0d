"""The example of a prediction in docs/reference/topics.md, held against the schema."""

import json
import re
from pathlib import Path
from typing import Any

from shared.adapters.schemas.predictions import OutcomeMessage, PredictionMessage, ScoresMessage
from shared.adapters.schemas.wire import Wire

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "topics.md"


def test_the_example_of_a_prediction_has_every_field() -> None:
    example = example_prediction()

    assert set(example) == names(PredictionMessage)
    assert set(example["previous"]) == names(OutcomeMessage)
    assert set(example["scores"]) == names(ScoresMessage)


def example_prediction() -> dict[str, Any]:
    match = re.search(r"```json\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert match is not None
    example: dict[str, Any] = json.loads(match[1])
    return example


def names(message: type[Wire]) -> set[str]:
    return {field.alias or name for name, field in message.model_fields.items()}
