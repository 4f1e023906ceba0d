"""What is wrong with the way of the candles from the exchange to the log. PURE."""

from collections.abc import Iterator, Sequence
from typing import Final

from services.dashboard.cluster.facts import ClusterFacts, LackingSymbol, ServiceFacts
from services.dashboard.cluster.problem import Problem
from services.dashboard.cluster.words import count, duration, names, verb
from shared.core.timestamps import format_timestamp

_LATE: Final = frozenset(("late", "doubtful"))


def feed_problems(facts: ClusterFacts) -> Iterator[Problem]:
    """Yield what is wrong with the producer, its stream, and the exchange."""
    for producer in facts.of("producer"):
        if not producer.is_ready:
            yield _not_ready(producer)
        elif producer.value("stream_connected") == 0.0:
            yield _stream_lost(producer)
    yield from _silence(facts)
    yield from _ban(facts)


def symbol_problems(facts: ClusterFacts) -> Iterator[Problem]:
    """Yield which symbols lack candles: as the producer says, else as the log shows."""
    lacking = facts.lacking()
    if lacking is None:
        late = [
            LackingSymbol(symbol, "late", since_ms, "its next candle has not arrived")
            for symbol, since_ms in facts.log.late.items()
        ]
    else:
        late = [one for one in lacking if one.standing in _LATE]
    yield from _late(late)
    refused = [one for one in lacking or () if one.standing == "refused"]
    yield from _refused(refused)
    halted = [one for one in lacking or () if one.standing == "halted"]
    yield from _halted(halted)


def _not_ready(producer: ServiceFacts) -> Problem:
    fetching = [one for one in producer.symbols or () if one.standing == "history"]
    if fetching:
        return Problem(
            "producer_not_ready",
            "warning",
            f"The producer is fetching the history of {count(len(fetching), 'symbol')}",
            "It was away, or begins anew: REST gives what is missing.",
            "Nothing: predictions of a symbol begin, or go on, once its history is there.",
        )
    return Problem(
        "producer_not_ready",
        "warning" if producer.is_starting else "error",
        "The producer is not ready",
        f"{producer.address} says: {producer.reason}.",
        "It goes on by itself once the reason is gone; else see its log, and whether the exchange"
        " answers from this network.",
    )


def _stream_lost(producer: ServiceFacts) -> Problem:
    carried, wanted = producer.value("stream_symbols"), producer.value("symbols")
    share = "" if carried is None or wanted is None else f": {carried:.0f} of {wanted:.0f}"
    return Problem(
        "stream_lost",
        "error",
        "The exchange's stream is lost",
        f"It carries fewer than 90 % of the symbols{share}.",
        "The producer connects again by itself, and REST gives what was missed; if it goes on,"
        " check the network and EXCHANGE_STREAM_URL.",
    )


def _silence(facts: ClusterFacts) -> Iterator[Problem]:
    newest_ms, limit_ms = facts.log.newest_arrived_ms, facts.log.stale_after_ms
    if newest_ms is None or limit_ms is None or facts.now_ms - newest_ms <= limit_ms:
        return
    yield Problem(
        "no_candles",
        "error",
        f"No candle has arrived for {duration(facts.now_ms - newest_ms)}",
        "Nothing new is in the log.",
        "See whether the producer runs: `docker compose up -d producer` or `ulstm up` start it.",
        since_ms=newest_ms,
    )


def _ban(facts: ClusterFacts) -> Iterator[Problem]:
    remaining_s = [one.value("rest_ban_remaining_seconds") or 0.0 for one in facts.of("producer")]
    until_ms = max(
        [facts.kafka.banned_until_ms or 0, *(facts.now_ms + 1000 * s for s in remaining_s)]
    )
    if until_ms <= facts.now_ms:
        return
    yield Problem(
        "feed_banned",
        "warning",
        f"The exchange takes no REST request for {duration(until_ms - facts.now_ms)}",
        f"It has banned this address until {format_timestamp(until_ms)} UTC.",
        "Nothing is asked before that; the stream goes on. Other programs at this address share"
        " its limit: let them ask less.",
    )


def _late(late: Sequence[LackingSymbol]) -> Iterator[Problem]:
    if late:
        yield Problem(
            "symbols_late",
            "warning",
            f"{count(len(late), 'symbol')} {verb(len(late), 'is', 'are')} late:"
            f" {names([one.symbol for one in late])}",
            f"{late[0].symbol}: {late[0].reason}.",
            "Nothing for a few minutes: REST gives what the stream missed. If it goes on, see the"
            " producer's log.",
            since_ms=_first_since_ms(late),
        )


def _refused(refused: Sequence[LackingSymbol]) -> Iterator[Problem]:
    if refused:
        yield Problem(
            "symbols_refused",
            "warning",
            f"The exchange refuses {count(len(refused), 'symbol')}:"
            f" {names([one.symbol for one in refused])}",
            f"{refused[0].symbol}: {refused[0].reason}.",
            f"Take them out of SYMBOLS, or `ulstm symbols remove {refused[0].symbol}`.",
            since_ms=_first_since_ms(refused),
        )


def _halted(halted: Sequence[LackingSymbol]) -> Iterator[Problem]:
    if halted:
        yield Problem(
            "symbols_halted",
            "warning",
            f"{count(len(halted), 'symbol')} {verb(len(halted), 'is', 'are')} halted:"
            f" {names([one.symbol for one in halted])}",
            "The exchange does not trade them.",
            "Nothing: they go on when the exchange trades them again.",
            since_ms=_first_since_ms(halted),
        )


def _first_since_ms(lacking: Sequence[LackingSymbol]) -> int | None:
    """Return the earliest start of the symbols' trouble; None if one is not known."""
    return min(one.since_ms for one in lacking) or None
