"""The candles that a training reads, within what the settings ask for."""

import logging
import threading
from collections.abc import Mapping

from services.trainer.data.preparation import NotEnoughCandles
from services.trainer.settings import TrainerSettings
from services.trainer.stopping import stoppable
from shared.core.arrays import Float64s
from shared.core.topics import interval_ms
from shared.log.archive import Archive, TimeSpan
from shared.reporting.progress import track_count

log = logging.getLogger(__name__)


class ArchiveSource:
    """Reads the archived topic for a training or a search."""

    def __init__(self, settings: TrainerSettings, stop: threading.Event) -> None:
        """Take the settings; `stop` ends a read."""
        self._settings, self._stop = settings, stop
        self._archive = Archive(settings.kafka_bootstrap_servers, settings.topics)

    def available_span(self) -> TimeSpan:
        """Return the open times that the settings ask for and the archive has.

        Raises:
            NotEnoughCandles: the archive is empty.
            Unavailable: Kafka does not answer.
        """
        s = self._settings
        newest_ms = self._archive.newest_ms()
        if newest_ms is None:
            raise NotEnoughCandles(f"topic {s.topics.klines} has no candles yet")
        through_ms = min(newest_ms, s.span.through_ms)
        oldest_ms = through_ms - (s.max_candles - 1) * interval_ms(s.interval)
        return TimeSpan(max(s.span.from_ms, oldest_ms), through_ms)

    def read(self, span: TimeSpan) -> Mapping[str, Float64s]:
        """Return the candles (n, columns) of the wanted symbols, by symbol.

        Raises:
            StopRequested: a stop was requested.
            Unavailable: Kafka does not answer.
        """
        s = self._settings
        with track_count("reading the archive", None) as progress:
            archived = self._archive.read(
                span, s.wanted_symbols, s.max_candles, stoppable(self._stop, progress)
            )
        if archived.refused:
            log.warning(
                "%d records of the archive cannot be read: see `ulstm dead-letters list`",
                archived.refused,
            )
        return archived.sequences
