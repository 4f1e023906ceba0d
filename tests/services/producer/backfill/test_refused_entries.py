"""One record that Kafka refuses does not block the others, and nothing is lost or twice."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.producer.backfill.refused_entries import (
    MAX_DEAD_LETTERS,
    RefusalIsolation,
    RefusedEntries,
)
from services.producer.backfill.sequencer import (
    KlineOrigin,
    LogEntry,
    ReceivedCandle,
    UnreadableKline,
)
from shared.adapters.kafka.errors import Aborted, Refused
from shared.core.records import Gap
from tests.support.builders import STEP_MS


def candle(symbol: str, at: int) -> ReceivedCandle:
    return ReceivedCandle(symbol, at * STEP_MS, 1.0, b"{}", "stream", 0)


class PickyTopic:
    """A log that refuses transactions with certain entries, or those that are too long."""

    def __init__(self, refused: Sequence[LogEntry] = (), longest: int = 10_000) -> None:
        self.refused, self.longest = list(refused), longest
        self.entries: list[LogEntry] = []
        self.transactions = 0

    def write(self, entries: Sequence[LogEntry]) -> None:
        self.transactions += 1
        if len(entries) > self.longest or any(entry in self.refused for entry in entries):
            raise Refused("refused", concerns_record=True)
        self.entries += entries

    def of(self, symbol: str) -> list[LogEntry]:
        return [entry for entry in self.entries if entry.symbol == symbol]


def gap(symbol: str, at: int) -> Gap:
    return Gap(symbol, at * STEP_MS, (at + 1) * STEP_MS)


@given(st.data())
def test_a_refused_candle_becomes_a_gap_and_a_dead_letter_and_the_rest_is_written_in_order(
    data: st.DataObject,
) -> None:
    counts = data.draw(st.lists(st.integers(1, 9), min_size=2, max_size=8))
    batch = [candle(f"S{number}", at) for number, n in enumerate(counts) for at in range(n)]
    batch = data.draw(st.permutations(batch))
    batch.sort(key=lambda each: each.open_time_ms)
    bad = data.draw(st.sampled_from(batch))
    topic = PickyTopic([bad])

    RefusalIsolation(topic.write, STEP_MS).write(batch)

    for symbol in {each.symbol for each in batch}:
        written = [each for each in topic.of(symbol) if not isinstance(each, UnreadableKline)]
        expected = [
            gap(symbol, each.open_time_ms // STEP_MS) if each == bad else each
            for each in batch
            if each.symbol == symbol
        ]
        assert written == expected
    (letter,) = [each for each in topic.entries if isinstance(each, UnreadableKline)]
    assert (letter.symbol, letter.reason) == (bad.symbol, "refused_by_kafka")
    assert letter.origin.original == bad.value
    assert topic.transactions <= 2 * len(batch).bit_length() + 4


@pytest.mark.parametrize("symbols", [1, 2, 5])
def test_where_everything_is_refused_nothing_is_given_up(symbols: int) -> None:
    batch = [candle(f"S{number}", at) for number in range(symbols) for at in range(3)]
    topic = PickyTopic(batch)

    with pytest.raises(Refused):
        RefusalIsolation(topic.write, STEP_MS).write(batch)

    assert topic.entries == []
    assert topic.transactions <= 4


def test_more_refused_records_than_are_given_up_are_told_as_an_abort() -> None:
    batch = [candle(f"S{number}", 0) for number in range(4 * MAX_DEAD_LETTERS)]
    topic = PickyTopic(batch[: MAX_DEAD_LETTERS + 1])

    with pytest.raises(Aborted) as aborted:
        RefusalIsolation(topic.write, STEP_MS).write(batch)

    assert not isinstance(aborted.value, Refused)
    letters = [each for each in topic.entries if isinstance(each, UnreadableKline)]
    assert {letter.symbol for letter in letters} <= {entry.symbol for entry in topic.refused}
    assert len(letters) == MAX_DEAD_LETTERS


def test_a_transaction_that_is_only_too_long_is_written_in_parts() -> None:
    batch = [candle("S0", at) for at in range(9)]
    topic = PickyTopic(longest=8)

    RefusalIsolation(topic.write, STEP_MS).write(batch)

    assert topic.entries == batch


def test_a_dead_letter_that_is_too_long_is_shortened() -> None:
    long = UnreadableKline("S0", None, "not_json", "text", KlineOrigin(b"x" * 9_000, "stream", 0))
    topic = PickyTopic([long])

    RefusalIsolation(topic.write, STEP_MS).write([candle("S1", 0), long])

    (letter,) = topic.of("S0")
    assert isinstance(letter, UnreadableKline)
    assert letter.origin.original == b"x" * 1_000


def test_the_dead_letters_of_refused_records_are_bounded() -> None:
    batches = [[candle("S0", at), candle("S1", at)] for at in range(MAX_DEAD_LETTERS + 1)]
    topic = PickyTopic([batch[0] for batch in batches])
    isolation = RefusalIsolation(topic.write, STEP_MS)

    for batch in batches[:-1]:
        isolation.write(batch)
    with pytest.raises(Refused):
        isolation.write(batches[-1])

    assert sum(isinstance(each, UnreadableKline) for each in topic.entries) == MAX_DEAD_LETTERS


def test_refused_entries_are_offered_again_less_and_less_often() -> None:
    refused, error = RefusedEntries(), Refused("change the topic", concerns_record=False)
    now_s, tries = 0.0, 0
    while now_s < 600.0:
        if not refused.must_wait(now_s):
            refused.keep([*refused.take(), candle("S0", tries)], error, now_s)
            tries += 1
        now_s += 0.2

    assert tries == 5 + 9  # after 2, 4, 8, 16, 32 s, then once a minute
    assert refused.reason == "change the topic"
    assert refused.take() == [candle("S0", at) for at in range(tries)]
    refused.on_accepted()
    assert not refused.must_wait(now_s)
    assert refused.reason == ""
