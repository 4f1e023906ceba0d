"""What the contract costs: exporting the topics, and headers that records do not carry."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from time import monotonic
from typing import Final

from benchmarks.deployment import BenchmarkDeployment, BenchmarkOptions
from benchmarks.result import Peer, Result
from shared.adapters.kafka.producer import ProducerRecord, TransactionalProducer
from shared.adapters.schemas.predictions import encode_prediction
from shared.core.online.prediction import Prediction
from shared.core.topics import partition_for
from tests.support.builders import STEP_MS, a_model, a_promotion, a_walk, candles, fold_all

CLOSES: Final = 2_000  # symbols that close at once: one transaction
ROUNDS: Final = 50
HEADER_ROUNDS: Final = 30


def contract_rows(options: BenchmarkOptions) -> Iterator[Result]:
    """Yield the rows of the export and of CloudEvents headers."""
    report_progress = options.report_progress
    report_progress(f"contract: predictions of {CLOSES:,} symbols")
    predictions = _predictions()
    with options.deployments() as deploy:
        with deploy("export.") as deployment:
            _write_rounds(deployment, predictions)
            report_progress(f"export: {CLOSES * ROUNDS:,} predictions")
            yield _export_row(deployment, options.folder / "predictions.parquet")
        report_progress("headers: transactions with and without them")
        with deploy("headers.") as deployment:
            yield from _header_rows(deployment, predictions, options.folder)


def _predictions() -> list[Prediction]:
    """Return a prediction of each of many symbols."""
    model, found = a_model(), list[Prediction]()
    for number in range(CLOSES):
        symbol = f"S{number:03d}USDT"
        records = [a_promotion(model), *candles(a_walk(18, number), symbol)]
        found.append(fold_all(records, {model.version: model})[1][-1])
    return found


def _write_rounds(deployment: BenchmarkDeployment, predictions: Sequence[Prediction]) -> None:
    deployment.write(
        _record(deployment, replace(one, open_time_ms=one.open_time_ms + number * STEP_MS))
        for number in range(ROUNDS)
        for one in predictions
    )


def _record(
    deployment: BenchmarkDeployment, prediction: Prediction, topic: str = ""
) -> ProducerRecord:
    return ProducerRecord(
        topic or deployment.topics.predictions,
        0 if topic else partition_for(prediction.symbol, deployment.partitions),
        prediction.symbol.encode(),
        encode_prediction(prediction),
        prediction.open_time_ms,
    )


def _export_row(deployment: BenchmarkDeployment, out: Path) -> Result:
    began_s = monotonic()
    subprocess.run(
        [sys.executable, "-m", "services.cli", "export", "predictions", "--out", str(out)],
        env={**os.environ, **deployment.environ},
        check=True,
        stderr=subprocess.DEVNULL,
    )
    per_million = (monotonic() - began_s) / (CLOSES * ROUNDS) * 1e6
    return Result("export, a million predictions", per_million, "s", note="the start included")


def _header_rows(
    deployment: BenchmarkDeployment, predictions: Sequence[Prediction], folder: Path
) -> Iterator[Result]:
    """Yield the cost of CloudEvents headers: time of a transaction, bytes of the log."""
    plain_topic, topic = deployment.topics.models, deployment.topics.dead_letters
    plain = [_record(deployment, one, plain_topic) for one in predictions]
    headed = [
        replace(record, topic=topic, headers=_headers(one))
        for record, one in zip(plain, predictions, strict=True)
    ]
    plain_ms, headed_ms = _write_alternately(deployment, plain, headed)
    sizes = [
        _bytes_on_disk(folder, each) / (CLOSES * HEADER_ROUNDS) for each in (plain_topic, topic)
    ]
    yield Result(
        f"CloudEvents headers, a transaction of {CLOSES:,} predictions",
        headed_ms,
        "ms",
        peer=Peer("without", plain_ms),
    )
    yield Result(
        "CloudEvents headers, a prediction on disk",
        sizes[1],
        "bytes",
        peer=Peer("without", sizes[0]),
    )


def _headers(prediction: Prediction) -> list[tuple[str, bytes]]:
    """Return the headers of CloudEvents' binary mode for Kafka."""
    return [
        ("ce_specversion", b"1.0"),
        ("ce_id", f"3-{prediction.source_offset}".encode()),
        ("ce_source", b"/predictions.5m"),
        ("ce_type", b"updating-lstm.prediction.1"),
        ("ce_subject", prediction.symbol.encode()),
        ("content-type", b"application/json"),
    ]


def _write_alternately(
    deployment: BenchmarkDeployment,
    first: Sequence[ProducerRecord],
    second: Sequence[ProducerRecord],
) -> tuple[float, float]:
    """Return the median ms of writing each, in turns."""
    writer = TransactionalProducer(deployment.kafka, f"{deployment.prefix}headers")
    times_ms: tuple[list[float], list[float]] = ([], [])
    try:
        for _ in range(HEADER_ROUNDS):
            for records, found in zip((first, second), times_ms, strict=True):
                began_s = monotonic()
                writer.write(records)
                found.append((monotonic() - began_s) * 1e3)
    finally:
        writer.close()
    return median(times_ms[0]), median(times_ms[1])


def _bytes_on_disk(folder: Path, topic: str) -> int:
    return sum(path.stat().st_size for path in folder.glob(f"**/{topic}-0/*.log"))
