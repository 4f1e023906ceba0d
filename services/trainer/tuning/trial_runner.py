"""Runs a trial: trains its settings, and scores them on the validation span."""

from collections.abc import Callable, Mapping
from time import monotonic
from typing import Final, TypeAlias

from services.trainer.card import build_challenger
from services.trainer.data.dataset import DatasetOptions, feature_function
from services.trainer.data.preparation import NotEnoughCandles, PreparedData, fit_options, prepare
from services.trainer.fitting.fit import fit
from services.trainer.fitting.validation_scorer import (
    ValidationScorer,
    are_usable,
    build_validation_scorer,
)
from services.trainer.settings import TrainerSettings
from services.trainer.stopping import Deadline, check_stop, stoppable
from services.trainer.tuning.proposals import WINDOW_LENGTHS
from services.trainer.tuning.study_record import (
    TrialResult,
    Values,
    estimate_cost,
    to_environment,
    with_environment,
)
from shared.adapters.retry import StopRequested
from shared.core.arrays import Float64s
from shared.core.features.base import FoldedFeatures
from shared.core.online.context import FoldContext
from shared.core.topics import interval_ms
from shared.reporting.progress import track_count

# A trial that is expected to take so many times its limit is not begun.
_NO_FORECASTS: Final = "its weights predict nothing"
_MAX_OVERRUN: Final = 3.0

Sequences: TypeAlias = Mapping[str, Float64s]
"""Candles (n, columns) by symbol."""


class TrialRunner:
    """Trains and scores trials over the same candles."""

    def __init__(
        self,
        settings: TrainerSettings,
        sequences: Sequences,
        deadline: Deadline,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """Take the settings that all trials share, and the candles.

        Raises:
            NotEnoughCandles: there are too few candles to train on, or to score.
            Incompatible: this machine's kernel does not compute the golden bits.
            StopRequested: the deadline has passed.
        """
        self._settings, self._sequences, self._clock = settings, sequences, clock
        self._step_ms = interval_ms(settings.interval)
        self._compute_features = feature_function(self._step_ms)
        self._features: dict[tuple[str, str], FoldedFeatures] = {}
        self._scorer = self._build_scorer(deadline)

    def run_within(
        self, limit_s: float, values: Values, first: TrialResult | None, deadline: Deadline
    ) -> TrialResult:
        """Run a trial; it has no score if it takes longer than a limit, or is expected to.

        Args:
            limit_s: of a trial.
            values: to try.
            first: the search's first trial, whose time measures the machine's speed; None runs it,
                without a limit.
            deadline: of the search.

        Raises:
            StopRequested: the deadline has passed.
        """
        if first is None:
            return self.run(values, deadline)
        expected_s = first.seconds * self._cost(values) / self._cost(first.values)
        if expected_s > _MAX_OVERRUN * limit_s:
            return TrialResult(values, note=f"would take about {expected_s:.0f} s")
        try:
            return self.run(values, Deadline(deadline, self._clock() + limit_s, self._clock))
        except StopRequested:
            check_stop(deadline)  # the whole search is over, not only this trial
            return TrialResult(values, note=f"longer than {limit_s:.0f} s")

    def run(self, values: Values, deadline: Deadline) -> TrialResult:
        """Return the trial's result, without its time.

        Raises:
            StopRequested: the deadline has passed.
        """
        settings = with_environment(self._settings, to_environment(values))
        prepared = self._prepare(settings, deadline)
        fitted = fit(settings.architecture, prepared.dataset, fit_options(settings), deadline)
        check_stop(deadline)
        if not are_usable(fitted.weights):
            return TrialResult(values, note=_NO_FORECASTS)
        challenger = build_challenger(settings, prepared, fitted, None)
        with track_count("scoring", self._scorer.events) as progress:
            skill = self._scorer.skill(challenger, stoppable(deadline, progress))
        if skill is None:
            return TrialResult(values, note=_NO_FORECASTS)
        return TrialResult(values, skill.value, skill.low, skill.high)

    def _cost(self, values: Values) -> int:
        return estimate_cost(with_environment(self._settings, to_environment(values)))

    def _prepare(self, settings: TrainerSettings, deadline: Deadline) -> PreparedData:
        def compute_once(
            options: DatasetOptions, symbol: str, sequence: Float64s
        ) -> FoldedFeatures:
            check_stop(deadline)
            key = (options.feature_set, symbol)
            if key not in self._features:
                self._features[key] = self._compute_features(options, symbol, sequence)
            return self._features[key]

        return prepare(settings, self._sequences, compute_once)

    def _build_scorer(self, deadline: Deadline) -> ValidationScorer:
        """Build the scorer of all trials: the longest window decides which candles it scores."""
        longest = with_environment(self._settings, {"WINDOW_LENGTH": str(max(WINDOW_LENGTHS))})
        context = FoldContext.of_this_machine(longest.interval)
        prepared = self._prepare(longest, deadline)
        scorer = build_validation_scorer(longest, prepared, context)
        if not scorer.events:
            raise NotEnoughCandles(
                f"no symbol has the {longest.window_length} candles before the validation span"
                " that are needed"
            )
        return scorer
