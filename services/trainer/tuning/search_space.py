"""The settings that a search varies, and their ranges."""

from collections.abc import Callable
from typing import Final, TypeAlias

from optuna.trial import BaseTrial, FixedTrial

from services.trainer.settings import TrainerSettings
from services.trainer.tuning.trial import LAYERS, Values
from shared.core.features.registry import FEATURE_SETS, feature_set
from shared.core.model.card import Target

WINDOW_LENGTHS: Final = (16, 24, 32, 48, 64, 96, 144, 288)
_WIDTHS: Final = (8, 16, 32, 48, 64, 96)
_BATCH_SIZES: Final = (128, 256, 512, 1024, 2048)
_HUBER_DELTAS: Final = (1.0, 2.0, 3.0, 5.0, 8.0, 0.0)  # 0: no limit, so the largest
_DROPOUTS: Final = (0.0, 0.1, 0.2, 0.3)

SearchSpace: TypeAlias = Callable[[BaseTrial], None]
"""Suggests each value of a trial; which ones there are may depend on those before."""


def search_space(target: Target, *, with_dropout: bool) -> SearchSpace:
    """Return the space of a target's settings."""

    def suggest(trial: BaseTrial) -> None:
        if target == "change":
            _suggest_features(trial)
        _suggest_network(trial)
        trial.suggest_float("learning_rate", 1e-4, 3e-2, log=True)
        trial.suggest_categorical("batch_size", _BATCH_SIZES)
        trial.suggest_categorical("online_optimiser", ("adam", "sgd"))
        trial.suggest_float("online_rate", 1e-6, 1e-2, log=True)
        trial.suggest_float("shrinkage_weight", 0.5, 64.0, log=True)
        if with_dropout:
            trial.suggest_categorical("dropout", _DROPOUTS)

    return suggest


def default_values(space: SearchSpace) -> Values:
    """Return the values of the trainer's default settings."""
    defaults = TrainerSettings.from_env({})
    widths = defaults.architecture.widths
    layers = {name: widths[min(at, len(widths) - 1)] for at, name in enumerate(LAYERS)}
    trial = FixedTrial({**defaults.model_dump(), **layers, "layers": len(widths)})
    space(trial)
    return trial.params


def _suggest_features(trial: BaseTrial) -> None:
    name = trial.suggest_categorical("feature_set", sorted(FEATURE_SETS))
    if feature_set(name).mirror is not None:
        trial.suggest_categorical("mirrored", (True, False))
    trial.suggest_categorical("huber_delta", _HUBER_DELTAS)


def _suggest_network(trial: BaseTrial) -> None:
    trial.suggest_categorical("window_length", WINDOW_LENGTHS)
    for name in LAYERS[: trial.suggest_int("layers", 1, len(LAYERS))]:
        trial.suggest_categorical(name, _WIDTHS)
