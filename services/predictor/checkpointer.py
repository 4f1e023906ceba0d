"""Save partition states to Redis, so that a restart need not replay the log."""

import logging
from collections.abc import Callable, Iterable
from typing import Final

from services.predictor.metrics import PredictorMetrics
from services.predictor.partition_task import PartitionTask
from services.predictor.ports import StateStore
from shared.adapters.logs import Outage
from shared.core.errors import Unavailable
from shared.core.online.context import FoldContext

log = logging.getLogger(__name__)

MAX_LAG_S: Final = 10.0  # without idle time: bounds what a restart must replay
PAUSE_S: Final = 5.0  # after a failure, so that a dead Redis does not slow every batch


class StateCheckpointer:
    """Save the states that changed since they were last saved.

    1. Only states after a committed transaction are saved. Redis may so lag the log but never
       leads it, and losing it loses nothing.
    2. A save happens when there is nothing else to do, and at the latest every `MAX_LAG_S`: the
       predictions of a close never wait for Redis.
    3. Redis gets the changed symbols and the applied offset of the save that they build on.
    4. If that offset is no longer there, Redis was emptied or restored from a backup. The changed
       symbols alone would then pass for the whole partition, so every symbol is stored.
    5. After a failure saving pauses for `PAUSE_S`. Predictions continue from memory, and what was
       not saved stays marked as unsaved.
    """

    def __init__(
        self,
        states: StateStore,
        context: FoldContext,
        metrics: PredictorMetrics,
        clock: Callable[[], float],
    ) -> None:
        """Make the first save due in `MAX_LAG_S`.

        Args:
            states: where states are saved.
            context: names the numeric profile they are saved under.
            metrics: shows whether saving succeeds.
            clock: seconds.
        """
        self._states, self._context, self._metrics = states, context, metrics
        self._clock = clock
        self._outage = Outage(log, clock)
        self._due_s = clock() + MAX_LAG_S
        self._paused_until_s = clock()

    def has_work(self, tasks: Iterable[PartitionTask]) -> bool:
        """Return whether any state waits to be saved and may be."""
        return any(map(self._is_savable, tasks))

    def save_if_due(self, tasks: Iterable[PartitionTask]) -> None:
        """Save if the last save is `MAX_LAG_S` ago."""
        if self._clock() >= self._due_s:
            self.save(tasks)

    def save(self, tasks: Iterable[PartitionTask]) -> None:
        """Save every state that changed; a failure delays the rest."""
        savable, started_s = list(filter(self._is_savable, tasks)), self._clock()
        try:
            for task in savable:
                self._save_task(task)
        except Unavailable as error:
            self._outage.report("%s; predictions continue from memory", error)
            self._paused_until_s = self._clock() + PAUSE_S
            self._metrics.count_save_failure()
        else:
            if savable:
                self._outage.end("states are saved to Redis")
                self._metrics.count_save(self._clock() - started_s)
        self._due_s = self._clock() + MAX_LAG_S

    def _is_savable(self, task: PartitionTask) -> bool:
        if not task.unsaved or self._clock() < self._paused_until_s:
            return False
        # Before a promotion hands the partition to this numeric profile, its state is not one of
        # ours: saved under our profile it would be believed.
        return self._context.predicts(task.state.numeric_profile)

    def _save_task(self, task: PartitionTask) -> None:
        partition, profile, state = task.partition, self._context.numeric_profile, task.state
        if not self._states.save(partition, profile, state, task.unsaved, task.saved_offset):
            log.warning("Redis lost symbol group %d: storing all of it", partition)
            self._states.save(partition, profile, state, state.symbols, None)
        task.mark_saved()
