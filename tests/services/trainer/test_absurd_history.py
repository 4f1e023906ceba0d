"""What one symbol went through does not cost the others their skill."""

import threading
from collections.abc import Mapping

import numpy as np
import pytest

from services.trainer.card import build_challenger
from services.trainer.data.dataset import Split
from services.trainer.data.preparation import PreparedData, fit_options, prepare_with_split
from services.trainer.fitting.fit import fit
from services.trainer.fitting.validation_scorer import build_validation_scorer
from services.trainer.settings import TrainerSettings
from shared.core.arrays import Float64s
from shared.core.sequence import CLOSE, HIGH, LOW, MARKET_CHANGE, OPEN, with_unknown_columns
from tests.support.builders import CONTEXT, START_MS, STEP_MS

COUNT, TRAINED = 1_600, 1_200
SPLIT = Split(START_MS + TRAINED * STEP_MS, START_MS + COUNT * STEP_MS)
FEATURE_SETS = ["market", "returns"]


def some_settings(feature_set: str) -> TrainerSettings:
    return TrainerSettings.from_env(
        {
            "FEATURE_SET": feature_set,
            "WIDTHS": "8",
            "EPOCHS": "2",
            "WINDOWS_PER_EPOCH": "12000",
            "BATCH_SIZE": "64",
            "MIN_CANDLES": "100",
            "SCORED_CANDLES": "400",
            "CHOOSE_BY": "loss",
        }
    )


def a_reverting_symbol(seed: int) -> Float64s:
    """Candles that take back half of each change in the next one."""
    noise = np.random.default_rng(seed).normal(scale=0.002, size=COUNT)
    changes = noise - 0.5 * np.concatenate([[0.0], noise[:-1]])
    return with_closes(np.asarray(100.0 * np.cumprod(1.0 + changes), dtype=np.float64))


def with_closes(closes: Float64s) -> Float64s:
    opens = np.concatenate([closes[:1], closes[:-1]])
    top, bottom = np.maximum(opens, closes), np.minimum(opens, closes)
    times = START_MS + STEP_MS * np.arange(COUNT, dtype=np.float64)
    volumes = np.full(COUNT, 5.0)
    rows = np.column_stack([times, opens, top * 1.0005, bottom * 0.9995, closes, volumes])
    sequence = with_unknown_columns(rows).copy()
    sequence[:, MARKET_CHANGE] = np.random.default_rng(99).normal(scale=1e-3, size=COUNT)
    return sequence


def an_absurd_symbol(kind: str) -> Float64s:
    sequence = a_reverting_symbol(77)
    prices = slice(OPEN, CLOSE + 1)
    if kind == "redenominated":
        sequence[TRAINED // 2 :, prices] *= 1000.0
    elif kind == "loses its peg":
        closes = 1.0 + 1e-6 * np.random.default_rng(8).normal(size=COUNT)
        closes[TRAINED // 2 :] -= 0.08
        sequence = with_closes(closes)
    else:
        sequence[::50, prices] *= 1000.0
        sequence[:, HIGH] = sequence[:, prices].max(axis=1)
        sequence[:, LOW] = sequence[:, prices].min(axis=1)
    return sequence


USUAL = {f"S{seed}USDT": a_reverting_symbol(seed) for seed in range(6)}


def skill_of_the_usual(settings: TrainerSettings, sequences: Mapping[str, Float64s]) -> float:
    """Train on all symbols; score the usual ones."""
    prepared = prepare_with_split(settings, sequences, SPLIT)
    never = threading.Event()
    fitted = fit(settings.architecture, prepared.dataset, fit_options(settings), never)
    challenger = build_challenger(settings, prepared, fitted, None)
    skill = build_validation_scorer(settings, usual_of(prepared), CONTEXT).skill(challenger)
    assert skill is not None
    return skill.value


def usual_of(prepared: PreparedData) -> PreparedData:
    return PreparedData(USUAL, USUAL.keys(), {}, prepared.split, prepared.dataset)


@pytest.mark.parametrize("feature_set", FEATURE_SETS)
def test_one_absurd_history_costs_the_others_less_than_a_tenth(feature_set: str) -> None:
    settings = some_settings(feature_set)
    alone = skill_of_the_usual(settings, USUAL)
    assert alone > 0.05

    for kind in ("redenominated", "loses its peg", "jumps every 50 candles"):
        beside = skill_of_the_usual(settings, {**USUAL, "ODDUSDT": an_absurd_symbol(kind)})

        assert beside > 0.9 * alone
