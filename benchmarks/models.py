"""The models to measure: untrained, of the sizes of the trainer's presets."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

import numpy as np

from benchmarks.market import DEFINITION, START_MS, STEP_MS, a_sequence, symbol_names
from services.trainer.settings import TrainerSettings
from shared.adapters.bundle_codec import decode_bundle, encode_bundle, version_of
from shared.adapters.schemas.baskets import baskets_to_json
from shared.core.features.registry import feature_set
from shared.core.model.architecture import Architecture
from shared.core.model.card import Bundle, Card, Learns
from shared.core.model.head import Head, HeadSettings, diagonal_head
from shared.core.model.optimiser import Optimiser
from shared.core.online.context import FoldContext
from shared.core.online.model import Model
from shared.core.online.start import build_start
from shared.core.online.state_codec import encode_state

_START_CANDLES: Final = 48  # a training takes more, which changes the values and not the cost


@dataclass(frozen=True, slots=True)
class BenchmarkModel:
    """What the cost of a model's online step depends on."""

    name: str
    architecture: Architecture
    feature_set: str
    learns: Learns
    head: HeadSettings = field(default_factory=HeadSettings)

    def encoded(self, starts: Mapping[str, bytes] = MappingProxyType({})) -> tuple[str, bytes]:
        """Return the version and the bytes of the model, and of the states that symbols start from.

        Its card has no scalers, so that each symbol fits its own if the feature set needs one.
        """
        card = Card(
            self.architecture,
            self.feature_set,
            label_scale=1e-3 if self.feature_set == "levels" else 1.0,
            optimiser=Optimiser(rate=1e-5),
            scalers={},
            trained_from_ms=START_MS - 1000 * STEP_MS,
            trained_through_ms=START_MS - STEP_MS,
            learns=self.learns,
            head=self.head,
            baskets=DEFINITION.version,
            training={"baskets": baskets_to_json(DEFINITION)},
        )
        count = self.architecture.weight_count()
        weights = np.random.default_rng(1).uniform(-0.2, 0.2, count).astype(np.float32)
        data = encode_bundle(card, weights, self._head(), starts)
        return version_of(card, data), data

    def bundle(self) -> Bundle:
        """Return the model of those bytes."""
        return decode_bundle(*self.encoded())

    def starts(self, symbols: int, at: int) -> dict[str, bytes]:
        """Return the states of synthetic symbols before candle `at`, as a training leaves them."""
        model, context = Model(self.bundle()), FoldContext.of_this_machine("5m")
        found = {
            name: build_start(name, a_sequence(at, seed)[-_START_CANDLES:], model, context)
            for seed, name in enumerate(symbol_names(symbols))
        }
        return {name: encode_state(state) for name, state in found.items() if state is not None}

    def _head(self) -> Head | None:
        if self.learns not in {"head", "both"}:
            return None
        inputs = self.architecture.widths[-1] + self.architecture.features + 1
        return diagonal_head(np.full(inputs, 0.01), np.ones(inputs))


def a_model(widths: tuple[int, ...], window_length: int, features: str) -> BenchmarkModel:
    """Return a model whose weights all learn by gradient steps."""
    architecture = Architecture(widths, window_length, feature_set(features).columns)
    name = f"{features}, window {window_length}, " + " -> ".join(f"LSTM({w})" for w in widths)
    return BenchmarkModel(name, architecture, features, "gradient")


_TRAINER: Final = TrainerSettings.model_construct()  # its defaults, whatever the environment
DEFAULT: Final = BenchmarkModel(
    "default model",
    _TRAINER.architecture,
    _TRAINER.feature_set,
    _TRAINER.learns,
    _TRAINER.head,
)
ORIGINAL: Final = BenchmarkModel(
    "original's size", Architecture((32, 32), 288, 6), "levels", "gradient"
)
