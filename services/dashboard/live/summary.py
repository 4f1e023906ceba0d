"""The strip above the table: how the whole deployment stands."""

from dataclasses import dataclass
from functools import reduce
from typing import Final, get_args

from services.dashboard.live.board import LiveBoard
from services.dashboard.ports import FeedState, Json, LogFacts, Standing
from shared.core.evaluation.skill_score import Skill, skill_to_fields
from shared.core.online.interval_scores import COVERAGES, IntervalScores
from shared.core.topics import interval_ms

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

    kafka_error: str = ""  # what does not answer, and where; empty: all is well
    loading: str = ""  # how far the recent window is filled; empty: it is
    missing_topic: str = ""
    since_ms: int | None = None  # records that are counted are not older


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


def summarise(
    board: LiveBoard,
    reading: Reading,
    cluster: Json,
    interval: str,
    now_ms: float,
) -> dict[str, object]:
    """Return the summary as plain values, with what the cluster's room has reported last."""
    state, reason = describe_state(board, reading, now_ms)
    counts, pace = board.counts, board.pace
    return {
        "time_ms": round(now_ms),
        "interval": interval,
        "interval_ms": interval_ms(interval),
        "state": state,
        "state_reason": reason,
        "stale_after_ms": round(pace.stale_after_ms),
        "newest_arrived_ms": _rounded(board.newest_arrived_ms),
        "symbols": _symbols(board),
        "predictions_per_hour": _predictions_per_hour(board),
        "predictions_last_hour": board.hourly.count(now_ms),
        "pooled_skill": skill_to_fields(pooled_skill(board)),
        "coverage": _coverage(board),
        "corrections": {
            "gaps": counts.gaps,
            "fills": counts.fills,
            "amendments": counts.amendments,
        },
        "dead_letters": {"count": counts.dead_letters, "last_reason": counts.last_dead_letter},
        "counted_since_ms": reading.since_ms,
        "unreadable_records": counts.unreadable,
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


def pooled_skill(board: LiveBoard) -> Skill | None:
    """Return the recent skill of all symbols together against zero change."""
    return board.window.pooled_skill()


def _describe_silence(board: LiveBoard, now_ms: float) -> str:
    if board.newest_arrived_ms is None:
        return "no candle has arrived since the page was started"
    silent_s = (now_ms - board.newest_arrived_ms) / 1000
    return f"no candle for {silent_s:,.0f} s; one comes every {board.pace.pace_ms / 1000:,.0f} s"


def _describe_wait(board: LiveBoard) -> str:
    if board.champion is None:
        return "no model has been promoted yet: predictions begin after the first training"
    return f"version {board.champion.version} was promoted; its first predictions are to come"


def _symbols(board: LiveBoard) -> dict[str, object]:
    counts = board.standings()
    names = get_args(Standing)
    late_names = list(board.late())[:_NAMED_LATE]
    return {**{name: counts[name] for name in names}, "late_names": late_names}


def _predictions_per_hour(board: LiveBoard) -> int | None:
    if not board.pace.has_observed:
        return None
    live = board.standings()["live"]
    return round(live * _HOUR_MS / board.pace.pace_ms)


def _coverage(board: LiveBoard) -> list[dict[str, object]]:
    """Return the share of outcomes within each bounds since the promotion, over all symbols."""
    scores = [
        one.prediction.interval_scores
        for one in board.symbols.values()
        if one.prediction is not None
        and len(one.prediction.interval_scores.covered) == len(COVERAGES)
    ]
    pooled = reduce(IntervalScores.plus, scores, IntervalScores())
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
