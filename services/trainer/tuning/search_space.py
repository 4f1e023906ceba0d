"""What a search may try, and Bayesian optimisation's word on what to try next: the one file with KerasTuner.

Only its oracle is used, anew for each proposal. Its own record of a search is written in place, so that a kill can
leave half a file, and does not hold all the chance it draws from; ours is a file that is there or not, and a
proposal follows from it.
"""

import warnings
from collections.abc import Sequence
from typing import Any

import keras_tuner
import numpy as np
from keras_tuner.engine.trial import Trial as Told
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import Matern, WhiteKernel

from services.trainer.settings import TrainerSettings
from services.trainer.tuning.trial import LAYERS, WINDOW_LENGTHS, Trial, Value, Values, ranked
from shared.core.arrays import Float64s
from shared.core.model.card import Target

_DRAWN_FIRST = 10  # scored trials by chance before the Gaussian process has a word
_DRAWS = 20  # that were all tried before: there is nothing new
_ASKED = 4096  # points that the Gaussian process is asked about
_NEAR = 0.1  # deviation of what is near the best trial, along a hyperparameter whose range is 1
_BOLDNESS = 2.0  # deviations above its mean that the Gaussian process hopes for
_SCALES = (0.2, 20.0)  # how far a score reaches along a hyperparameter, whose range is 1
_NOISE = (1e-3, 1.0)  # of a score, as a part of the variance of all scores
_LEAST_SKILL = -0.01  # all that is worse is alike: one failure would make all else look the same


def space(target: Target, *, with_dropout: bool) -> keras_tuner.HyperParameters:
    """Return what may be tried for a target; its defaults are those of the trainer's settings."""
    own, found = TrainerSettings.from_env({}), keras_tuner.HyperParameters()
    widths = own.architecture.widths
    if target == "change":
        found.Choice("feature_set", ["returns", "levels"], default=own.feature_set)
        with found.conditional_scope("feature_set", ["returns"]):  # levels have no mirror
            found.Boolean("mirrored", default=own.mirrored)
        found.Choice(
            "huber_delta", [1.0, 2.0, 3.0, 5.0, 8.0, 0.0], default=own.huber_delta
        )  # 0: never, so the largest
    found.Choice("window_length", list(WINDOW_LENGTHS), default=own.window_length)
    found.Int("layers", 1, len(LAYERS), default=len(widths))
    for at, name in enumerate(LAYERS, 1):
        with found.conditional_scope("layers", list(range(at, len(LAYERS) + 1))):
            found.Choice(name, [8, 16, 32, 48, 64, 96], default=widths[min(at, len(widths)) - 1])
    found.Float("learning_rate", 1e-4, 3e-2, sampling="log", default=own.learning_rate)
    found.Choice("batch_size", [128, 256, 512, 1024, 2048], default=own.batch_size)
    found.Choice("online_optimiser", ["adam", "sgd"], default=own.online_optimiser)
    found.Float("online_rate", 1e-6, 1e-2, sampling="log", default=own.online_rate)
    found.Float("shrinkage_weight", 0.5, 64.0, sampling="log", default=own.shrinkage_weight)
    if with_dropout:
        found.Choice("dropout", [0.0, 0.1, 0.2, 0.3], default=0.0)
    return found


def propose(
    within: keras_tuner.HyperParameters, trials: Sequence[Trial], seed: int
) -> Values | None:
    """Return what to try next: a function of its arguments. None once all that is drawn was tried.

    First the defaults, then by chance, then where a Gaussian process over the scores expects the most at best.
    """
    if not trials:
        return dict(within.values)
    tried = [trial.values for trial in trials]
    drawn_first = _DRAWN_FIRST + len(trials) - len(ranked(trials))
    for draw in range(_DRAWS):
        # What was tried before tells nothing new: draw by chance instead.
        oracle = _Oracle(
            within, [seed, len(trials), draw], drawn_first if draw == 0 else len(trials) + 1
        )
        oracle.trials = _told(within, trials)
        found = _plain(oracle.populate_space(str(len(trials)))["values"])
        if found not in tried:
            return found
    return None


class _Oracle(keras_tuner.oracles.BayesianOptimizationOracle):  # type: ignore[misc]
    """KerasTuner's, with a Gaussian process that expects noise and that some hyperparameters matter more than others.

    It is asked about many points at once: descents from fifty points take ten thousands of single questions.
    """

    def __init__(
        self, within: keras_tuner.HyperParameters, seeds: Sequence[int], drawn_first: int
    ) -> None:
        super().__init__(
            objective=keras_tuner.Objective("skill", direction="max"),
            max_trials=None,
            num_initial_points=drawn_first,
            beta=_BOLDNESS,
            seed=int(np.random.default_rng(seeds).integers(1, 2**31)),  # it takes 0 for none
            hyperparameters=within,
        )
        kernel = Matern(np.ones(len(within.space)), _SCALES, nu=2.5) + WhiteKernel(0.1, _NOISE)
        self.gpr = GaussianProcessRegressor(
            kernel, n_restarts_optimizer=2, normalize_y=True, random_state=self.seed
        )

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        if len(self.trials) < self.num_initial_points:
            return dict(super().populate_space(trial_id))
        points, scores = self._vectorize_trials()  # scores are to be low
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", ConvergenceWarning
            )  # of a length scale at its bound: few trials, no fault
            self.gpr.fit(points, scores)
        asked = self._points(points[scores.argmin()])
        mean, deviation = self.gpr.predict(asked, return_std=True)
        hoped = mean - self.beta * deviation
        return {"status": "RUNNING", "values": self._vector_to_values(asked[hoped.argmin()])}

    def _points(self, best: Float64s) -> Float64s:
        """Return points (n, hyperparameters) to ask about: half of them anywhere, half near the best trial."""
        random = np.random.default_rng(self.seed)
        anywhere = random.random((_ASKED // 2, len(best)))
        near = best + _NEAR * random.standard_normal((_ASKED // 2, len(best)))
        return np.concatenate([anywhere, near.clip(0.0, 1.0)])


def _told(within: keras_tuner.HyperParameters, trials: Sequence[Trial]) -> dict[str, Told]:
    """Return the trials as the oracle has them; one without a score counts as the worst there is."""
    order = ranked(trials)
    worst = trials[order[-1]].skill if order else None
    told = {}
    for at, trial in enumerate(trials):
        skill = worst if trial.skill is None else trial.skill
        if skill is not None:
            hyperparameters = within.copy()
            hyperparameters.values = dict(trial.values)
            told[str(at)] = Told(hyperparameters, str(at), status="COMPLETED")
            told[str(at)].score = max(skill, _LEAST_SKILL)
    return told


def _plain(values: dict[str, Value | np.generic]) -> dict[str, Value]:
    return {
        name: value.item() if isinstance(value, np.generic) else value
        for name, value in values.items()
    }
