"""When the board's changes are handed out, and their encoding."""

import time
from collections.abc import Callable
from typing import Final

from services.dashboard.live.board import LiveBoard
from services.dashboard.live.changed_symbols import HOLD_MS
from services.dashboard.live.live_metrics import LiveMetrics
from services.dashboard.live.summary import (
    Reading,
    describe_state,
    log_facts,
    measure,
    summarise,
)
from services.dashboard.live.topic_feed import TopicFeed
from services.dashboard.live.updates import BoardUpdate
from services.dashboard.metrics import DashboardMetrics
from services.dashboard.ports import FeedState, Json
from shared.adapters.schemas.wire import dump_plain

GAP_MS: Final = 250.0  # between two updates, at least
HEARTBEAT_MS: Final = 4_000.0  # with HOLD_MS at most; the page promises one every 5 s
STANDINGS_MS: Final = 1_000.0


class UpdatePublisher:
    """Encodes changes of the board, at most four times a second, and at least every few seconds.

    The symbols that close at the same moment are handed out together: drawing them in parts costs
    every browser more than a short wait does.
    """

    def __init__(
        self, metrics: DashboardMetrics, on_update: Callable[[BoardUpdate], object]
    ) -> None:
        """Take what hands the updates to the browsers; it is called on the reading thread."""
        self._metrics, self._on_update = metrics, on_update
        self._figures = LiveMetrics(metrics)
        self._cluster: Json = {}
        self._published_ms = self._standings_ms = 0.0
        self._awaiting_since_ms: float | None = None  # candles whose predictions are to come
        self._feed: TopicFeed | None = None
        self._state: FeedState | None = None
        self._champion: object = None  # of the last update

    def take_cluster(self, summary: Json) -> None:
        """Take over the cluster's part of the summary; called on another thread."""
        self._cluster = summary

    def publish_if_due(self, feed: TopicFeed, reading: Reading, now_ms: float) -> None:
        """Hand out an update if something has changed and the last one was long enough ago."""
        if now_ms - self._published_ms < GAP_MS:
            return
        if now_ms - self._standings_ms >= STANDINGS_MS:
            self._standings_ms = now_ms
            feed.board.update_standings(now_ms)
        is_overdue = now_ms - self._published_ms >= HEARTBEAT_MS
        state = describe_state(feed.board, reading, now_ms)[0]
        is_other = (feed, state) != (self._feed, self._state)
        is_wanted = is_overdue or feed.board.changes.are_due(now_ms)
        if is_other or (is_wanted and not self._is_amid_close(feed.board, now_ms)):
            self._publish(feed, reading, now_ms)
            self._feed, self._state, self._published_ms = feed, state, now_ms
            self._awaiting_since_ms = None

    def _is_amid_close(self, board: LiveBoard, now_ms: float) -> bool:
        """Say whether predictions of candles that have come are to follow soon.

        Candles may trickle in for longer than each of them is waited for: there is a limit.
        """
        if not board.changes.await_predictions(now_ms):
            self._awaiting_since_ms = None
            return False
        if self._awaiting_since_ms is None:
            self._awaiting_since_ms = now_ms
        return now_ms - self._awaiting_since_ms < HOLD_MS

    def _publish(self, feed: TopicFeed, reading: Reading, now_ms: float) -> None:
        began_s, board = time.perf_counter(), feed.board
        board.update_standings(now_ms)
        changed = sorted(board.changes.take(now_ms))
        rows = {symbol: dump_plain(row) for symbol, row in board.rows(changed).items()}
        figures = measure(board, reading, now_ms)
        summary = summarise(board, reading, figures, self._cluster, now_ms)
        update = BoardUpdate(
            rows,
            dump_plain(summary),
            log_facts(board),
            feed.take_watched_records(),
            has_new_champion=board.champion != self._champion,
            is_new_board=feed is not self._feed,
        )
        self._champion = board.champion
        self._metrics.update_s.observe(time.perf_counter() - began_s)
        self._figures.show(feed, reading, figures, now_ms)
        self._on_update(update)
