"""The strip above the table: how the whole deployment stands."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Final, get_args

from services.dashboard.live.board import LiveBoard
from services.dashboard.ports import FeedState, Json, LogFacts, Standing
from shared.core.evaluation.skill_score import Skill, skill_to_fields
from shared.core.online.interval_scores import COVERAGES, IntervalScores

_NAMED_LATE: Final = 20
_HOUR_MS: Final = 3_600_000
_NO_CLUSTER: Final[Json] = {
    "replicas": [],
    "reconnects": None,
    "aborted_transactions": None,
    "problems": 0,
}


@dataclass(frozen=True, slots=True)
class Reading:
    """How the reading of the topics goes."""

    interval: str
    kafka_error: str = ""  # what does not answer, and where; empty: all is well
    loading: str = ""  # how far the recent window is filled; empty: it is
    is_caught_up: bool = False  # the newest records have been read
    missing_topic: str = ""

    @property
    def not_ready(self) -> str | None:
        """Why the newest records are not shown; None: they are, as far as there are any."""
        if self.kafka_error or self.missing_topic or self.is_caught_up:
            return self.kafka_error or None
        return self.loading


def describe_state(board: LiveBoard, reading: Reading, now_ms: float) -> tuple[FeedState, str]:
    """Return the state of the whole, the first that applies, and the reason in words."""
    troubles: dict[FeedState, str] = {
        "kafka_down": reading.kafka_error,
        "empty": reading.missing_topic,
        "loading": reading.loading,
    }
    for state, trouble in troubles.items():
        if trouble:
            return state, trouble
    if board.newest_open_time_ms is None:
        return "empty", "no candle has arrived yet: the producer appends them to the log"
    if is_stale(board, now_ms):
        return "stale", _describe_silence(board, now_ms)
    if all(one.prediction is None for one in board.symbols.values()):
        return "waiting_for_model", _describe_wait(board)
    return "live", ""


def is_stale(board: LiveBoard, now_ms: float) -> bool:
    """Say whether a close is overdue, by the pace that was observed."""
    arrived_ms = board.newest_arrived_ms
    return arrived_ms is None or now_ms - arrived_ms > board.pace.stale_after_ms


@dataclass(frozen=True, slots=True)
class Figures:
    """The whole deployment in figures, which the page and the metrics show."""

    state: FeedState
    reason: str
    standings: Mapping[Standing, int]  # symbols; all five standings
    skill: Skill | None  # recent, of all symbols together, against zero change
    intervals: IntervalScores  # since the promotion, of all symbols


def measure(board: LiveBoard, reading: Reading, now_ms: float) -> Figures:
    """Measure the whole deployment."""
    state, reason = describe_state(board, reading, now_ms)
    counts = board.standings()
    standings = {standing: counts[standing] for standing in get_args(Standing)}
    intervals = reduce(IntervalScores.plus, board.newest_scores, IntervalScores())
    return Figures(state, reason, standings, board.window.pooled_skill(), intervals)


def summarise(
    board: LiveBoard, reading: Reading, figures: Figures, cluster: Json, now_ms: float
) -> dict[str, object]:
    """Return the summary as plain values, with what the cluster's room has reported last."""
    counts, interval_ms = board.counts, board.interval_ms
    return {
        "time_ms": round(now_ms),
        "interval": reading.interval,
        "interval_ms": interval_ms,
        "state": figures.state,
        "state_reason": figures.reason,
        "stale_after_ms": round(board.pace.stale_after_ms),
        "newest_arrived_ms": _rounded(board.newest_arrived_ms),
        "symbols": _symbols(board, figures),
        "predictions_per_hour": _predictions_per_hour(board, figures),
        "predictions_last_hour": board.hourly.count(now_ms),
        "pooled_skill": skill_to_fields(figures.skill),
        "coverage": _coverage(figures.intervals),
        "corrections": {
            "gaps": counts.gaps,
            "fills": counts.fills,
            "amendments": counts.amendments,
        },
        "dead_letters": {"count": counts.dead_letters, "last_reason": counts.last_dead_letter},
        "counted_since_ms": board.oldest_read_ms,
        "unreadable_records": counts.unreadable.total(),
        "champion": _champion(board),
        "latency": _latency(board),
        **_NO_CLUSTER,
        **cluster,
    }


def log_facts(board: LiveBoard) -> LogFacts:
    """Return what the health page needs to know of what the topics say now."""
    return LogFacts(
        symbols_by_partition=board.symbols_by_partition(),
        late=board.late(),
        champion=None if board.champion is None else board.champion.version,
        is_champion_known=board.champion is not None,
        newest_arrived_ms=_rounded(board.newest_arrived_ms),
        has_candles=board.newest_open_time_ms is not None,
        stale_after_ms=round(board.pace.stale_after_ms),
    )


def _describe_silence(board: LiveBoard, now_ms: float) -> str:
    if board.newest_arrived_ms is None:
        return "no candle has arrived since the page was started"
    silent_s = (now_ms - board.newest_arrived_ms) / 1000
    return f"no candle for {silent_s:,.0f} s; one comes every {board.pace.pace_ms / 1000:,.0f} s"


def _describe_wait(board: LiveBoard) -> str:
    if board.champion is None:
        return "no model has been promoted yet: predictions begin after the first training"
    return f"version {board.champion.version} was promoted; its first predictions are to come"


def _symbols(board: LiveBoard, figures: Figures) -> dict[str, object]:
    counts: dict[str, object] = dict(figures.standings.items())
    return {**counts, "late_names": list(board.late())[:_NAMED_LATE]}


def _predictions_per_hour(board: LiveBoard, figures: Figures) -> int | None:
    if not board.pace.has_observed:
        return None
    return round(figures.standings["live"] * _HOUR_MS / board.pace.pace_ms)


def _coverage(pooled: IntervalScores) -> list[dict[str, object]]:
    """Return the share of outcomes within each interval; empty while there is no outcome."""
    if pooled.n == 0:
        return []
    pairs = zip(COVERAGES, pooled.covered, strict=True)
    return [{"coverage": name, "share": n / pooled.n, "n": pooled.n} for name, n in pairs]


def _champion(board: LiveBoard) -> dict[str, object] | None:
    champion = board.champion
    if champion is None:
        return None
    return {"version": champion.version, "since_ms": board.champion_since_ms}


def _latency(board: LiveBoard) -> dict[str, object]:
    read = {
        "close_to_arrival_ms": board.latencies.to_arrival_ms,
        "arrival_to_readable_ms": board.latencies.to_readable_ms,
    }
    return {
        name: {"p50": _rounded(quantile(0.5)), "p99": _rounded(quantile(0.99))}
        for name, quantile in read.items()
    }


def _rounded(milliseconds: float | None) -> int | None:
    return None if milliseconds is None else round(milliseconds)
