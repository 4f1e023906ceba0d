"""Reads the candles of a training from the archive."""

import logging
import threading
from collections.abc import Collection, Mapping

from services.trainer.data.market import add_market, make_training_baskets
from services.trainer.data.memory import candles_in_memory, with_one_span
from services.trainer.data.preparation import NotEnoughCandles
from services.trainer.settings import TrainerSettings
from services.trainer.stopping import stoppable
from shared.core.arrays import Float64s
from shared.core.features.registry import feature_set
from shared.core.market import BasketDefinition
from shared.core.topics import interval_ms
from shared.log.archive import Archive, TimeSpan
from shared.log.basket_store import BasketStore
from shared.reporting.progress import track_count

log = logging.getLogger(__name__)


class ArchiveSource:
    """Reads the archived topic for a training or a search."""

    def __init__(
        self, settings: TrainerSettings, stop: threading.Event, *, with_market: bool | None = None
    ) -> None:
        """Take the settings.

        Args:
            settings: of the training.
            stop: ends a read.
            with_market: fill in the market's moves that the log lacks; None: if the feature set
                needs them.
        """
        self._settings, self._stop = settings, stop
        needs_market = feature_set(settings.feature_set).needs_market
        self._with_market = needs_market if with_market is None else with_market
        self._archive = Archive(settings.kafka, settings.topics)
        self._baskets = BasketStore(settings.kafka, settings.topics)

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
        symbols = () if self._with_market else self._settings.wanted_symbols  # of all symbols
        sequences = self._read(span, symbols)
        if not self._with_market or not sequences:
            return sequences
        return add_market(self._settings, sequences, self._baskets.newest())

    def publish_baskets(self) -> BasketDefinition:
        """Make baskets of the span that a training would be fitted on now; put them in force.

        Raises:
            NotEnoughCandles: there are too few symbols, or too few candles.
            StopRequested: a stop was requested.
            Unavailable: Kafka does not answer.
        """
        sequences = self._read(self.available_span(), ())
        baskets = make_training_baskets(self._settings, sequences)
        if baskets is None:
            raise NotEnoughCandles(
                f"{len(sequences)} symbols have too few candles in common for baskets; import more"
            )
        self._baskets.publish(baskets)
        return baskets

    def _read(self, span: TimeSpan, symbols: Collection[str]) -> Mapping[str, Float64s]:
        """Read the candles of some symbols, or of all if there are none."""
        most, total = self._settings.max_candles, candles_in_memory(self._settings)
        with track_count("reading the archive", None) as progress:
            archived = self._archive.read(
                span, symbols, most, total, stoppable(self._stop, progress)
            )
        if archived.refused:
            log.warning(
                "%d records of the archive cannot be read: see `ulstm dead-letters list`",
                archived.refused,
            )
        sequences = with_one_span(archived.sequences, total, interval_ms(self._settings.interval))
        if sequences is not archived.sequences:
            log.info(
                "memory for %d candles of each of %d symbols: see TRAINING_MEMORY_MB",
                total // len(archived.sequences),
                len(archived.sequences),
            )
        return sequences
