"""Watches the champion's predictions for drift."""

import logging
from collections.abc import Collection
from contextlib import suppress

from services.trainer.settings import TrainerSettings
from shared.adapters.logs import Outage
from shared.adapters.schemas.predictions import decode_prediction
from shared.core.errors import BadInput, Unavailable, Unknown
from shared.core.evaluation.drift import RecentErrors, held_out_skill
from shared.core.evaluation.skill_score import Skill
from shared.core.topics import interval_ms
from shared.log.archive import Archive
from shared.log.model_registry import ModelRegistry
from shared.log.predictions_reader import PredictionsReader

log = logging.getLogger(__name__)


class DriftMonitor:
    """Reads predictions from check to check; the first one goes DRIFT_CANDLES candles back."""

    def __init__(self, settings: TrainerSettings) -> None:
        """Take the settings; connect at the first check."""
        self._kafka, self._topics = settings.kafka, settings.topics
        self._registry = ModelRegistry(self._kafka, self._topics)
        self._archive = Archive(self._kafka, self._topics)
        self._moments, self._step_ms = settings.drift_candles, interval_ms(settings.interval)
        self._outage = Outage(log)
        self._next_offsets: dict[int, int] = {}  # by partition
        self._recent = RecentErrors("", self._moments)

    @property
    def skill(self) -> Skill | None:
        """The champion's skill over the newest candles; None while they are too few."""
        return self._recent.skill()

    def check(self) -> str | None:
        """Return why the champion has drifted; None if it has not, or Kafka does not answer."""
        try:
            has_new = self._read_new()
        except Unavailable as error:
            self._outage.report("%s; the next check for drift tries again", error)
            return None
        self._outage.end("predictions are checked for drift")
        return self._recent.drift() if has_new else None

    def _read_new(self) -> bool:
        with PredictionsReader(self._kafka, self._topics) as reader:
            ends = {p: reader.ends(p)[1] for p in range(reader.partitions())}
            new = {p: end for p, end in ends.items() if end > self._next_offsets.get(p, 0)}
            if new:
                # After the ends: up to there, no prediction is of a champion that follows this one.
                self._follow_champion()
            self._begin(reader, new.keys() - self._next_offsets.keys())
            for partition, end in new.items():
                self._read(reader, partition, end)
        return bool(new)

    def _begin(self, reader: PredictionsReader, partitions: Collection[int]) -> None:
        """Find where the newest predictions of partitions begin."""
        if not partitions:
            return
        since_ms = (self._archive.newest_ms() or 0) - (self._moments + 2) * self._step_ms
        for partition in partitions:
            self._next_offsets[partition] = reader.offset_at(partition, since_ms)

    def _read(self, reader: PredictionsReader, partition: int, end: int) -> None:
        for block in reader.read(partition, self._next_offsets[partition], end):
            for record in block:
                self._add(record.value)
            self._next_offsets[partition] = block[-1].offset + 1
        self._next_offsets[partition] = end

    def _add(self, value: bytes | None) -> None:
        try:
            self._recent.add(decode_prediction(value))
        except BadInput as error:
            log.warning("a prediction is left out of the check for drift: %s", error)

    def _follow_champion(self) -> None:
        """Start with empty errors once another version is promoted."""
        current = self._registry.promotions.current()
        if current is None or current.promotion.model_version == self._recent.version:
            return
        version, promised = current.promotion.model_version, None
        # Without a card there is no promised skill; it can still fall below zero.
        with suppress(BadInput, Unknown):
            promised = held_out_skill(self._registry.bundles.load(version).card)
        self._recent = RecentErrors(version, self._moments, promised)
