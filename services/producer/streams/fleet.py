"""All sockets of the stream: which there are, when each is replaced, what is told to the worker.

It has no thread and no clock: `step` is called again and again with the time.

A connection that is to end is replaced with an overlap: a second one carries its symbols before the
first is closed. That is the way of a connection that grows old (each at another age, in the middle
of a candle), that the exchange announces to shut down, or that has become silent. One that is lost
without notice is connected anew by its shard.
"""

import logging
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from functools import partial
from typing import Final

from services.producer.event_queue import Inbox
from services.producer.events import StreamConnected
from services.producer.market.carried_symbols import StreamCarries, StreamInterrupted
from services.producer.ports import StreamService
from services.producer.streams.assignment import assign_symbols
from services.producer.streams.attempts import AttemptBudget, ConnectionBackoff
from services.producer.streams.coverage import Coverage
from services.producer.streams.receiver import HeardCloses, StreamReceiver
from services.producer.streams.renewal import is_mid_candle, is_overdue, may_be_renewed
from services.producer.streams.shard import ShardPorts, StreamEnd, StreamShard
from services.producer.streams.status import StreamCounts, StreamOptions, StreamStatus
from services.producer.streams.subscriptions import SharedKnowledge, Subscriptions

log = logging.getLogger(__name__)

OVERLAP_S: Final = 2.0  # for which the replacement must last before the old connection is closed
UNNEEDED: Final = StreamEnd("unneeded", "other connections carry its symbols")


@dataclass(slots=True)
class _Retirement:
    """A shard that another one takes over from, and since when the other carries its symbols."""

    shard: StreamShard
    end: StreamEnd
    successor: StreamShard | None = None
    replaced_since_s: float | None = None
    is_silent: bool = False


class StreamFleet:
    """The shards, which together carry every symbol wanted."""

    def __init__(self, exchange: StreamService, options: StreamOptions, inbox: Inbox) -> None:
        """Start without a symbol."""
        self._limits, self._options, self._inbox = exchange.stream_limits, options, inbox
        self._budget, self._counts = AttemptBudget(), StreamCounts()
        self._ports = ShardPorts(
            exchange,
            self._budget,
            partial(StreamReceiver, inbox, HeardCloses(), self._counts),
            self._on_carried,
            self._on_ended,
        )
        self._knowledge = SharedKnowledge()
        self._left_out = self._knowledge.left_out
        self._wanted: Collection[str] = ()
        self._shards: list[StreamShard] = []
        self._retirements: list[_Retirement] = []
        self._coverage = Coverage[int]()
        self._ends: Counter[str] = Counter()

    @property
    def status(self) -> StreamStatus:
        """The state of the stream now."""
        return StreamStatus(
            sum(shard.is_connected for shard in self._all_shards()),
            len(self._wanted),
            len(self._coverage),
            self._budget.attempts,
            dict(self._ends),
            dict(self._left_out.reasons),
            self._counts.repeated,
            self._counts.overflowed,
        )

    def want(self, symbols: Collection[str]) -> None:
        """Carry these symbols from now on; those that are carried already stay where they are."""
        wanted = dict.fromkeys(symbols)
        if gone := tuple(each for each in self._wanted if each not in wanted):
            self._left_out.discard(gone)
            self._coverage.forget(gone)
            self._inbox.prices.put(StreamInterrupted(gone))
        added = wanted.keys() - set(self._wanted)
        self._wanted = wanted.keys()
        self._assign()
        for shard in self._shards:  # unfollowed and followed again, before it was unsubscribed
            self._on_carried(shard, [each for each in shard.subscriptions.carried if each in added])

    def step(self, now_s: float) -> None:
        """Do what is due on every connection."""
        for shard in self._all_shards():
            shard.step(now_s)
        for shard in list(self._shards):
            if (end := self._due_end(shard, now_s)) is not None:
                self._replace(shard, end, now_s)
        for retirement in list(self._retirements):
            self._finish(retirement, now_s)
        self._request_dropped()

    def close(self, now_s: float) -> None:
        """End every connection."""
        for shard in self._all_shards():
            shard.close(StreamEnd("unneeded", "stopping"), now_s)

    def _all_shards(self) -> list[StreamShard]:
        return [*self._shards, *(each.shard for each in self._retirements)]

    def _new_shard(
        self, symbols: Collection[str], backoff: ConnectionBackoff | None = None
    ) -> StreamShard:
        shard = StreamShard(self._ports, Subscriptions(self._knowledge), backoff)
        shard.subscriptions.want(symbols)
        return shard

    def _assign(self) -> None:
        current = [shard.subscriptions.wanted for shard in self._shards]
        assigned = assign_symbols(self._wanted, current, self._limits.max_symbols)
        before, self._shards = self._shards, []
        for shard, symbols in zip(before, assigned, strict=False):
            if symbols:
                self._shards.append(shard)
                shard.subscriptions.want(symbols)
            else:
                shard.is_retiring = True
                self._retirements.append(_Retirement(shard, UNNEEDED))
        self._shards += [self._new_shard(symbols) for symbols in assigned[len(before) :]]

    def _due_end(self, shard: StreamShard, now_s: float) -> StreamEnd | None:
        """Return why to replace a connection now; None if it goes on."""
        if not shard.is_connected:
            return None
        if shard.is_shutting_down:
            return StreamEnd("shutdown", "the exchange announced to end the connection")
        if shard.silence_s(now_s) > self._options.silence_s:
            return StreamEnd("silence", f"no message for {self._options.silence_s:g} s")
        if self._is_too_old(shard, now_s):
            return StreamEnd("age", "the connection is as old as the exchange allows")
        return None

    def _is_too_old(self, shard: StreamShard, now_s: float) -> bool:
        """Return whether to replace a connection for its age, one at a time."""
        share = shard.age_s(now_s) / self._limits.max_age_s
        if is_overdue(share):
            return True
        if self._retirements or not may_be_renewed(share, shard.number):
            return False
        return is_mid_candle(self._inbox.clock.read().now_ms, self._options.interval_ms)

    def _replace(self, shard: StreamShard, end: StreamEnd, now_s: float) -> None:
        # Not more than two connections for the same symbols: the older one goes on if it can.
        if any(retirement.successor is shard for retirement in self._retirements):
            shard.close(end, now_s)
            return
        # What a silent connection carries may have been missed: it proves nothing any longer.
        is_silent = end.kind == "silence"
        if is_silent:
            self._uncover(shard.number, shard.subscriptions.carried)
        successor = self._new_shard(shard.subscriptions.wanted, shard.retire(now_s))
        self._shards[self._shards.index(shard)] = successor
        self._retirements.append(_Retirement(shard, end, successor, is_silent=is_silent))

    def _finish(self, retirement: _Retirement, now_s: float) -> None:
        """Close a retiring connection once others have carried its symbols for a while."""
        shard = retirement.shard
        if retirement.is_silent and shard.silence_s(now_s) < self._options.silence_s:
            retirement.is_silent = False  # it tells again, before another took over
            self._on_carried(shard, shard.subscriptions.carried)
        needed = [
            each
            for each in shard.subscriptions.carried
            if each in self._wanted and not self._left_out.is_out(each, now_s)
        ]
        if not self._coverage.is_replaced(shard.number, needed):
            retirement.replaced_since_s = None
        elif retirement.replaced_since_s is None:
            retirement.replaced_since_s = now_s
        elif now_s - retirement.replaced_since_s >= OVERLAP_S:
            shard.close(retirement.end, now_s)
        if shard.receiver is None:
            self._retirements.remove(retirement)

    def _on_carried(self, shard: StreamShard, symbols: Collection[str]) -> None:
        wanted = [each for each in symbols if each in self._wanted]
        going_on, new = self._coverage.add(shard.number, wanted)
        if going_on:
            self._inbox.prices.put(StreamCarries(shard.number, tuple(going_on), continues=True))
        if new:
            self._inbox.prices.put(StreamCarries(shard.number, tuple(new), continues=False))
            self._inbox.events.put(StreamConnected(tuple(new)))

    def _on_ended(self, shard: StreamShard, symbols: Collection[str], end: StreamEnd) -> None:
        self._ends[end.kind] += 1
        is_planned = shard.is_retiring or end.kind == "unneeded"
        level = logging.INFO if is_planned else logging.WARNING
        log.log(level, "stream %d ended, with %d symbols: %s", shard.number, len(symbols), end.text)
        self._uncover(shard.number, symbols)

    def _uncover(self, number: int, symbols: Collection[str]) -> None:
        lost, moved = self._coverage.remove(number, symbols)
        if lost:
            self._inbox.prices.put(StreamInterrupted(tuple(lost)))
        for other, carried in moved.items():
            self._inbox.prices.put(StreamCarries(other, tuple(carried), continues=True))

    def _request_dropped(self) -> None:
        """Let REST be asked for closes that the queue had no room for, once it has."""
        for shard in self._all_shards():
            if shard.receiver is None or not shard.receiver.dropped:
                continue
            dropped = shard.receiver.dropped.copy()
            if self._inbox.events.offer(StreamConnected(tuple(dropped))):
                shard.receiver.dropped -= dropped
