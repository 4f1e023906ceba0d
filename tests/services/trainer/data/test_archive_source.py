"""What a training reads from the archive, and the market's moves it gets."""

import threading
from dataclasses import replace

import numpy as np
import pytest

from services.trainer.card import build_card
from services.trainer.data.archive_source import ArchiveSource
from services.trainer.data.preparation import prepare
from services.trainer.fitting.options import FitResult
from services.trainer.settings import TrainerSettings
from shared.adapters.schemas.baskets import card_baskets
from shared.core.market import define_baskets
from shared.core.market_table import MarketSequences
from shared.core.sequence import BASKETS, MARKET_SYMBOLS, baskets_code
from shared.log.archive import TimeSpan
from shared.log.basket_store import BasketStore
from tests.support.builders import START_MS, STEP_MS, a_walk, candle_bytes
from tests.support.deployment import Deployment

pytestmark = pytest.mark.integration

COUNT = 400
NAMES = [f"C{number}USDT" for number in range(9)]


@pytest.fixture
def filled(deployment: Deployment) -> Deployment:
    """A deployment whose candles have no moves of the market."""
    walks = {name: a_walk(COUNT, seed) for seed, name in enumerate(NAMES)}
    deployment.publish(
        [
            (name, candle_bytes(at, name, f"{walk[at]:.6f}"))
            for at in range(COUNT)
            for name, walk in walks.items()
        ]
    )
    for partition in range(deployment.partitions):
        deployment.await_settled(deployment.topics.klines, partition)
    return deployment


def settings_of(deployment: Deployment, **environ: str) -> TrainerSettings:
    return TrainerSettings.from_env({**deployment.environ, "MIN_CANDLES": "100", **environ})


def read(settings: TrainerSettings) -> MarketSequences:
    source = ArchiveSource(settings, threading.Event(), with_market=True)
    sequences = source.read(TimeSpan())
    assert isinstance(sequences, MarketSequences)
    return sequences


def test_candles_without_moves_get_them_of_baskets_of_the_training_span(
    filled: Deployment,
) -> None:
    sequences = read(settings_of(filled))

    assert sequences.baskets is not None
    assert sequences.baskets.made_through_ms < START_MS + 0.9 * COUNT * STEP_MS
    assert sequences.recomputed_share() == 1.0
    rows = sequences["C0USDT"]
    assert set(rows[1:, MARKET_SYMBOLS]) == {9.0}
    assert set(rows[1:, BASKETS]) == {baskets_code(sequences.baskets.version)}


def test_baskets_in_force_are_kept_while_they_are_young(filled: Deployment) -> None:
    young = define_baskets([NAMES[:4], NAMES[4:]], START_MS, START_MS + 200 * STEP_MS)
    BasketStore(filled.kafka, filled.topics).publish(young)

    kept = read(settings_of(filled)).baskets
    made = read(settings_of(filled, BASKETS_MAX_AGE_DAYS="0")).baskets

    assert kept == young
    assert made is not None
    assert made != young


def test_baskets_that_look_ahead_are_not_taken(filled: Deployment) -> None:
    ahead = define_baskets([NAMES[:4], NAMES[4:]], START_MS, START_MS + COUNT * STEP_MS)
    BasketStore(filled.kafka, filled.topics).publish(ahead)

    assert read(settings_of(filled)).baskets != ahead


def test_symbols_that_are_not_trained_on_are_of_the_market_too(filled: Deployment) -> None:
    sequences = read(settings_of(filled, SYMBOLS="C3USDT,C4USDT"))

    assert list(sequences) == ["C3USDT", "C4USDT"]
    assert set(sequences["C3USDT"][1:, MARKET_SYMBOLS]) == {9.0}


def test_a_card_defines_the_baskets_and_says_what_was_recomputed(filled: Deployment) -> None:
    settings = settings_of(filled)
    prepared = prepare(settings, read(settings))

    card = build_card(settings, prepared, FitResult(np.ones(3, np.float32), (0.5,), (0.6,)), None)

    assert prepared.baskets is not None
    assert card_baskets(card) == prepared.baskets
    assert card.training["market_recomputed"] == 1.0
    assert card_baskets(replace(card, baskets=None)) is None
