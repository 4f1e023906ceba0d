"""The trainer's metrics and readiness."""

import time
from collections.abc import Callable
from math import nan
from typing import Final, Literal

from shared.adapters.prometheus import Telemetry
from shared.core.evaluation.skill_score import Skill

Outcome = Literal["promoted", "published", "not_enough_candles", "unavailable"]
# A training asks again and again whether to stop; between two questions it may compute for minutes.
LONGEST_STEP_S: Final = 1_800.0
LONGEST_WAIT_S: Final = 300.0  # between two questions while no training runs
OUTCOMES: Final[tuple[Outcome, ...]] = (
    "promoted",
    "published",
    "not_enough_candles",
    "unavailable",
)


class SkillGauges:
    """A skill with its 95 % interval; NaN where there is none."""

    def __init__(self, telemetry: Telemetry, name: str, text: str) -> None:
        """Register the three gauges."""
        self._value = telemetry.gauge(f"{name}_ratio", f"{text}.")
        self._lower = telemetry.gauge(f"{name}_lower_ratio", f"{text}: 95 % lower bound.")
        self._upper = telemetry.gauge(f"{name}_upper_ratio", f"{text}: 95 % upper bound.")
        self.show(None)

    def show(self, skill: Skill | None) -> None:
        """Show a skill."""
        self._value.set(nan if skill is None else skill.value)
        self._lower.set(nan if skill is None else skill.low)
        self._upper.set(nan if skill is None else skill.high)


class TrainerMetrics:
    """Metrics of one trainer, and the reason while it is not ready."""

    def __init__(self, telemetry: Telemetry, wall_clock: Callable[[], float] = time.time) -> None:
        """Register every metric.

        Args:
            telemetry: serves them.
            wall_clock: seconds since 1970.
        """
        self._telemetry, self._wall_clock, gauge = telemetry, wall_clock, telemetry.gauge
        telemetry.longest_turn_s = LONGEST_WAIT_S
        self._began_s = 0.0
        self._is_training = gauge("is_training", "1 while a training runs.")
        self._epoch = gauge("epoch", "The epoch that runs, counted from 1; 0: none.")
        self._trainings = telemetry.counter(
            "trainings_total", "Trainings that have ended, by outcome.", "outcome"
        )
        for outcome in OUTCOMES:
            self._trainings.labels(outcome)
        self._last_time = gauge(
            "last_training_timestamp_seconds", "When a model was last published."
        )
        self._last_s = gauge("last_training_duration_seconds", "How long that training took.")
        self._next_time = gauge(
            "next_training_timestamp_seconds", "When the next training is due; drift may be first."
        )
        self._candles = gauge("training_candles", "Candles read for the newest training.")
        self._symbols = gauge("training_symbols", "Symbols that the newest training was fitted on.")
        self._model = telemetry.labelled_gauge(
            "model_info", "1 for the version that was published last.", "version"
        )
        self._over_zero = SkillGauges(
            telemetry, "skill_over_zero", "Its skill against zero change on held-out candles"
        )
        self._over_champion = SkillGauges(
            telemetry, "skill_over_champion", "Its skill against the champion of that time"
        )
        self._recent = SkillGauges(
            telemetry, "recent_skill", "The champion's skill over the newest DRIFT_CANDLES candles"
        )

    def report_waiting(self, reason: str) -> None:
        """Report which server is waited for."""
        self._telemetry.not_ready = reason

    def report_ready(self) -> None:
        """Report that the servers answer."""
        self._telemetry.not_ready = None

    def begin_training(self) -> None:
        """Report that a training begins."""
        self._began_s = self._wall_clock()
        self._is_training.set(1)
        self._telemetry.longest_turn_s = LONGEST_STEP_S

    def report_data(self, candles: int, symbols: int) -> None:
        """Report what the training has read."""
        self._candles.set(candles)
        self._symbols.set(symbols)

    def report_epoch(self, epoch: int) -> None:
        """Report the epoch that begins, counted from 1."""
        self._epoch.set(epoch)

    def report_release(
        self, version: str, over_zero: Skill | None, over_champion: Skill | None, *, promoted: bool
    ) -> None:
        """Report the version that a training has published.

        Args:
            version: the version.
            over_zero: its skill against zero change on the held-out candles.
            over_champion: its skill against the champion; None if there was none to compare.
            promoted: whether it is the champion now.
        """
        now_s = self._wall_clock()
        self._last_time.set(now_s)
        self._last_s.set(now_s - self._began_s)
        self._model.show({version: 1})
        self._over_zero.show(over_zero)
        self._over_champion.show(over_champion)
        self.end_training("promoted" if promoted else "published")

    def end_training(self, outcome: Outcome) -> None:
        """Report that a training has ended."""
        self._telemetry.longest_turn_s = LONGEST_WAIT_S
        self._is_training.set(0)
        self._epoch.set(0)
        self._trainings.labels(outcome).inc()

    def report_last(self, time_s: float) -> None:
        """Report when the newest model was published, before this process began.

        Args:
            time_s: seconds since 1970.
        """
        self._last_time.set(time_s)

    def report_next(self, seconds: float) -> None:
        """Report in how many seconds the next training is due."""
        self._next_time.set(self._wall_clock() + seconds)

    def report_recent(self, skill: Skill | None) -> None:
        """Report the champion's recent skill; None if there are too few candles."""
        self._recent.show(skill)
