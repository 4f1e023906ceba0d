"""`ulstm replay`: fold the archived klines again and compare with the published predictions."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Final

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from services.cli.cli_options import AsJson, parse_time_option_ms
from services.cli.derivation import RunningDigest, build_processor
from services.cli.examples import examples
from services.cli.terminal import PlainConsole, print_json, print_unreadable, print_warning
from services.cli.topic_checks import open_deployment
from shared.adapters.env_settings import ServiceSettings
from shared.adapters.kafka.reader import ConsumerRecord, Reader
from shared.adapters.schemas.predictions import encode_prediction
from shared.core.errors import Incompatible
from shared.core.model.numeric_profile import self_test
from shared.core.online.partition import PartitionState
from shared.core.online.prediction import Prediction
from shared.log.model_registry import ModelRegistry
from shared.log.published_predictions import UnreadableRecords, decode_predictions
from shared.log.record_processor import BatchResult, RecordProcessor
from shared.log.skip_log import SkipLog, without_skipped

ALL_TIMES: Final = range(2**62)  # ms since 1970


@dataclass(slots=True)
class PartitionReplay:
    """The predictions that a partition's klines give, and those that were published."""

    partition: int
    derived: RunningDigest = field(default_factory=RunningDigest)
    # Only those of this numeric profile: other versions derive other bytes.
    published: RunningDigest = field(default_factory=RunningDigest)
    other_profiles: Counter[str] = field(default_factory=Counter)
    unreadable: UnreadableRecords = field(default_factory=UnreadableRecords)
    last_source_offset: int = -1  # of the predictions on the topic
    not_published_yet: int = 0  # from klines that no predictor has processed so far

    @property
    def is_same(self) -> bool:
        """Whether the predictions on the topic are the derived bytes."""
        return self.derived.sha256 == self.published.sha256

    def to_json(self) -> dict[str, Any]:
        """Return the values for a program."""
        return {
            "partition": self.partition,
            "predictions": self.derived.count,
            "sha256": self.derived.sha256,
            "published": self.published.count,
            "published_sha256": self.published.sha256,
            "not_published_yet": self.not_published_yet,
            "of_other_profiles": dict(self.other_profiles),
            "unreadable": self.unreadable.count,
            "same": self.is_same,
        }


EXAMPLES: Final = examples(
    "ulstm replay", "ulstm replay --from 2025-01-01 --to 2025-02-01 --out replayed.jsonl"
)


def replay_command(
    context: typer.Context,
    start: Annotated[
        str, typer.Option("--from", help="Compare predictions of candles that open from here on.")
    ] = "",
    end: Annotated[str, typer.Option("--to", help="... and before here.")] = "",
    out: Annotated[
        Path | None, typer.Option(help="Write the prediction values to this file, one a line.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Fold the archived topic again and compare with the published predictions, byte for byte.

    Exit code 1 if anything differs. A record that no reader takes for a prediction is passed over
    with a warning.
    """
    settings = open_deployment(context.obj, "klines", "predictions", "models")
    open_times_ms = range(
        parse_time_option_ms(start, "--from", ALL_TIMES.start),
        parse_time_option_ms(end, "--to", ALL_TIMES.stop),
    )
    console = PlainConsole(stderr=True)
    replays = replay(settings, open_times_ms, out, console)
    if as_json:
        print_json([replayed.to_json() for replayed in replays])
    else:
        PlainConsole().print(_table(replays))
    for replayed in replays:
        _warn(console, replayed)
    _check_same(replays, settings.topics.predictions)


def replay(
    settings: ServiceSettings, open_times_ms: range, out: Path | None, console: Console
) -> list[PartitionReplay]:
    """Replay all partitions of a deployment.

    Args:
        settings: of the deployment.
        open_times_ms: compare the predictions of candles that open in this span.
        out: a file for the derived values, one a line; None writes none.
        console: shows the progress.

    Raises:
        Incompatible: this machine does not compute the golden bits.
        Unavailable: Kafka does not answer.
    """
    where, topics = settings.kafka, settings.topics
    processor = build_processor(settings, ModelRegistry(where, topics).bundles.load)
    replays = [PartitionReplay(partition) for partition in range(settings.symbol_groups)]
    skips = SkipLog(where, topics)
    with ExitStack() as stack:
        file = stack.enter_context(out.open("wb")) if out else None
        klines = stack.enter_context(Reader(where, topics.klines))
        predictions = stack.enter_context(Reader(where, topics.predictions))
        progress = stack.enter_context(Progress(console=console))
        for replayed in replays:
            partition = replayed.partition
            blocks = without_skipped(predictions.read(partition, 0), skips.offsets(partition))
            published = decode_predictions(
                topics.predictions, chain.from_iterable(blocks), replayed.unreadable
            )
            _add_published(replayed, published, open_times_ms, processor.context.numeric_profile)
            task = progress.add_task(f"partition {partition}", total=klines.ends(partition)[1])
            for batch in _derive(processor, klines, partition):
                progress.update(task, completed=batch.state.next_offset)
                for prediction in batch.predictions:
                    if prediction.open_time_ms in open_times_ms:
                        _add_derived(replayed, prediction, file)
    return replays


def _add_published(
    replayed: PartitionReplay,
    published: Iterator[tuple[ConsumerRecord, Prediction]],
    open_times_ms: range,
    numeric_profile: str,
) -> None:
    for record, prediction in published:
        replayed.last_source_offset = max(replayed.last_source_offset, prediction.source_offset)
        if prediction.open_time_ms not in open_times_ms:
            continue
        if prediction.numeric_profile == numeric_profile:
            replayed.published.add(record.key, record.value)
        else:
            replayed.other_profiles[prediction.numeric_profile] += 1


def _derive(processor: RecordProcessor, klines: Reader, partition: int) -> Iterator[BatchResult]:
    """Fold a partition again from its first record on; yield the results block by block."""
    batch = BatchResult(PartitionState())
    for block in klines.read(partition, 0):
        for record in block:
            processor.process(batch, record)
        yield batch
        batch.clear_output()


def _add_derived(replayed: PartitionReplay, prediction: Prediction, file: BinaryIO | None) -> None:
    if prediction.source_offset > replayed.last_source_offset:
        replayed.not_published_yet += 1
        return
    value = encode_prediction(prediction)
    replayed.derived.add(prediction.symbol.encode(), value)
    if file is not None:
        file.write(value + b"\n")


def _warn(console: Console, replayed: PartitionReplay) -> None:
    for profile, count in replayed.other_profiles.items():
        print_warning(
            console,
            f"{count} predictions of partition {replayed.partition} were not compared: they have"
            f" numeric profile {profile}, this version has {self_test()}; replay them with the"
            " version that has it",
        )
    print_unreadable(console, replayed.unreadable)


def _check_same(replays: Sequence[PartitionReplay], topic: str) -> None:
    if not all(replayed.is_same for replayed in replays):
        raise Incompatible(
            f"the predictions on {topic} differ from what the log gives;"
            " `ulstm verify` names the first that does"
        )


def _table(replays: Sequence[PartitionReplay]) -> Table:
    shown = ("not published yet", "of other profiles", "unreadable", "same bytes")
    table = Table("partition", "predictions", "SHA-256", "published", *shown, title="replay")
    for replayed in replays:
        table.add_row(
            str(replayed.partition),
            str(replayed.derived.count),
            replayed.derived.sha256[:16],
            str(replayed.published.count),
            str(replayed.not_published_yet),
            str(replayed.other_profiles.total()),
            str(replayed.unreadable.count),
            "yes" if replayed.is_same else "NO",
        )
    return table
