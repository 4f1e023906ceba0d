"""Select dead letters, compare them with the log, and append those that can be redriven."""

import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Final

from services.cli.redrive.decision import (
    LogPositions,
    RedriveCandidate,
    RedriveResult,
    RedriveStatus,
    decide_all,
    to_candidate,
)
from services.cli.terminal import printable
from services.cli.topic_checks import check_partitions
from shared.adapters.env_settings import ServiceSettings
from shared.adapters.kafka.reader import Reader
from shared.adapters.schemas.dead_letters import DeadLetter
from shared.core.errors import BadInput, BadSetting
from shared.core.symbols import normalise_symbol
from shared.log.archive import Archive
from shared.log.dead_letters import decode_dead_letters, format_place
from shared.log.kline_writer import KlineWriter
from shared.log.positions import read_positions

MOST_SELECTED: Final = 100_000  # dead letters of one redrive, all in memory
_BATCH: Final = 5_000  # records of one transaction: it holds back every reader while it is open


@dataclass(frozen=True, slots=True)
class DeadLetterFilter:
    """Selects the dead letters that agree with everything given."""

    places: frozenset[str] = frozenset()
    reason: str | None = None
    symbol: str | None = None

    def __contains__(self, dead_letter: DeadLetter) -> bool:
        """Return whether a dead letter is selected."""
        return (
            (not self.places or printable_place(dead_letter) in self.places)
            and self.reason in (None, dead_letter.reason)
            and (self.symbol is None or dead_letter.key == normalise_symbol(self.symbol).encode())
        )


def printable_place(dead_letter: DeadLetter) -> str:
    """Return the place of the rejected record as `list` shows it and users name it."""
    return printable(format_place(dead_letter))


def read_selected(
    settings: ServiceSettings, selected: DeadLetterFilter
) -> Iterator[tuple[int, DeadLetter]]:
    """Yield the selected dead letters, oldest first, each with its time in ms since 1970.

    Raises:
        Unavailable: Kafka does not answer.
        Incompatible: there is no such topic.
    """
    where, topic = settings.kafka, settings.topics.dead_letters
    with Reader(where, topic, headers=True) as reader:
        check_partitions(where, topic, reader, 1)
        for record, dead_letter in decode_dead_letters(reader.read(0, 0)):
            if dead_letter in selected:
                yield record.timestamp_ms, dead_letter


def redrive(
    settings: ServiceSettings, selected: DeadLetterFilter, *, send: bool
) -> list[RedriveResult]:
    """Decide on the selected dead letters; append those that are ready if `send` is set.

    Raises:
        BadSetting: too many are selected.
        Fenced: a producer or an import took over.
        OutcomeUnknown: the last records may be in the log or not; ask again to see.
    """
    candidates, refused = _split(settings, selected)
    results = _compare_with_log(settings, candidates)
    if send and any(result.status is RedriveStatus.READY for result in results):
        results = _send(settings, candidates)
    return refused + results


def _split(
    settings: ServiceSettings, selected: DeadLetterFilter
) -> tuple[list[RedriveCandidate], list[RedriveResult]]:
    """Return the dead letters that may be redriven, and the decisions on the others."""
    candidates: list[RedriveCandidate] = []
    refused: list[RedriveResult] = []
    for _, dead_letter in read_selected(settings, selected):
        try:
            candidates.append(to_candidate(dead_letter, settings.topics, settings.codec))
        except BadInput as error:
            small = replace(dead_letter, value=None)  # the bytes may be many, and are done with
            refused.append(RedriveResult(small, RedriveStatus.REFUSED, error.reason, str(error)))
        if len(candidates) + len(refused) > MOST_SELECTED:
            raise BadSetting(
                f"more than {MOST_SELECTED:,} dead letters are selected: narrow them by --reason"
                " or --symbol"
            )
    return candidates, refused


def _compare_with_log(
    settings: ServiceSettings, candidates: Sequence[RedriveCandidate]
) -> list[RedriveResult]:
    """Decide on candidates by the present contents of the log."""
    if not candidates:
        return []
    where, topics, codec = settings.kafka, settings.topics, settings.codec
    with Reader(where, topics.klines) as reader:
        check_partitions(where, topics.klines, reader, topics.partitions)
    # 1. Read where each symbol's log ends. This waits until open transactions are settled, so
    #    that `ends`, taken after it, covers every record that was committed before.
    next_ms = read_positions(where, topics, codec, {one.value.symbol for one in candidates})
    archive = Archive(where, topics)
    ends = archive.ends()
    identities = frozenset(one.identity for one in candidates)
    positions = LogPositions(codec.interval_ms, identities, next_ms)
    # 2. Read the part of the log that a candidate may repeat, not years of it: a record's time is
    #    the end of its candle or gap, so nothing before the oldest candidate's start matters.
    newest_first = sorted(candidates, key=lambda candidate: -candidate.starts_ms)
    oldest_ms = {candidate.partition: candidate.starts_ms for candidate in newest_first}
    for partition, starts_ms in oldest_ms.items():
        start = archive.offset_at(partition, starts_ms - codec.interval_ms)
        for offset, record in archive.records(partition, start, ends[partition]):
            positions.add(offset, record)
    return decide_all(candidates, positions, topics.klines, time.time_ns() // 1_000_000)


def _send(settings: ServiceSettings, candidates: Sequence[RedriveCandidate]) -> list[RedriveResult]:
    where, topics = settings.kafka, settings.topics
    # 1. Take the producer's transactional id: it fences a running producer or import, so that no
    #    other writer can append from here on.
    with closing(KlineWriter(where, topics)) as writer:
        # 2. Compare with the log again: it may have grown since the first comparison.
        results = _compare_with_log(settings, candidates)
        # 3. Append in the order of the decisions: each made room for the next.
        records = [result.record for result in results if result.record is not None]
        for start in range(0, len(records), _BATCH):
            writer.write(records[start : start + _BATCH])
    return results
