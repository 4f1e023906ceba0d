"""Fold the archived klines again and compare the result with what was published, byte for byte."""

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

from rich.console import Console
from rich.progress import Progress

from services.cli.processor import build_processor
from services.cli.running_digest import RunningDigest
from services.cli.unreadable_records import UnreadableRecords, decode_predictions
from shared.adapters.env_settings import ServiceSettings
from shared.adapters.kafka.reader import Reader
from shared.adapters.schemas.predictions import encode_prediction
from shared.core.online.partition import PartitionState
from shared.core.online.prediction import Prediction
from shared.log.model_registry import ModelRegistry
from shared.log.record_processor import BatchResult, RecordProcessor


@dataclass(frozen=True, slots=True)
class OpenTimes:
    """The open times in ms, from one to before another, whose predictions are compared."""

    from_ms: int = 0
    to_ms: int = 2**62

    def __contains__(self, prediction: Prediction) -> bool:
        """Return whether a prediction is to be compared."""
        return self.from_ms <= prediction.open_time_ms < self.to_ms


@dataclass(slots=True)
class PublishedPredictions:
    """The predictions of a partition as they were published.

    `digest` covers those of this numeric profile: other versions derive other bytes.
    """

    digest: RunningDigest = field(default_factory=RunningDigest)
    by_other_profile: Counter[str] = field(default_factory=Counter)
    unreadable: UnreadableRecords = field(default_factory=UnreadableRecords)
    last_source_offset: int = -1


@dataclass(slots=True)
class PartitionReplay:
    """The predictions that a partition's klines give, and those that were published."""

    partition: int
    published: PublishedPredictions
    derived: RunningDigest = field(default_factory=RunningDigest)
    not_published_yet: int = 0  # from klines that no predictor has processed so far

    @property
    def is_same(self) -> bool:
        """Whether the topic holds the derived bytes and nothing else."""
        return (
            self.derived.sha256 == self.published.digest.sha256
            and not self.published.unreadable.count
        )

    def to_json(self) -> dict[str, Any]:
        """Return the values for a program."""
        published = self.published
        return {
            "partition": self.partition,
            "predictions": self.derived.count,
            "sha256": self.derived.sha256,
            "published": published.digest.count,
            "published_sha256": published.digest.sha256,
            "not_published_yet": self.not_published_yet,
            "of_other_profiles": dict(published.by_other_profile),
            "unreadable": published.unreadable.count,
            "same": self.is_same,
        }


def replay(
    settings: ServiceSettings, wanted: OpenTimes, out: Path | None, console: Console
) -> list[PartitionReplay]:
    """Replay all partitions of a deployment.

    Args:
        settings: of the deployment.
        wanted: the open times of the predictions to compare.
        out: a file for the derived values, one a line; None writes none.
        console: shows the progress.

    Raises:
        Incompatible: this machine does not compute the golden bits.
        Unavailable: Kafka does not answer.
    """
    where, topics = settings.kafka_bootstrap_servers, settings.topics
    processor = build_processor(settings, ModelRegistry(where, topics).bundles.load)
    replays = []
    with ExitStack() as stack:
        file = stack.enter_context(out.open("wb")) if out else None
        klines = stack.enter_context(Reader(where, topics.klines))
        predictions = stack.enter_context(Reader(where, topics.predictions))
        progress = stack.enter_context(Progress(console=console))
        for partition in range(settings.symbol_groups):
            published = _read_published(predictions, partition, settings, wanted, processor)
            task = progress.add_task(f"partition {partition}", total=klines.ends(partition)[1])
            replayed = PartitionReplay(partition, published)
            for batch in _derive(processor, klines, replayed):
                progress.update(task, completed=batch.state.next_offset)
                for prediction in batch.predictions:
                    if prediction in wanted:
                        _add(replayed, prediction, file)
            replays.append(replayed)
    return replays


def _read_published(
    reader: Reader,
    partition: int,
    settings: ServiceSettings,
    wanted: OpenTimes,
    processor: RecordProcessor,
) -> PublishedPredictions:
    """Read a partition of the predictions topic to its end at this moment."""
    published = PublishedPredictions()
    records = chain.from_iterable(reader.read(partition, 0))
    for record, prediction in decode_predictions(
        settings.topics.predictions, records, published.unreadable
    ):
        profile = prediction.numeric_profile
        published.last_source_offset = max(published.last_source_offset, prediction.source_offset)
        if prediction not in wanted:
            continue
        if profile == processor.context.numeric_profile:
            published.digest.add(record.key or b"", record.value or b"")
        else:
            published.by_other_profile[profile] += 1
    return published


def _derive(
    processor: RecordProcessor, klines: Reader, replayed: PartitionReplay
) -> Iterator[BatchResult]:
    """Fold a partition again from its first record on; yield what each block of records gives."""
    batch = BatchResult(PartitionState())
    for block in klines.read(replayed.partition, 0):
        for record in block:
            processor.process(batch, record)
        yield batch
        batch.clear_output()


def _add(replayed: PartitionReplay, prediction: Prediction, file: BinaryIO | None) -> None:
    if prediction.source_offset > replayed.published.last_source_offset:
        replayed.not_published_yet += 1
        return
    value = encode_prediction(prediction)
    replayed.derived.add(prediction.symbol.encode(), value)
    if file is not None:
        file.write(value + b"\n")
