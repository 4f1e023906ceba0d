"""Which dead letters can go back into the log, and why the others cannot. PURE: it decides and does nothing.

Going back means being appended, so only what comes next of its symbol can: readers would refuse the rest again. This is
also why nothing goes back twice: once it is in, it does not come next any more.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from shared.adapters.kafka.producer import ProducerRecord
from shared.adapters.schemas import DeadLetter, KlineCodec
from shared.core.errors import BadInput
from shared.core.records import Amendment, Candle, Gap, Promotion, Record, covered_span_ms
from shared.core.topics import Topics, partition_for


class RedriveStatus(StrEnum):
    """What becomes of a letter."""

    GOES_BACK = "goes back"
    IN_ALREADY = "in already"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class RedriveCandidate:
    """A letter whose bytes are a candle or a gap of this log, and the symbol group that it belongs to."""

    letter: DeadLetter
    group: int
    value: Candle | Gap
    starts_ms: int
    ends_ms: int  # what must come next after it

    @property
    def place(self) -> tuple[str, int]:
        """Symbol and start: in a log, one record has it."""
        return self.value.symbol, self.starts_ms


@dataclass(frozen=True, slots=True)
class RedriveResult:
    """What becomes of a letter, and why; the record to write if it goes back."""

    letter: DeadLetter
    fate: RedriveStatus
    reason: str = ""
    message: str = ""
    record: ProducerRecord | None = None


def place_of(letter: DeadLetter) -> str:
    """Return where a letter's record lay, as people name it: topic/partition/offset."""
    return f"{letter.topic}/{letter.partition}/{letter.offset}"


def candidate(letter: DeadLetter, topics: Topics, codec: KlineCodec) -> RedriveCandidate:
    """Return what could go back, judged by the letter alone: with the decoding and the checks of every reader.

    A record that lay in another symbol group than its symbol's is a candidate for its own.

    Raises:
        BadInput: it cannot; the message says what to do instead.
    """
    if letter.topic != topics.klines:
        raise BadInput("other_topic", _other_topic(letter, topics))
    key = (letter.key or b"").decode("latin-1")
    group = partition_for(key, topics.partitions)
    try:
        value = codec.decode(letter.value, group)
    except BadInput as error:
        if error.reason == "wrong_group":
            raise BadInput("wrong_key", _wrong_key(key)) from error
        raise
    if isinstance(value, Promotion):
        message = f"a promotion has to stand in every symbol group: `ulstm models promote {value.model_version}`"
        raise BadInput("promotion", message)
    if isinstance(value, Amendment):
        message = (
            "its place among the changes of its candle is lost; publish it anew if it still holds"
        )
        raise BadInput("amendment", message)
    if value.symbol != key:
        raise BadInput("wrong_key", _wrong_key(key))
    return RedriveCandidate(letter, group, value, *covered_span_ms(value, codec.interval_ms))


@dataclass(slots=True)
class LogPositions:
    """What the log has where the candidates would stand; takes the log's records in order.

    `next_ms` says what must come next of each symbol, at least: what is taken can only move it on.
    """

    step_ms: int
    wanted: frozenset[tuple[str, int]]  # the places of the candidates
    next_ms: dict[str, int]
    _last_open_ms: dict[str, int] = field(default_factory=dict)
    _found: dict[tuple[str, int], tuple[Candle | Gap, int | None]] = field(default_factory=dict)

    def take(self, offset: int, record: Record | BadInput) -> None:
        """Take a record; what readers set aside changes nothing."""
        if not isinstance(record, Candle | Gap):
            return
        symbol = record.symbol
        if isinstance(record, Candle):
            if record.open_time_ms <= self._last_open_ms.get(symbol, -1):
                return
            self._last_open_ms[symbol] = record.open_time_ms
        self._add(record, offset)

    def answer(self, one: RedriveCandidate, topic: str, now_ms: int) -> RedriveResult:
        """Return what becomes of a candidate; one that goes back stands in the log for those after it."""
        try:
            self._check_next(one)
        except BadInput as error:
            fate = (
                RedriveStatus.IN_ALREADY if error.reason == "duplicate" else RedriveStatus.REFUSED
            )
            return RedriveResult(one.letter, fate, error.reason, str(error))
        self._add(one.value, None)
        headers = [
            ("source", b"dead-letter"),
            ("arrival_ms", str(now_ms).encode()),
            ("replayed-from", place_of(one.letter).encode()),
        ]
        record = ProducerRecord(
            topic, one.group, one.letter.key, one.letter.value, one.ends_ms - 1, headers
        )
        return RedriveResult(one.letter, RedriveStatus.GOES_BACK, record=record)

    def _add(self, record: Candle | Gap, offset: int | None) -> None:
        starts_ms, ends_ms = covered_span_ms(record, self.step_ms)
        place = record.symbol, starts_ms
        if place in self.wanted:
            self._found.setdefault(place, (record, offset))
        self.next_ms[record.symbol] = max(self.next_ms.get(record.symbol, 0), ends_ms)

    def _check_next(self, one: RedriveCandidate) -> None:
        symbol, next_ms = one.value.symbol, self.next_ms.get(one.value.symbol)
        name = (
            f"{'gap' if isinstance(one.value, Gap) else 'candle'} of {symbol} at {one.starts_ms} ms"
        )
        if next_ms is None:
            if isinstance(one.value, Gap):
                raise BadInput("too_early", f"{name}: the log has no candle of {symbol} before it")
            return
        if one.starts_ms > next_ms:
            message = f"{name} would leave a hole: what comes next of {symbol} opens at {next_ms} ms and must go in first"
            raise BadInput("too_early", message)
        if one.starts_ms < next_ms:
            self._refuse_past(one, name, next_ms)

    def _refuse_past(self, one: RedriveCandidate, name: str, next_ms: int) -> None:
        found, offset = self._found.get(one.place, (None, None))
        if found == one.value:
            where = (
                "goes back from another letter"
                if offset is None
                else f"stands in the log at offset {offset}"
            )
            is_itself = one.letter.partition == one.group and one.letter.offset == offset
            read = ", its own place: this version reads it there" if is_itself else ""
            raise BadInput("duplicate", f"{name} {where}{read}")
        if isinstance(found, Candle) and isinstance(one.value, Candle):
            message = (
                f"{name} stands in the log with other values (offset {offset}); the log keeps the first. Only an"
                " amendment, a record of type amendment, changes a candle: neither the producer nor `ulstm import`"
                " writes one"
            )
            raise BadInput("contradiction", message)
        message = (
            f"{name} is older than what comes next in the log ({next_ms} ms), which only grows at its end, and an"
            " amendment changes only a candle that is there: `ulstm import` all history into a new deployment"
            " (TOPIC_PREFIX) if it must not be missing"
        )
        raise BadInput("out_of_order", message)


def answers(
    candidates: Iterable[RedriveCandidate], standing: LogPositions, topic: str, now_ms: int
) -> list[RedriveResult]:
    """Return what becomes of each, oldest first: one that goes back may make room for the next."""
    ascending = sorted(candidates, key=lambda one: one.starts_ms)
    return [standing.answer(one, topic, now_ms) for one in ascending]


def _wrong_key(key: str) -> str:
    return f"its key {key!r} is not its symbol, by which a record is looked up; publish it anew under its symbol"


def _other_topic(letter: DeadLetter, topics: Topics) -> str:
    if letter.topic.startswith("exchange:"):
        return "the exchange's own bytes, of no topic: the producer asks REST for what comes next, or announces a gap"
    return f"it came from {letter.topic!r}, this deployment's log is {topics.klines}: set INTERVAL and TOPIC_PREFIX"
