"""Proposes a search's next trial with Optuna, as a function of the seed and finished trials."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import optuna
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import FixedTrial, FrozenTrial, TrialState, create_trial

from services.trainer.tuning.search_space import SearchSpace, default_values
from services.trainer.tuning.trial import TrialResult, Values

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
