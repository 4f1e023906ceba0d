"""Proposes a search's next trial with Optuna, as a function of the seed and finished trials."""

from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

import numpy as np
import optuna
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import BaseTrial, FixedTrial, FrozenTrial, TrialState, create_trial

from services.trainer.settings import TrainerSettings
from services.trainer.tuning.study_record import LAYERS, TrialResult, Values
from shared.core.features.registry import FEATURE_SETS, feature_set

WINDOW_LENGTHS: Final = (16, 24, 32, 48, 64, 96, 144, 288)
_WIDTHS: Final = (8, 16, 32, 48, 64, 96)
_BATCH_SIZES: Final = (128, 256, 512, 1024, 2048)
_HUBER_DELTAS: Final = (1.0, 2.0, 3.0, 5.0, 8.0, 0.0)  # 0: no limit, so the largest
_DROPOUTS: Final = (0.0, 0.1, 0.2, 0.3)

SearchSpace: TypeAlias = Callable[[BaseTrial], None]
"""Suggests each value of a trial; which ones there are may depend on those before."""


def search_space(*, with_dropout: bool) -> SearchSpace:
    """Return the space of settings."""

    def suggest(trial: BaseTrial) -> None:
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


_RANDOM_TRIALS: Final = 10  # with a score, before the sampler models the scores
_DRAWS: Final = 20  # that repeat a finished trial: then nothing new is left


def propose(space: SearchSpace, finished: Sequence[TrialResult], seed: int) -> Values | None:
    """Return the values to try next; None once the space is used up.

    First the trainer's default settings, then random ones, then those of a tree-structured Parzen
    estimator (Bergstra et al., Algorithms for hyper-parameter optimization, 2011).
    """
    if not finished:
        return default_values(space)
    tried = [trial.values for trial in finished]
    for draw in range(_DRAWS):
        # A sampler has random state of its own. A new one for each proposal, seeded with the number
        # of the trial, makes a resumed search reach the same trials.
        sampler_seed = int(np.random.default_rng([seed, len(finished), draw]).integers(2**32))
        values = _ask(space, finished, _create_sampler(finished, draw, sampler_seed))
        if values not in tried:
            return values
    return None


def _create_sampler(finished: Sequence[TrialResult], draw: int, seed: int) -> BaseSampler:
    if draw > 0:  # a repeated trial teaches nothing: draw at random instead
        return RandomSampler(seed)
    unscored = sum(trial.skill is None for trial in finished)
    return TPESampler(n_startup_trials=_RANDOM_TRIALS + unscored, seed=seed)


def _ask(space: SearchSpace, finished: Sequence[TrialResult], sampler: BaseSampler) -> Values:
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # it announces each study
    study = optuna.create_study(direction="maximize", sampler=sampler)
    for result in finished:
        study.add_trial(_to_optuna(space, result))
    trial = study.ask()
    space(trial)
    return trial.params


def _to_optuna(space: SearchSpace, result: TrialResult) -> FrozenTrial:
    """Return a trial as Optuna's; one without a score is pruned, which ranks below all others."""
    fixed = FixedTrial(dict(result.values))
    space(fixed)
    return create_trial(
        state=TrialState.PRUNED if result.skill is None else TrialState.COMPLETE,
        value=result.skill,
        params=fixed.params,
        distributions=fixed.distributions,
    )
