"""The original's own weights predict in the fold what they predict in Keras."""

from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Final

import pytest

from benchmarks.market import recorded_sequences
from benchmarks.original import find_differences, load_original, read_keras_outputs
from shared.core.model.card import Bundle
from shared.core.model.optimiser import Optimiser

FOLDER: Final = Path(__file__).parent / "original"
EXPECTED: Final = read_keras_outputs(FOLDER / "BTCUSDT-expected.jsonl")


def differences(bundle: Bundle) -> dict[str, float]:
    sequences = recorded_sequences(FOLDER / "klines")
    return {one.forecast: one.largest for one in find_differences(bundle, sequences, EXPECTED)}


def test_frozen_and_updating_predictions_are_those_of_keras() -> None:
    found = differences(load_original(FOLDER))

    assert found["frozen"] < 1e-6
    assert found["updating"] < 1e-5  # 50 candles


def test_the_card_of_the_original_reads_its_output_as_the_change() -> None:
    card = load_original(FOLDER).card

    assert (card.feature_set, card.label_scale, card.huber_delta) == ("levels", 1.0, inf)
    assert card.optimiser == Optimiser(rate=1e-3)


def test_another_rate_predicts_something_else_than_keras() -> None:
    bundle = load_original(FOLDER)
    card = replace(bundle.card, optimiser=Optimiser(rate=9e-4))

    found = differences(replace(bundle, card=card))

    assert found["frozen"] < 1e-6
    assert found["updating"] > 1e-5


def test_candles_that_keras_predicts_at_must_be_there() -> None:
    with pytest.raises(ValueError, match="lack candles of BTCUSDT"):
        list(find_differences(load_original(FOLDER), {}, EXPECTED))


def test_a_line_without_a_prediction_is_named(tmp_path: Path) -> None:
    file = tmp_path / "BTCUSDT-expected.jsonl"
    file.write_text('{"t": 0}\n')

    with pytest.raises(ValueError, match="a line without t, base and online"):
        read_keras_outputs(file)
