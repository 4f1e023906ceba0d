"""Weights are scored on the validation span as they would live."""

from dataclasses import replace
from math import nan

import numpy as np

from services.trainer.card import build_challenger
from services.trainer.data.dataset import Split
from services.trainer.data.preparation import prepare_with_split
from services.trainer.fitting.options import FitResult
from services.trainer.fitting.validation_scorer import (
    ValidationScorer,
    build_epoch_scorer,
    build_validation_scorer,
)
from services.trainer.settings import TrainerSettings
from shared.core.arrays import Float64s
from shared.core.evaluation.skill_score import Skill
from shared.core.model.card import Bundle
from shared.core.records import Candle
from shared.core.sequence import CLOSE, HIGH, candle_row
from tests.support.builders import CONTEXT, START_MS, STEP_MS, a_bundle, a_card, a_walk, candles

SETTINGS = TrainerSettings.from_env({"MIN_CANDLES": "32", "WIDTHS": "8", "SCORED_CANDLES": "50"})
SPLIT = Split(START_MS + 100 * STEP_MS, START_MS + 140 * STEP_MS)


def a_sequence(seed: int) -> Float64s:
    return np.concatenate(
        [candle_row(c) for c in candles(a_walk(180, seed)) if isinstance(c, Candle)]
    )


SEQUENCES = {f"S{seed}USDT": a_sequence(seed) for seed in range(3)}


def online(
    sequences: dict[str, Float64s] | None = None, threads: int = 1, split: Split = SPLIT
) -> ValidationScorer:
    prepared = prepare_with_split(SETTINGS, sequences or SEQUENCES, split)
    return build_validation_scorer(SETTINGS, prepared, CONTEXT, threads)


def a_challenger() -> Bundle:
    return a_bundle(card=a_card(features="returns", label_scale=1.0))


def scored(by: ValidationScorer, bundle: Bundle | None = None) -> Skill:
    skill = by.skill(bundle or a_challenger())
    assert skill is not None
    return skill


def test_candles_after_the_validation_span_change_nothing() -> None:
    doubled = {symbol: sequence.copy() for symbol, sequence in SEQUENCES.items()}
    for sequence in doubled.values():
        sequence[140:, CLOSE : CLOSE + 1] *= 2.0
        sequence[140:, HIGH] *= 3.0

    assert scored(online(doubled)) == scored(online())
    assert scored(online()).n == 39
    assert online().events == 3 * 40


def test_threads_change_no_bit_of_a_score() -> None:
    assert scored(online(threads=3)) == scored(online())


def test_one_extreme_candle_does_not_decide() -> None:
    def with_a_jump(factor: float) -> dict[str, Float64s]:
        jumping = {symbol: sequence.copy() for symbol, sequence in SEQUENCES.items()}
        jumping["S0USDT"][139, [CLOSE, HIGH]] *= factor
        return jumping

    assert scored(online(with_a_jump(1000.0))) == scored(online(with_a_jump(10.0)))


def test_at_most_so_many_symbols_and_candles_are_scored() -> None:
    few = SETTINGS.model_copy(update={"scored_symbols": 2, "scored_candles": 10})

    by = build_validation_scorer(few, prepare_with_split(few, SEQUENCES, SPLIT), CONTEXT)

    assert [len(span.candles) for span in by.spans] == [10, 10]


def test_weights_that_are_not_finite_have_no_skill() -> None:
    challenger = a_challenger()
    lost = replace(challenger, weights=np.full_like(challenger.weights, nan))

    assert online().skill(lost) is None


def test_without_a_validation_span_there_is_no_skill() -> None:
    by = replace(online(), spans=[])

    assert by.skill(a_challenger()) is None


def test_an_epoch_is_scored_by_the_online_skill_of_its_weights() -> None:
    by_skill = SETTINGS.model_copy(update={"choose_by": "online"})
    prepared = prepare_with_split(by_skill, SEQUENCES, SPLIT)
    weights = a_bundle(card=a_card(features="market")).weights

    score_epoch = build_epoch_scorer(by_skill, prepared, CONTEXT)

    assert score_epoch is not None
    skill = build_validation_scorer(by_skill, prepared, CONTEXT).skill(
        build_challenger(by_skill, prepared, FitResult(weights, (), ()), None)
    )
    assert skill is not None
    assert score_epoch(weights) == skill.value
    assert score_epoch(np.full_like(weights, nan)) is None


def test_the_loss_chooses_by_setting_or_if_nothing_can_be_scored() -> None:
    by_loss, by_skill = (SETTINGS.model_copy(update={"choose_by": by}) for by in ("loss", "online"))
    prepared = prepare_with_split(by_loss, SEQUENCES, SPLIT)
    ended = replace(prepared, split=Split(SPLIT.validation_until_ms, SPLIT.validation_until_ms))

    assert build_epoch_scorer(by_loss, prepared, CONTEXT) is None
    assert build_epoch_scorer(by_skill, ended, CONTEXT) is None
