"""Reads the candles of a training from the archive."""

import logging
import threading
from collections.abc import Mapping

from services.trainer.data.market import add_market
from services.trainer.data.preparation import NotEnoughCandles
from services.trainer.settings import TrainerSettings
from services.trainer.stopping import stoppable
from shared.core.arrays import Float64s
from shared.core.features.registry import feature_set
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
        self._archive = Archive(settings.kafka_bootstrap_servers, settings.topics)
        self._baskets = BasketStore(settings.kafka_bootstrap_servers, settings.topics)

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
        symbols = () if self._with_market else s.wanted_symbols  # the market is all symbols
        with track_count("reading the archive", None) as progress:
            archived = self._archive.read(
                span, symbols, s.max_candles, stoppable(self._stop, progress)
            )
        if archived.refused:
            log.warning(
                "%d records of the archive cannot be read: see `ulstm dead-letters list`",
                archived.refused,
            )
        if not self._with_market or not archived.sequences:
            return archived.sequences
        return add_market(s, archived.sequences, self._baskets.newest())
