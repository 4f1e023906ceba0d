"""The archive reads candles and amendments from `klines`."""

import pytest

from shared.adapters.kafka.producer import ProducerRecord
from shared.core.sequence import CLOSE, OPEN_TIME
from shared.core.topics import partition_for
from shared.log.archive import Archive, TimeSpan
from tests.support.builders import START_MS, STEP_MS, candle_bytes
from tests.support.deployment import Deployment
from tests.support.waiting import eventually


@pytest.mark.integration
def test_the_archive_keeps_the_first_of_two_and_the_last_amendment(deployment: Deployment) -> None:
    symbol = "AAAUSDT"
    partition = partition_for(symbol, deployment.partitions)
    closes = [(0, 1.0), (1, 2.0), (1, 3.0), (0, 4.0), (3, 5.0)]
    values = [(at, candle_bytes(at, symbol, f"{close:.6f}")) for at, close in closes]
    values += [(0, b"junk"), (0, b""), (0, candle_bytes(1, symbol, "7.0", type="amendment"))]
    deployment.write(
        ProducerRecord(deployment.topics.klines, partition, None, value, START_MS + at * STEP_MS)
        for at, value in values
    )
    archive = Archive(deployment.kafka_bootstrap, deployment.topics)
    eventually(lambda: archive.ends()[partition] >= len(values))

    everything = archive.read(TimeSpan())
    newest = archive.read(TimeSpan(), keep=2)
    between = archive.read(
        TimeSpan(START_MS + STEP_MS, START_MS + STEP_MS), symbols=[symbol, "BBBUSDT"]
    )

    assert everything.sequences[symbol][:, CLOSE].tolist() == [1.0, 7.0, 5.0]
    assert everything.refused == 4
    assert newest.sequences[symbol][:, CLOSE].tolist() == [7.0, 5.0]
    assert between.sequences[symbol][:, OPEN_TIME].tolist() == [START_MS + STEP_MS]
    assert archive.newest_ms() == START_MS + 3 * STEP_MS
