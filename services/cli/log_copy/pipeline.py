"""A copy of a deployment's log: models, control records and candles, exactly once."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Final

from services.cli.log_copy.sources import (
    COPIED_FROM,
    CopiedRecord,
    TopicSource,
    klines_records,
    other_records,
)
from shared.adapters.env_settings import ServiceSettings
from shared.adapters.kafka.admin import ensure_topics, topic_id
from shared.adapters.kafka.backwards_reader import await_settled, read_backwards
from shared.adapters.kafka.reader import ConsumerRecord, Reader
from shared.core.errors import BadSetting, Incompatible
from shared.log.control_topic import ControlTopic
from shared.log.kline_writer import KlineWriter
from shared.log.model_registry import ModelRegistry
from shared.log.promotion_log import PromotionLog

_BATCH: Final = 5_000  # records of one transaction: it holds back every reader while it is open
_BATCH_BYTES: Final = 8 * 1024 * 1024  # the same for bundles, which are large


@dataclass(frozen=True, slots=True)
class CopySummary:
    """The result of a copy.

    Attributes:
        copied: records that were written.
        left: records that the source has got meanwhile: copy again.
        promoted: the version that was promoted in the target; None: it was already, or there is
            none.
    """

    copied: int
    left: int
    promoted: str | None


def copy_log(
    source: ServiceSettings,
    target: ServiceSettings,
    on_records: Callable[[int, int], None] = lambda done, total: None,
) -> CopySummary:
    """Copy a deployment's log into another one, from where the last copy ended.

    Candles, gaps, corrections and statuses keep their bytes, times and headers; promotions and
    predictions are not copied. At the end the source's current version is promoted in the target.

    Args:
        source: settings of the deployment to copy.
        target: settings of the deployment to copy to; its topics are created if they are missing.
        on_records: takes the number of records written so far, and of offsets to go through.

    Raises:
        BadSetting: both are one deployment.
        Incompatible: the target has records that are no copy of the source.
        Unavailable: Kafka does not answer.
    """
    ensure_topics(target.kafka, target.topics)
    _check_apart(source, target)
    source_models = ModelRegistry(source.kafka, source.topics)
    target_models = ModelRegistry(target.kafka, target.topics)
    # 1. Take the transactional id of the target's producer: no other writer can add candles.
    with closing(KlineWriter(target.kafka, target.topics)) as writer:
        # 2. How far earlier copies came stands in the target, in the transactions that wrote them.
        control = ControlTopic(target.kafka, target.topics, "copy")
        copied = control.refresh().copied
        topics, old = target.topics, source.topics
        klines, models, wishes = (
            TopicSource.open(source, topic, copied)
            for topic in (old.klines, old.models, old.control)
        )
        is_first = klines.id not in copied
        _check_only_copies(target, target_models.promotions, klines, is_first=is_first)
        # 3. Bundles first: a promotion needs them. Then who is followed, then the candles.
        total = sum(_offsets_left(each) for each in (models, wishes, klines))
        copier = _Copier(writer, control, total, on_records)
        copier.copy(models, other_records(models, topics.models))
        copier.copy(wishes, _without_copies(other_records(wishes, topics.control)))
        copier.copy(klines, klines_records(klines, topics, source_models.promotions))
    promoted = _promote_current(source_models, target_models)
    newest = TopicSource.open(source, old.klines, {klines.id: klines.ends})
    return CopySummary(copier.count, _offsets_left(newest), promoted)


@dataclass(slots=True)
class _Copier:
    """Writes records in transactions, each with how far the source was copied."""

    writer: KlineWriter
    control: ControlTopic
    total: int
    on_records: Callable[[int, int], None]
    count: int = 0

    def copy(self, source: TopicSource, records: Iterator[CopiedRecord]) -> None:
        """Write a source's records."""
        for batch in _batches(records):
            written = [each.record for each in batch if each.record is not None]
            progress = source.progress({each.partition: each.offset + 1 for each in batch})
            now_ms = time.time_ns() // 1_000_000
            self.writer.write([*written, self.control.to_record(progress, now_ms)])
            self.count += len(written)
            self.on_records(self.count, self.total)


def _batches(records: Iterator[CopiedRecord]) -> Iterator[list[CopiedRecord]]:
    batch, size = list[CopiedRecord](), 0
    for record in records:
        batch.append(record)
        size += 0 if record.record is None else len(record.record.value or b"")
        if len(batch) >= _BATCH or size >= _BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _without_copies(records: Iterator[CopiedRecord]) -> Iterator[CopiedRecord]:
    """Leave out how far the source itself was copied, and the bans of its address."""
    for each in records:
        is_wish = each.record is not None and each.record.key not in {b"copy", b"ban"}
        yield each if is_wish else CopiedRecord(each.partition, each.offset, None)


def _check_apart(source: ServiceSettings, target: ServiceSettings) -> None:
    """Refuse to copy a deployment onto itself.

    Raises:
        BadSetting: both have the same topic of candles, or different intervals.
    """
    if source.interval != target.interval:
        raise BadSetting(
            f"the deployment has candles of {source.interval}, the target would have"
            f" {target.interval}: a copy keeps the interval"
        )
    ids = [topic_id(each.kafka, each.topics.klines) for each in (source, target)]
    if ids[0] == ids[1]:
        raise BadSetting(
            f"{source.topics.klines} on Kafka at {source.kafka} would be copied onto itself; name"
            " another deployment with --to-prefix or --to-servers"
        )


def _check_only_copies(
    target: ServiceSettings, promotions: PromotionLog, klines: TopicSource, *, is_first: bool
) -> None:
    """Refuse a target that has candles of its own.

    Raises:
        Incompatible: it has.
    """
    with Reader(target.kafka, target.topics.klines, headers=True) as reader:
        partitions = range(reader.partitions())
        await_settled(reader, partitions)
        for partition in partitions:
            last = _last_record(reader, partition, promotions)
            if last is None:
                continue
            place = (last.headers or {}).get(COPIED_FROM, b"").decode(errors="replace")
            if is_first or not place.startswith(f"{klines.topic}/"):
                raise Incompatible(
                    f"{target.topics.klines} has records that are no copy of {klines.topic}, the"
                    f" last one of partition {partition} at offset {last.offset}: its producer has"
                    " begun, or it is a deployment of its own; copy to another TOPIC_PREFIX"
                )


def _last_record(reader: Reader, partition: int, promotions: PromotionLog) -> ConsumerRecord | None:
    """Return a partition's last record that is no promotion, or None."""
    for span in read_backwards(reader, partition, first_block=200):
        found = [record for record in span if promotions.decode(record) is None]
        if found:
            return found[-1]
    return None


def _promote_current(source: ModelRegistry, target: ModelRegistry) -> str | None:
    """Promote the source's current version in the target; return it if that was needed."""
    current, there = source.promotions.current(), target.promotions.current()
    if current is None:
        return None
    version = current.promotion.model_version
    if there is not None and there.promotion.model_version == version:
        return None
    target.promote(version)
    return version


def _offsets_left(source: TopicSource) -> int:
    """Return the offsets still to go through; the marks of transactions are among them."""
    return sum(end - min(end, source.starts.get(at, 0)) for at, end in source.ends.items())
