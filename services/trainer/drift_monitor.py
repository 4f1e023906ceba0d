"""Watching the predictions of the version in use, for its drift."""

import logging
from contextlib import suppress

from services.trainer.settings import TrainerSettings
from shared.adapters.kafka.reader import Reader
from shared.adapters.schemas.predictions import decode_prediction
from shared.core.errors import BadInput, Unavailable, Unknown
from shared.core.evaluation.drift import RecentErrors, held_out_skill
from shared.core.topics import interval_ms
from shared.log.archive import Archive
from shared.log.model_registry import ModelRegistry

log = logging.getLogger("ulstm")


class DriftMonitor:
    """Reads the predictions topic on from look to look; the first look goes DRIFT_CANDLES candles back."""

    def __init__(self, settings: TrainerSettings) -> None:
        """Take the settings; connects at the first look."""
        self._where, self._topics = settings.kafka_bootstrap_servers, settings.topics
        self._registry = ModelRegistry(self._where, self._topics)
        self._archive = Archive(self._where, self._topics)
        self._moments, self._step_ms = settings.drift_candles, interval_ms(settings.interval)
        self._next: dict[int, int] = {}  # offsets, by symbol group
        self._recent = RecentErrors("", self._moments)

    def check(self) -> str | None:
        """Return why the version in use should be followed by another; None: nothing says so, or Kafka is away."""
        try:
            has_more = self._read_on()
        except Unavailable as error:
            log.warning("%s; looking for drift again", error)
            return None
        return self._recent.drift() if has_more else None

    def _read_on(self) -> bool:
        with Reader(self._where, self._topics.predictions) as reader:
            ends = {group: reader.ends(group)[1] for group in range(reader.partitions())}
            grown = {group: end for group, end in ends.items() if end > self._next.get(group, 0)}
            if grown:
                # After the ends: whatever is read is of this version or of one before.
                self._follow_the_version_in_use()
            for group, end in grown.items():
                self._read(reader, group, end)
        return bool(grown)

    def _read(self, reader: Reader, group: int, end: int) -> None:
        if group not in self._next:
            since_ms = (self._archive.newest_ms() or 0) - (self._moments + 2) * self._step_ms
            self._next[group] = reader.offset_at(group, since_ms)
        for block in reader.read(group, self._next[group], end):
            for record in block:
                self._take(record.value)
            self._next[group] = block[-1].offset + 1
        self._next[group] = end

    def _take(self, value: bytes | None) -> None:
        try:
            self._recent.add(decode_prediction(value))
        except BadInput as error:
            log.warning("a prediction is not read for drift: %s", error)

    def _follow_the_version_in_use(self) -> None:
        placed = self._registry.promotions.current()
        if placed is None or placed.promotion.model_version == self._recent.version:
            return
        version, promised = placed.promotion.model_version, None
        with suppress(BadInput, Unknown):  # it can fall below zero all the same
            promised = held_out_skill(self._registry.bundles.load(version).card)
        self._recent = RecentErrors(version, self._moments, promised)
