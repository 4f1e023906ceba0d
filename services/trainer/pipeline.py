"""A training in order: read the archive, fit, evaluate, release."""

import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.table import Table

from services.trainer.card import build_challenger, fit_span_intervals
from services.trainer.card_scores import card_scores
from services.trainer.data.archive_source import ArchiveSource
from services.trainer.data.preparation import (
    NotEnoughCandles,
    PreparedData,
    fit_options,
    prepare,
)
from services.trainer.evaluate import Evaluation, HeldOutEvaluation, write_report
from services.trainer.fitting.checkpoints import TrainingCheckpoints
from services.trainer.fitting.fit import fit
from services.trainer.fitting.options import FitResult
from services.trainer.fitting.training_loop import FitCallbacks
from services.trainer.fitting.validation_scorer import build_epoch_scorer
from services.trainer.metrics import TrainerMetrics
from services.trainer.promotion_policy import PromotionDecision, decide_promotion
from services.trainer.settings import TrainerSettings
from services.trainer.starts import build_starts
from services.trainer.stopping import check_stop, stoppable
from shared.adapters.bundle_codec import decode_bundle, encode_bundle, version_of
from shared.adapters.kafka.admin import ensure_topics
from shared.adapters.prometheus import Telemetry
from shared.adapters.retry import retry_until_available
from shared.core.arrays import Float64s
from shared.core.errors import BadInput, Unknown
from shared.core.evaluation.comparison import CHALLENGER
from shared.core.model.card import Bundle
from shared.core.online.context import FoldContext
from shared.log.model_registry import ModelRegistry
from shared.reporting.tables import comparison_table, intervals_table, net_returns_table

log = logging.getLogger(__name__)


class Trainer:
    """One deployment's trainer."""

    def __init__(
        self,
        settings: TrainerSettings,
        stop: threading.Event,
        metrics: TrainerMetrics | None = None,
    ) -> None:
        """Take the settings; `stop` ends a training early, without a release."""
        self._settings, self._stop = settings, stop
        self._metrics = metrics or TrainerMetrics(Telemetry("trainer"))  # which nobody reads
        self._source = ArchiveSource(settings, stop)
        self._registry = ModelRegistry(settings.kafka, settings.topics)
        self._checkpoints = (
            TrainingCheckpoints(Path(settings.checkpoints), settings.checkpoint_key)
            if settings.checkpoints
            else None
        )

    def prepare(self) -> None:
        """Create the topics that are missing, and the folder for checkpoints.

        Raises:
            Unavailable: Kafka does not answer.
            Incompatible: a topic has other settings.
            BadSetting: the folder cannot be written.
        """
        if self._checkpoints is not None:
            self._checkpoints.prepare(time.time())
        ensure_topics(self._settings.kafka, self._settings.topics)

    def train(self) -> Bundle:
        """Train a model version, publish it, and promote it if the policy says so; return it.

        Raises:
            NotEnoughCandles: the archive has too few candles.
            StopRequested: nothing was released.
            Unavailable: Kafka does not answer.
            Incompatible: this machine's kernel does not compute the golden bits.
        """
        s = self._settings
        context = FoldContext.of_this_machine(s.interval)
        self._metrics.begin_training()
        # 1. Read the candles and split them by time.
        prepared = self._prepare_data()
        candles = sum(len(sequence) for sequence in prepared.sequences.values())
        self._metrics.report_data(candles, len(prepared.symbols))
        # 2. Fit on the training span; the validation span chooses the epoch.
        fitted = self._fit(prepared, context)
        champion = self._load_champion()
        intervals = fit_span_intervals(prepared, context)
        challenger = build_challenger(s, prepared, fitted, champion, intervals)
        # The fit's windows are most of a training's memory, and nothing below needs them.
        sequences, split = prepared.sequences, prepared.split
        del prepared
        # 3. Compare with the champion on the held-out span, which nothing has seen so far.
        held_out = self._hold_out(sequences, split.validation_until_ms, context)
        evaluation = self._evaluate(held_out, challenger, champion)
        decision = _decide(s, evaluation)
        # 4. Fold the archive to its end: where each symbol starts at the promotion.
        starts = build_starts(
            evaluation.challenger,
            evaluation.champion,
            sequences,
            s.start_candles,
            context,
            lambda: check_stop(self._stop, " before the release"),
        )
        # 5. Publish the bundle with its promotions: from here on the predictors have it.
        bundle = self._release(evaluation, decision, starts)
        # 6. The checkpoint is of no more use; the report names the version.
        if self._checkpoints is not None:
            self._checkpoints.delete()
        if s.report:
            write_report(Path(s.report), bundle.version, evaluation, decision, fitted)
        self._metrics.report_release(
            bundle.version,
            evaluation.over_zero,
            evaluation.over_champion,
            promoted=decision.promote,
        )
        log.info("model version %s %s: %s", bundle.version, decision.outcome, decision.reason)
        return bundle

    def _prepare_data(self) -> PreparedData:
        """Read the span of an interrupted training, else the newest candles."""
        interrupted = self._prepare_interrupted()
        if interrupted is not None:
            return interrupted
        span = self._source.available_span()
        prepared = prepare(self._settings, self._source.read(span))
        if self._checkpoints is not None:
            self._checkpoints.save_span(span, time.time())
        return prepared

    def _prepare_interrupted(self) -> PreparedData | None:
        if self._checkpoints is None:
            return None
        max_age_s = (self._settings.train_every_hours or 24) * 3600
        span = self._checkpoints.load_span(time.time(), max_age_s)
        if span is None:
            return None
        try:
            return prepare(self._settings, self._source.read(span))
        except NotEnoughCandles as error:
            log.warning("the candles of an interrupted training are gone: %s", error)
            return None

    def _fit(self, prepared: PreparedData, context: FoldContext) -> FitResult:
        """Fit until the last epoch.

        Raises:
            StopRequested: a stop was requested.
        """
        s, checkpoints = self._settings, self._checkpoints
        score_epoch = build_epoch_scorer(
            s, prepared, context, stoppable(self._stop, lambda _: None)
        )
        store = (
            None
            if checkpoints is None
            else checkpoints.for_candles(context.numeric_profile, prepared.sequences)
        )
        callbacks, options = (
            FitCallbacks(score_epoch, store, self._metrics.report_epoch),
            fit_options(s),
        )
        fitted = fit(s.architecture, prepared.dataset, options, self._stop, callbacks=callbacks)
        resumable = "; it resumes after its last complete epoch" if checkpoints else ""
        check_stop(self._stop, f" before the release{resumable}")
        return fitted

    def _hold_out(
        self, sequences: Mapping[str, Float64s], from_ms: int, context: FoldContext
    ) -> HeldOutEvaluation:
        return HeldOutEvaluation(
            sequences,
            from_ms,
            self._settings.scored_candles,
            self._settings.scored_symbols,
            context,
            lambda progress: stoppable(self._stop, progress),
        )

    def _evaluate(
        self, held_out: HeldOutEvaluation, challenger: Bundle, champion: Bundle | None
    ) -> Evaluation:
        scores = held_out.compare(challenger, champion)
        comparison = scores.comparison
        self._show(comparison_table(comparison))
        self._show(net_returns_table(scores.net_returns.get(CHALLENGER, ())))
        before = None
        if champion is not None and self._settings.report:
            before = held_out.score_before(champion, comparison.symbols).comparison
        if scores.intervals is not None:
            self._show(intervals_table(scores.intervals))
        return Evaluation(
            challenger, champion, comparison, before, scores.net_returns, scores.intervals
        )

    def _show(self, table: Table) -> None:
        """Print a table for people; where logs are read by programs, the card has it all."""
        if self._settings.log_format == "console":
            Console(width=110).print(table)

    def _load_champion(self) -> Bundle | None:
        current = self._registry.promotions.current()
        if current is None:
            return None
        try:
            return self._registry.bundles.load(current.promotion.model_version)
        except (BadInput, Unknown) as error:
            log.warning("the champion cannot be compared: %s", error)
            return None

    def _release(
        self, evaluation: Evaluation, decision: PromotionDecision, starts: Mapping[str, bytes]
    ) -> Bundle:
        scores = card_scores(evaluation, decision)
        card = replace(evaluation.challenger.card, scores=scores)
        challenger = evaluation.challenger
        encoded = encode_bundle(card, challenger.weights, challenger.head, starts)
        version = version_of(card, encoded)
        # The fit took hours: if Kafka is away just now, its result waits for it.
        retry_until_available(
            self._stop,
            lambda: self._registry.release(
                encoded, version, card.trained_through_ms, promote=decision.promote
            ),
        )
        return decode_bundle(version, encoded)


def _decide(settings: TrainerSettings, evaluation: Evaluation) -> PromotionDecision:
    return decide_promotion(
        settings.promote,
        evaluation.over_zero,
        evaluation.over_champion,
        has_champion=evaluation.champion is not None,
    )
