"""`ulstm replay`: the log as it happened, folded again."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from services.cli.cli_options import option_ms
from shared.adapters.env_settings import ServiceSettings
from shared.adapters.kafka.reader import Reader
from shared.adapters.schemas import encode_prediction
from shared.core.errors import Incompatible
from shared.core.model.numeric_profile import self_test
from shared.core.online.model import FoldContext
from shared.core.online.partition import PartitionState
from shared.core.online.prediction import Prediction
from shared.core.topics import interval_ms
from shared.log.model_cache import LoadBundle, ModelCache
from shared.log.model_registry import ModelRegistry
from shared.log.record_processor import BatchResult, RecordProcessor


@dataclass(slots=True)
class RunningDigest:
    """Running SHA-256 over keys and values, in order."""

    count: int = 0
    _hash: Any = field(default_factory=hashlib.sha256)

    def add(self, key: bytes, value: bytes) -> None:
        """Take one more record in."""
        self.count += 1
        for part in (key, value):
            self._hash.update(len(part).to_bytes(4, "big"))
            self._hash.update(part)

    @property
    def sha256(self) -> str:
        """The digest so far, in hexadecimal."""
        return str(self._hash.hexdigest())


def replay_command(
    context: typer.Context,
    start: Annotated[
        str, typer.Option("--from", help="Show predictions of candles that open from here on.")
    ] = "",
    end: Annotated[str, typer.Option("--to", help="... and before here.")] = "",
    out: Annotated[
        Path | None, typer.Option(help="Write the prediction values to this file, one a line.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """Fold the archived topic again; compare with what was published, byte for byte."""
    settings = ServiceSettings.from_env(context.obj)
    span = (option_ms(start, "--from", 0), option_ms(end, "--to", 2**62))
    rows = replay(settings, span, out, Console(stderr=True))
    if as_json:
        print(json.dumps(rows))
    else:
        _show(rows)
    if not all(row["same"] for row in rows):
        message = "what was published differs from what the log gives"
        raise Incompatible(message)


def replay(
    settings: ServiceSettings, span: tuple[int, int], out: Path | None, console: Console
) -> list[dict[str, Any]]:
    """Return a row per symbol group: predictions, their digest, and that of what was published."""
    where, topics = settings.kafka_bootstrap_servers, settings.topics
    processor = processor_for(settings, ModelRegistry(where, topics).load)
    rows = []
    with ExitStack() as stack:
        file = stack.enter_context(out.open("wb")) if out else None
        klines = stack.enter_context(Reader(where, topics.klines))
        published = stack.enter_context(Reader(where, topics.predictions))
        progress = stack.enter_context(Progress(console=console))
        for group in range(settings.symbol_groups):
            limit = published.ends(group)[1]
            found = _published(published, group, limit, span, processor.context.numeric_profile)
            ours, beyond = RunningDigest(), 0
            task = progress.add_task(f"group {group}", total=klines.ends(group)[1])
            for folded in _folded(
                processor, klines, group, PartitionState(numeric_profile=found.first_profile)
            ):
                progress.update(task, completed=folded.state.next_offset)
                for prediction in _within(folded.predictions, span):
                    if prediction.source_offset > found.last_source:
                        beyond += 1  # not published yet: the predictors are behind the log
                        continue
                    _take(prediction, ours, file)
            rows.append(
                {
                    "group": group,
                    "predictions": ours.count,
                    "sha256": ours.sha256,
                    "published": found.chain.count,
                    "published_sha256": found.chain.sha256,
                    "not_published_yet": beyond,
                    "of_other_profiles": found.others,
                    "same": ours.sha256 == found.chain.sha256,
                }
            )
            _tell_others(console, group, found.others)
    return rows


def _tell_others(console: Console, group: int, others: Mapping[str, int]) -> None:
    for profile, count in others.items():
        console.print(
            f"[bold red]NOT COMPARED:[/bold red] {count} predictions of group {group} have numeric profile {profile};"
            f" this version is {self_test()}: replay them with the version that has it",
            soft_wrap=True,
        )


def processor_for(settings: ServiceSettings, load: LoadBundle) -> RecordProcessor:
    """Return what folds a deployment's klines on this machine.

    Raises:
        Incompatible: this machine does not compute the golden bits.
    """
    context = FoldContext(settings.interval, interval_ms(settings.interval), self_test())
    return RecordProcessor(settings.topics.klines, settings.codec, context, ModelCache(load))


def _folded(
    processor: RecordProcessor, klines: Reader, group: int, start: PartitionState
) -> Iterator[BatchResult]:
    folded = BatchResult(start)
    for block in klines.read(group, 0):
        for record in block:
            processor.process(folded, record)
        yield folded
        folded.clear_output()


def _within(predictions: list[Prediction], span: tuple[int, int]) -> Iterator[Prediction]:
    return (p for p in predictions if span[0] <= p.open_time_ms < span[1])


def _take(prediction: Prediction, chain: RunningDigest, file: BinaryIO | None) -> None:
    value = encode_prediction(prediction)
    chain.add(prediction.symbol.encode(), value)
    if file is not None:
        file.write(value + b"\n")


@dataclass(slots=True)
class _PublishedDigest:
    """What was published in a span by one numeric profile, and how much by others."""

    chain: RunningDigest = field(default_factory=RunningDigest)
    others: Counter[str] = field(default_factory=Counter)
    last_source: int = -1
    first_profile: str | None = None  # what predicted before promotions named a profile


def _published(
    reader: Reader, group: int, end: int, span: tuple[int, int], profile: str
) -> _PublishedDigest:
    found = _PublishedDigest()
    for block in reader.read(group, 0, end):
        for record in block:
            fields = json.loads(record.value or b"{}")
            theirs = fields["numeric_profile"]
            found.first_profile = found.first_profile or theirs
            found.last_source = max(found.last_source, fields["source_offset"])
            if not span[0] <= fields["open_time_ms"] < span[1]:
                continue
            if theirs == profile:
                found.chain.add(record.key or b"", record.value or b"")
            else:
                found.others[theirs] += 1
    return found


def _show(rows: list[dict[str, Any]]) -> None:
    table = Table(title="replay")
    for column in (
        "group",
        "predictions",
        "sha256",
        "published",
        "not published yet",
        "of other profiles",
        "same bytes",
    ):
        table.add_column(column)
    for row in rows:
        table.add_row(
            str(row["group"]),
            str(row["predictions"]),
            row["sha256"][:16],
            str(row["published"]),
            str(row["not_published_yet"]),
            str(sum(row["of_other_profiles"].values())),
            "yes" if row["same"] else "NO",
        )
    Console().print(table)
