"""`ulstm export` on a real Kafka, read back with pyarrow and pandas."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner, Result

from services.cli.candle_import.pipeline import import_recordings
from services.cli.commands.export import app
from services.cli.export.columns import CANDLE_COLUMNS, PREDICTION_COLUMNS
from shared.adapters.candle_files import find_recordings
from shared.adapters.env_settings import ServiceSettings
from shared.adapters.kafka.connection import KafkaConnection
from shared.adapters.kafka.producer import ProducerRecord
from shared.adapters.schemas.predictions import decode_prediction
from shared.core.errors import BadSetting, Unknown
from shared.core.topics import partition_for
from tests.services.cli.foreign_records import FOREIGN_VALUES, foreign_records
from tests.support.builders import START_MS, STEP_MS, candle_bytes
from tests.support.deployment import Deployment
from tests.support.recorded_log import SYMBOLS, eventful_klines, gap, record_log

pytestmark = pytest.mark.integration

PARTITIONS = 2
EXAMPLE = Path(__file__).parents[4] / "examples" / "score_predictions.py"
PREDICTIONS = record_log(eventful_klines()).predictions


@pytest.fixture
def deployment(
    kafka: KafkaConnection, redis_url: str, topic_prefix: str, tmp_path: Path
) -> Iterator[Deployment]:
    with Deployment(kafka, redis_url, topic_prefix, tmp_path, partitions=PARTITIONS) as deployment:
        deployment.write([*klines(deployment), *predictions(deployment)])
        for topic in (deployment.topics.klines, deployment.topics.predictions):
            for partition in range(PARTITIONS):
                deployment.await_settled(topic, partition)
        yield deployment


def klines(deployment: Deployment) -> Iterator[ProducerRecord]:
    """Ten candles of two symbols; of the first, one was amended and one filled."""
    first, second = SYMBOLS
    entries = [
        *((at, first, candle_bytes(at, first, f"{100 + at}")) for at in (0, 1, 2, 3)),
        (5, *gap(4, 5, first)),
        *((at, first, candle_bytes(at, first, f"{100 + at}")) for at in (5, 6, 7, 8, 9)),
        *((at, second, candle_bytes(at, second, f"{200 + at}")) for at in range(10)),
        (2, first, candle_bytes(2, first, "99.5", type="amendment")),
        (4, first, candle_bytes(4, first, "104", type="fill")),
    ]
    for at, symbol, value in entries:
        yield record(deployment, deployment.topics.klines, symbol, value, (at + 1) * STEP_MS - 1)


def predictions(deployment: Deployment) -> Iterator[ProducerRecord]:
    for one in PREDICTIONS:
        prediction = decode_prediction(one.value)
        age_ms = prediction.open_time_ms - START_MS
        topic = deployment.topics.predictions
        yield record(deployment, topic, prediction.symbol, one.value or b"", age_ms)


def record(
    deployment: Deployment, topic: str, symbol: str, value: bytes, age_ms: int
) -> ProducerRecord:
    partition = partition_for(symbol, deployment.partitions)
    return ProducerRecord(topic, partition, symbol.encode(), value, START_MS + age_ms)


def run(deployment: Deployment, what: str, out: Path, *options: str) -> Result:
    arguments = [what, "--out", str(out), *options]
    return CliRunner().invoke(app, arguments, obj=deployment.environ)


def times(frame: pd.DataFrame) -> list[int]:
    return [(time.value // 1_000_000 - START_MS) // STEP_MS for time in frame.open_time]


def test_candles_are_exported_as_the_log_corrects_them(
    deployment: Deployment, tmp_path: Path
) -> None:
    out = tmp_path / "candles.parquet"
    result = run(deployment, "candles", out)

    assert result.exit_code == 0, result.exception
    assert "20 rows of 2 symbols, open times 2025-01-01 00:00 to 2025-01-01 00:45" in result.stderr
    assert pq.read_schema(out).equals(CANDLE_COLUMNS)
    frame = pd.read_parquet(out)
    for symbol in SYMBOLS:
        assert times(frame[frame.symbol == symbol]) == list(range(10))
    first = frame[frame.symbol == SYMBOLS[0]].reset_index()
    assert list(first.close) == [100, 101, 99.5, 103, 104, 105, 106, 107, 108, 109]
    assert list(first.index[first.is_amended]) == [2]
    assert list(first.index[first.is_filled]) == [4]
    assert str(frame.open_time.dtype) == "datetime64[ms, UTC]"


def test_predictions_are_exported_with_their_outcomes(
    deployment: Deployment, tmp_path: Path
) -> None:
    out = tmp_path / "predictions.parquet"
    result = run(deployment, "predictions", out, "--json")

    assert result.exit_code == 0, result.exception
    assert json.loads(result.stdout)["rows"] == len(PREDICTIONS)
    assert pq.read_schema(out).equals(PREDICTION_COLUMNS)
    frame = pd.read_parquet(out)
    published = {
        (one.partition, decoded.symbol, decoded.source_offset): decoded
        for one in PREDICTIONS
        for decoded in [decode_prediction(one.value)]
    }
    assert len(frame) == len(published)
    for symbol in SYMBOLS:
        own = frame[frame.symbol == symbol]
        expected = [decode_prediction(one.value) for one in PREDICTIONS]
        expected = [one for one in expected if one.symbol == symbol]
        assert list(own.calibrated_close) == [one.calibrated_close for one in expected]
        assert list(own.lower_close_90) == [one.intervals[2].lower_close for one in expected]
        follows = own.open_time.diff().shift(-1) == pd.Timedelta(minutes=5)
        assert list(own.outcome_close[follows]) == list(own.close.shift(-1)[follows])
        assert own.outcome_close[~follows].isna().all()


def test_only_what_is_asked_for_is_exported(deployment: Deployment, tmp_path: Path) -> None:
    out = tmp_path / "some.csv"
    symbols = ("--symbols", "ethusdt,LTCUSDT")
    options = ("--from", "2025-01-01T00:10", "--to", "2025-01-01T00:25", *symbols)
    result = run(deployment, "candles", out, *options)

    assert result.exit_code == 0, result.exception
    frame = pd.read_csv(out, parse_dates=["open_time"])
    assert "no row in this span of LTCUSDT" in result.stderr
    assert set(frame.symbol) == {"ETHUSDT"}
    assert list(frame.close) == [202, 203, 204]


def test_the_last_prediction_of_a_span_has_its_outcome(
    deployment: Deployment, tmp_path: Path
) -> None:
    all_out, some_out = tmp_path / "all.parquet", tmp_path / "some.parquet"
    run(deployment, "predictions", all_out)
    whole = pd.read_parquet(all_out)
    until = whole.open_time.max() - pd.Timedelta(minutes=15)
    run(deployment, "predictions", some_out, "--to", until.isoformat())

    some = pd.read_parquet(some_out)
    pd.testing.assert_frame_equal(some, whole[whole.open_time < until].reset_index(drop=True))
    assert some.outcome_close.notna().iloc[-1]


def test_foreign_records_are_counted_and_named(deployment: Deployment, tmp_path: Path) -> None:
    partition = partition_for("BTCUSDT", PARTITIONS)
    wrong = ProducerRecord(
        deployment.topics.predictions, partition, b"LTCUSDT", PREDICTIONS[0].value, START_MS
    )
    for topic in (deployment.topics.klines, deployment.topics.predictions):
        deployment.write(foreign_records(topic, partition))
    deployment.write([wrong])
    deployment.await_settled(deployment.topics.predictions, partition)

    candles = run(deployment, "candles", tmp_path / "candles.csv", "--json")
    scored = run(deployment, "predictions", tmp_path / "predictions.csv", "--json")

    assert json.loads(candles.stdout)["unreadable"] == len(FOREIGN_VALUES)
    assert json.loads(candles.stdout)["rows"] == 20
    assert json.loads(scored.stdout)["unreadable"] == len(FOREIGN_VALUES) + 1
    assert f"{deployment.topics.klines}, partition {partition}, offset" in candles.stderr


def test_nothing_to_export_writes_no_file(deployment: Deployment, tmp_path: Path) -> None:
    out = tmp_path / "none.parquet"
    result = run(deployment, "candles", out, "--from", "2030-01-01")

    assert isinstance(result.exception, Unknown)
    assert not out.exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--from", "soon"), "--from: 'soon' is not a time"),
        (("--from", "2025-01-02", "--to", "2025-01-01"), "is not before --to"),
        (("--symbols", "BTC/USDT"), "--symbols has 'BTC/USDT'"),
    ],
)
def test_wrong_use_is_refused_before_kafka_is_asked(
    tmp_path: Path, options: tuple[str, ...], message: str
) -> None:
    arguments = ["candles", "--out", str(tmp_path / "x.csv"), *options]
    result = CliRunner().invoke(app, arguments, obj={"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"})

    assert isinstance(result.exception, BadSetting)
    assert message in str(result.exception)


def test_exported_candles_can_be_imported_elsewhere(
    deployment: Deployment, kafka: KafkaConnection, tmp_path: Path
) -> None:
    out = tmp_path / "candles-5m.parquet"
    run(deployment, "candles", out)
    elsewhere = {**deployment.environ, "TOPIC_PREFIX": f"{deployment.prefix}elsewhere."}

    summary, _ = import_recordings(ServiceSettings.from_env(elsewhere), find_recordings([out]))

    assert (summary.candles, summary.gaps) == (20, 0)


def test_the_pandas_example_scores_an_export(deployment: Deployment, tmp_path: Path) -> None:
    out = tmp_path / "predictions.parquet"
    run(deployment, "predictions", out)

    shown = subprocess.run(
        [sys.executable, str(EXAMPLE), str(out)], capture_output=True, text=True, check=True
    )

    head, _, *rows = (line.split() for line in shown.stdout.splitlines())
    frame = pd.read_parquet(out).dropna(subset=["outcome_close"])
    assert head == ["outcomes", "skill", "inside_90"]
    assert [row[0] for row in rows] == sorted(SYMBOLS)
    assert [int(row[1]) for row in rows] == list(frame.groupby("symbol").size())
