"""Summarise a live board in a few lines: progress, latency, skill."""

from collections import Counter
from collections.abc import Sequence
from typing import Final

from rich.panel import Panel
from rich.table import Table

from services.cli.watch.board import WatchBoard, WatchRow
from shared.log.latencies import format_ms

_NAMED: Final = 3  # late symbols


def describe_state(board: WatchBoard, now_ms: float) -> str:
    """Return the state in capitals, and why if it is not live."""
    silence_ms = board.pace.silence_ms(now_ms)
    if not board.candles and not board.by_symbol:
        return "EMPTY: no candles yet"
    if silence_ms is not None and board.pace.is_stale(now_ms):
        return f"STALE: no candle for {_describe_seconds(silence_ms)}"
    if not board.by_symbol:
        return "WAITING for a model"
    return "QUIET: no candle by stream" if silence_ms is None else "LIVE"


def status_lines(board: WatchBoard, rows: Sequence[WatchRow], now_ms: float) -> list[str]:
    """Return two lines that fit 80 columns: state, symbols, skill; silence and latencies."""
    silence_ms = board.pace.silence_ms(now_ms)
    since = "-" if silence_ms is None else f"{_describe_seconds(silence_ms)} ago"
    arrival, readable = board.latencies.to_arrival_ms, board.latencies.to_readable_ms
    first = [describe_state(board, now_ms), f"{len(rows)} symbols{_describe_late(rows)}"]
    if board.unreadable.count:
        first.append(f"{board.unreadable.count:,} unreadable records")
    return [
        " · ".join([*first, describe_skill_of_all(board)]),
        f"last candle {since} · p50/p99 to arrival {_pair(arrival(0.5), arrival(0.99))},"
        f" to prediction {_pair(readable(0.5), readable(0.99))}",
    ]


def count_line(board: WatchBoard) -> str:
    """Return the counts in one line, for a log."""
    unreadable, latency_ms = board.unreadable.count, board.latencies.to_readable_ms
    return (
        f"{board.candles.total()} candles · {board.predictions} predictions of"
        f" {len(board.by_symbol)} symbols · {board.gaps} gaps · {board.dead_letters} dead letters"
        + (f" · {unreadable} unreadable records" if unreadable else "")
        + f" · latency p50 {format_ms(latency_ms(0.5))} p99 {format_ms(latency_ms(0.99))}"
        f" · {describe_skill_of_all(board)}"
    )


def describe_skill_of_all(board: WatchBoard) -> str:
    """Return the skill since the promotion, pooled over the symbols."""
    scores = board.scores()
    return f"skill {_percent(scores.calibrated_skill())} of {scores.n:,} outcomes"


def summary_panel(board: WatchBoard, seconds: float, source: str) -> Panel:
    """Return the totals at the end.

    Args:
        board: what was seen.
        seconds: since the start.
        source: of the klines, in words.
    """
    scores, latency_ms = board.scores(), board.latencies.to_readable_ms
    rows = {
        "source": source,
        "ran for": f"{seconds:.0f} s",
        "candles": f"{board.candles.total()} of {len(board.candles)} symbols",
        "predictions": f"{board.predictions} of {len(board.by_symbol)} symbols",
        "gaps": str(board.gaps),
        "dead letters": str(board.dead_letters),
        "unreadable records": str(board.unreadable.count),
        "candle received -> prediction readable": (
            f"p50 {format_ms(latency_ms(0.5))}, p99 {format_ms(latency_ms(0.99))}"
        ),
        "skill against zero change": (
            f"calibrated {_percent(scores.calibrated_skill())}, raw {_percent(scores.skill())},"
            f" over {scores.n} outcomes"
        ),
    }
    table = Table.grid(padding=(0, 2))
    for name, text in rows.items():
        table.add_row(name, text)
    return Panel(table, title="summary")


def _describe_late(rows: Sequence[WatchRow]) -> str:
    """Return how many symbols have another standing than live, and which are late."""
    counts = Counter(row.standing for row in rows)
    parts = [f"{n} {name}" for name, n in counts.items() if name not in {"live", "late"}]
    late = [row.symbol for row in rows if row.standing == "late"]
    if late:
        more = f" and {len(late) - _NAMED} more" if len(late) > _NAMED else ""
        parts.append(f"{len(late)} late ({', '.join(late[:_NAMED])}{more})")
    return f", {', '.join(parts)}" if parts else ""


def _describe_seconds(value_ms: float) -> str:
    seconds = value_ms / 1000
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _pair(p50: float | None, p99: float | None) -> str:
    return "-" if p50 is None or p99 is None else f"{p50:.0f}/{p99:.0f} ms"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:+.3%}"
