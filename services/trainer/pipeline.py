"""Training, in order: read the archive, fit, score, release."""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path

from rich.console import Console

from services.trainer.data.preparation import (
    NotEnoughCandles,
    PreparedData,
    build_card,
    fit_options,
    prepare,
)
from services.trainer.evaluate import HeldOutEvaluation
from services.trainer.fitting.checkpoints import TrainingCheckpoints
from services.trainer.fitting.fit import fit
from services.trainer.fitting.result import FitResult
from services.trainer.fitting.training_loop import FitCallbacks
from services.trainer.fitting.validation_scorer import build_epoch_scorer
from services.trainer.promotion_policy import decide_promotion
from services.trainer.settings import TrainerSettings
from shared.adapters.bundle_codec import encode_bundle, version_of
from shared.adapters.kafka.admin import ensure_topics
from shared.adapters.retry import StopRequested, retry_until_available
from shared.core.arrays import Float64s
from shared.core.errors import BadInput
from shared.core.evaluation.comparison import CHALLENGER, CHAMPION, Comparison
from shared.core.evaluation.report import ModelReport, overlap_notes
from shared.core.model.card import Bundle
from shared.core.model.numeric_profile import self_test
from shared.core.online.context import FoldContext
from shared.core.topics import interval_ms
from shared.log.archive import Archive, TimeSpan
from shared.log.model_registry import ModelRegistry
from shared.reporting.html_report import render_report
from shared.reporting.progress import comparison_table, track_count

log = logging.getLogger("ulstm")


class Trainer:
    """One deployment's trainer."""

    def __init__(self, settings: TrainerSettings, stop: threading.Event) -> None:
        """Take the settings; `stop` ends a training early, without a release."""
        self._settings, self._stop = settings, stop
        self._where = settings.kafka_bootstrap_servers
        self._archive = Archive(self._where, settings.topics)
        self._registry = ModelRegistry(self._where, settings.topics)
        self._step_ms = interval_ms(settings.interval)
        self._kept = (
            TrainingCheckpoints(Path(settings.checkpoints), settings.checkpoint_key)
            if settings.checkpoints
            else None
        )

    def prepare(self) -> None:
        """Create the topics that are missing, and the folder of checkpoints.

        Raises:
            Unavailable: Kafka does not answer.
            Incompatible: a topic has other settings.
            BadSetting: the folder cannot be written.
        """
        if self._kept is not None:
            self._kept.prepare(time.time())
        ensure_topics(self._where, self._settings.topics)

    def train(self) -> Bundle:
        """Make a model version, publish it, and promote it if the policy says so; return it.

        Raises:
            NotEnough: the archive has too few candles.
            StopRequested: nothing was released.
            Unavailable: Kafka does not answer.
            Incompatible: this machine's kernel does not compute the golden bits.
        """
        context = FoldContext(self._settings.interval, self._step_ms, self_test())
        prepared = self._prepared()
        fitted = self._fit(prepared, context)
        self._check_stop()
        champion = self._champion()
        challenger = Bundle(
            "challenger", build_card(self._settings, prepared, fitted, champion), fitted.weights, ""
        )
        evaluation = HeldOutEvaluation(
            prepared.sequences,
            prepared.split.validation_until_ms,
            self._settings.scored_candles,
            self._settings.scored_symbols,
            context,
            self._stoppable,
        )
        comparison = evaluation.compare(challenger, champion)
        before = None
        if champion is not None and self._settings.report:
            before = evaluation.score_before(champion, comparison.symbols)
        return self._release(challenger, champion, comparison, before, fitted)

    def span(self) -> TimeSpan:
        """Return the open times that the settings ask for and the archive has.

        Raises:
            NotEnough: the archive is empty.
            Unavailable: Kafka does not answer.
        """
        s = self._settings
        newest = self._archive.newest_ms()
        if newest is None:
            message = f"topic {s.topics.klines} has no candles yet"
            raise NotEnoughCandles(message)
        through = min(newest, s.span.through_ms)
        return TimeSpan(max(s.span.from_ms, through - (s.max_candles - 1) * self._step_ms), through)

    def read(self, span: TimeSpan) -> Mapping[str, Float64s]:
        """Return the candles (n, columns) of the wanted symbols.

        Raises:
            StopRequested: nothing was released.
            Unavailable: Kafka does not answer.
        """
        s = self._settings
        with track_count("reading the archive", None) as progress:
            archived = self._archive.read(
                span, s.wanted_symbols, s.max_candles, self._stoppable(progress)
            )
        if archived.refused:
            log.warning(
                "%d records of the archive are refused, see `ulstm dead-letters`", archived.refused
            )
        return archived.sequences

    def _prepared(self) -> PreparedData:
        """Return what an interrupted training has begun with, else the newest candles."""
        most_age_s = (self._settings.train_every_hours or 24) * 3600
        begun = None if self._kept is None else self._kept.load_span(time.time(), most_age_s)
        if begun is not None:
            try:
                return prepare(self._settings, self.read(begun))
            except NotEnoughCandles as error:
                log.warning(
                    "what an interrupted training was reading is not there any more (%s)", error
                )
        span = self.span()
        prepared = prepare(self._settings, self.read(span))
        if self._kept is not None:
            self._kept.save_span(span, time.time())
        return prepared

    def _fit(self, prepared: PreparedData, context: FoldContext) -> FitResult:
        s = self._settings
        kept = (
            None
            if self._kept is None
            else self._kept.for_candles(context.numeric_profile, prepared.sequences)
        )
        callbacks = FitCallbacks(
            build_epoch_scorer(s, prepared, context, self._stoppable(lambda _: None)), kept
        )
        return fit(
            s.architecture, prepared.dataset, fit_options(s), self._stop, callbacks=callbacks
        )

    def _release(
        self,
        challenger: Bundle,
        champion: Bundle | None,
        comparison: Comparison,
        before: Comparison | None,
        fitted: FitResult,
    ) -> Bundle:
        Console(width=110).print(comparison_table(comparison))
        verdict = decide_promotion(
            self._settings.promote,
            comparison.skill(CHALLENGER),
            comparison.skill(CHALLENGER, CHAMPION) if CHAMPION in comparison.names else None,
            has_champion=champion is not None,
        )
        card = replace(
            challenger.card,
            scores={"forecasts": comparison.to_fields(), "decision": asdict(verdict)},
        )
        encoded = encode_bundle(card, challenger.weights)
        version = version_of(card, encoded)
        # Hours of work: if Kafka is away just now, they wait for it.
        retry_until_available(
            self._stop,
            lambda: self._registry.release(
                encoded, version, card.trained_through_ms, promote=verdict.promote
            ),
        )
        if self._kept is not None:
            self._kept.delete()
        done = "published and promoted" if verdict.promote else "published, not promoted"
        if self._settings.report:
            report = ModelReport(
                f"Model version {version}",
                comparison,
                f"It was {done}: {verdict.reason}.",
                fitted.training_losses,
                fitted.validation_losses,
                fitted.skills,
                before=before,
                notes=overlap_notes(
                    f"The {CHAMPION}", champion.card.trained_through_ms, comparison, before
                )
                if champion
                else (),
            )
            Path(self._settings.report).write_text(render_report(report), encoding="utf-8")
        log.info("model version %s %s: %s", version, done, verdict.reason)
        return self._registry.bundles.load(version)

    def _champion(self) -> Bundle | None:
        placed = self._registry.promotions.current()
        if placed is None:
            return None
        try:
            return self._registry.bundles.load(placed.promotion.model_version)
        except BadInput as error:
            log.warning("the champion cannot be compared: %s", error)
            return None

    def _stoppable(self, progress: Callable[[int], None]) -> Callable[[int], None]:
        def advance(count: int) -> None:
            self._check_stop()
            progress(count)

        return advance

    def _check_stop(self) -> None:
        if self._stop.is_set():
            goes_on = (
                "; started again, it goes on after its last whole epoch"
                if self._kept is not None
                else ""
            )
            raise StopRequested(f"a stop was requested; nothing was released{goes_on}")
