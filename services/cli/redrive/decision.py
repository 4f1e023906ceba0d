"""Decide which dead letters can be redriven into the log. Pure: nothing is read or written here.

To redrive is to append, and readers take only the record that comes next for its symbol, or a fill
of a gap. So only these can be redriven. The same rule keeps a record from going in twice: once it
is in the log, it no longer comes next, and its gap is filled.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from shared.adapters.kafka.producer import ProducerRecord
from shared.adapters.schemas.dead_letters import DeadLetter
from shared.adapters.schemas.klines import KlineCodec, to_fill
from shared.core.errors import BadInput
from shared.core.records import (
    Amendment,
    Candle,
    Fill,
    Gap,
    Promotion,
    Record,
    SymbolStatus,
    covered_span_ms,
)
from shared.core.topics import Topics, partition_for
from shared.log.dead_letters import format_place


class RedriveStatus(StrEnum):
    """Whether a dead letter can be redriven."""

    READY = "ready"
    IN_LOG = "in log"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class RedriveCandidate:
    """A dead letter whose bytes are a candle or a gap, and the partition of its symbol."""

    dead_letter: DeadLetter
    partition: int
    value: Candle | Gap
    starts_ms: int  # open time
    ends_ms: int  # the open time that must come next

    @property
    def identity(self) -> tuple[str, int]:
        """Symbol and open time: in a log, at most one record has them."""
        return self.value.symbol, self.starts_ms


@dataclass(frozen=True, slots=True)
class RedriveResult:
    """The decision on a dead letter: with the reason, or with the record to append."""

    dead_letter: DeadLetter
    status: RedriveStatus
    reason: str = ""
    message: str = ""
    record: ProducerRecord | None = None


def to_candidate(dead_letter: DeadLetter, topics: Topics, codec: KlineCodec) -> RedriveCandidate:
    """Decode a dead letter with the checks that every reader of the log makes.

    A record that was in another partition than its symbol's is a candidate for its own.

    Raises:
        BadInput: it cannot be redriven; the message says what to do instead.
    """
    if dead_letter.topic != topics.klines:
        raise BadInput("other_topic", _describe_other_topic(dead_letter, topics))
    key = (dead_letter.key or b"").decode(errors="replace")
    partition = partition_for(key, topics.partitions)
    try:
        value = codec.decode(dead_letter.value, partition)
    except BadInput as error:
        if error.reason == "wrong_group":
            raise _wrong_key(key) from error
        raise
    if isinstance(value, Promotion):
        raise BadInput(
            "promotion",
            "a promotion must be in every partition: promote the version again with"
            f" `ulstm models promote {value.model_version}`",
        )
    if isinstance(value, Amendment | Fill):
        raise BadInput(
            "correction",
            "its place among the changes of its candle is lost; publish it anew if it still holds",
        )
    if isinstance(value, SymbolStatus):
        raise BadInput(
            "status",
            "its place among the candles is lost; `ulstm symbols` changes who is followed now",
        )
    if value.symbol != key:
        raise _wrong_key(key)
    span_ms = covered_span_ms(value, codec.interval_ms)
    return RedriveCandidate(dead_letter, partition, value, *span_ms)


@dataclass(slots=True)
class LogPositions:
    """The next open time of each symbol, and the records of the log that candidates may repeat."""

    step_ms: int
    wanted: frozenset[tuple[str, int]]  # the candidates' identities
    next_ms: dict[str, int]  # by symbol: the open time that must come next, at least
    _last_open_ms: dict[str, int] = field(default_factory=dict)
    _gaps: dict[str, list[Gap]] = field(default_factory=dict)
    _found: dict[tuple[str, int], tuple[Candle | Gap, int | None]] = field(default_factory=dict)

    def add(self, offset: int, record: Record | BadInput) -> None:
        """Add the next record of the log; records that readers reject are skipped."""
        match record:
            case Candle() if record.open_time_ms > self._last_open_ms.get(record.symbol, -1):
                self._last_open_ms[record.symbol] = record.open_time_ms
                self._append(record, offset)
            case Gap():
                self._gaps.setdefault(record.symbol, []).append(record)
                self._append(record, offset)
            case Fill():
                self._fill(record.candle, offset)
            case SymbolStatus() if record.resets_symbol:
                self._gaps.pop(record.symbol, None)
            case _:
                pass

    def decide(self, candidate: RedriveCandidate, topic: str, now_ms: int) -> RedriveResult:
        """Decide on a candidate; one that is ready counts as appended for those after it.

        Args:
            candidate: the next one; decide on older ones first.
            topic: the klines topic.
            now_ms: the time of the redrive, for the record's headers.
        """
        dead_letter, value = candidate.dead_letter, candidate.dead_letter.value
        if isinstance(candidate.value, Candle) and self._lacks(candidate):
            self._fill(candidate.value, None)
            return self._ready(candidate, to_fill(value or b""), topic, now_ms)
        try:
            self._check_next(candidate)
        except BadInput as error:
            is_duplicate = error.reason == "duplicate"
            status = RedriveStatus.IN_LOG if is_duplicate else RedriveStatus.REFUSED
            return RedriveResult(dead_letter, status, error.reason, str(error))
        self._append(candidate.value, None)
        return self._ready(candidate, value, topic, now_ms)

    def _ready(
        self, candidate: RedriveCandidate, value: bytes | None, topic: str, now_ms: int
    ) -> RedriveResult:
        dead_letter = candidate.dead_letter
        headers = [
            ("source", b"dead-letter"),
            ("arrival_ms", str(now_ms).encode()),
            # Records in the log carry this name, so it stays although the command is `redrive`.
            ("replayed-from", format_place(dead_letter).encode()),
        ]
        record = ProducerRecord(
            topic,
            candidate.partition,
            dead_letter.key,
            value,
            candidate.ends_ms - 1,
            headers,
        )
        return RedriveResult(dead_letter, RedriveStatus.READY, record=record)

    def _lacks(self, candidate: RedriveCandidate) -> bool:
        """Return whether a gap that is not filled yet covers a candle."""
        found, _ = self._found.get(candidate.identity, (None, None))
        return not isinstance(found, Candle) and any(
            gap.from_open_time_ms <= candidate.starts_ms < gap.until_open_time_ms
            for gap in self._gaps.get(candidate.value.symbol, ())
        )

    def _fill(self, candle: Candle, offset: int | None) -> None:
        identity = candle.symbol, candle.open_time_ms
        if identity in self.wanted:
            self._found[identity] = (candle, offset)

    def _append(self, record: Candle | Gap, offset: int | None) -> None:
        starts_ms, ends_ms = covered_span_ms(record, self.step_ms)
        identity = record.symbol, starts_ms
        if identity in self.wanted:
            self._found.setdefault(identity, (record, offset))
        self.next_ms[record.symbol] = max(self.next_ms.get(record.symbol, 0), ends_ms)

    def _check_next(self, candidate: RedriveCandidate) -> None:
        symbol = candidate.value.symbol
        next_ms = self.next_ms.get(symbol)
        is_gap = isinstance(candidate.value, Gap)
        name = f"{'gap' if is_gap else 'candle'} of {symbol} at {candidate.starts_ms} ms"
        if next_ms is None:
            if is_gap:
                raise BadInput("too_early", f"{name}: the log has no candle of {symbol} before it")
            return
        if candidate.starts_ms > next_ms:
            raise BadInput(
                "too_early",
                f"{name} would leave a hole: redrive or import the record of {symbol} that opens at"
                f" {next_ms} ms first",
            )
        if candidate.starts_ms < next_ms:
            raise self._explain_past(candidate, name, next_ms)

    def _explain_past(self, candidate: RedriveCandidate, name: str, next_ms: int) -> BadInput:
        """Return the reason why a record older than the log's end cannot be appended."""
        found, offset = self._found.get(candidate.identity, (None, None))
        if found == candidate.value:
            return BadInput("duplicate", f"{name} {_describe_copy(candidate, offset)}")
        if isinstance(found, Candle) and isinstance(candidate.value, Candle):
            return BadInput(
                "contradiction",
                f"{name} is in the log with other values (offset {offset}); the log keeps the"
                " first. Only an amendment, a record of type amendment, changes a candle: the"
                " producer writes one where the exchange has other values, and so does `ulstm"
                " import --amend`",
            )
        return BadInput(
            "out_of_order",
            f"{name} is older than what comes next in the log ({next_ms} ms), which only grows at"
            " its end, and no gap covers it that it could fill: `ulstm import` all history into a"
            " new deployment (TOPIC_PREFIX) if you need it",
        )


def decide_all(
    candidates: Iterable[RedriveCandidate], positions: LogPositions, topic: str, now_ms: int
) -> list[RedriveResult]:
    """Decide on each candidate, oldest first: one that is ready may make room for the next."""
    ascending = sorted(candidates, key=lambda candidate: candidate.starts_ms)
    return [positions.decide(candidate, topic, now_ms) for candidate in ascending]


def _describe_copy(candidate: RedriveCandidate, offset: int | None) -> str:
    if offset is None:
        return "is redriven from another dead letter"
    source = candidate.dead_letter
    is_itself = (source.partition, source.offset) == (candidate.partition, offset)
    own = ", its own place: this version reads it there" if is_itself else ""
    return f"is in the log at offset {offset}{own}"


def _wrong_key(key: str) -> BadInput:
    return BadInput(
        "wrong_key",
        f"its key {key!r} is not its symbol, by which records are looked up; publish it anew under"
        " its symbol",
    )


def _describe_other_topic(dead_letter: DeadLetter, topics: Topics) -> str:
    if dead_letter.topic.startswith("exchange:"):
        return (
            "these are the exchange's own bytes, of no topic: the producer asks REST for what comes"
            " next, or announces a gap"
        )
    return (
        f"it came from {dead_letter.topic!r}, this deployment's log is {topics.klines}: set"
        " INTERVAL and TOPIC_PREFIX"
    )
