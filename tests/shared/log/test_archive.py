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
def test_the_archive_keeps_the_first_of_two_the_last_amendment_and_the_fills(
    deployment: Deployment,
) -> None:
    symbol = "AAAUSDT"
    partition = partition_for(symbol, deployment.partitions)
    closes = [(0, 1.0), (1, 2.0), (1, 3.0), (0, 4.0), (4, 5.0)]
    values = [(at, candle_bytes(at, symbol, f"{close:.6f}")) for at, close in closes]
    values += [(0, b"junk"), (0, b""), (0, candle_bytes(1, symbol, "7.0", type="amendment"))]
    values += [(at, candle_bytes(at, symbol, "9.0", type="fill")) for at in (3, 3)]
    deployment.write(
        ProducerRecord(deployment.topics.klines, partition, None, value, START_MS + at * STEP_MS)
        for at, value in values
    )
    archive = Archive(deployment.kafka, deployment.topics)
    eventually(lambda: archive.ends()[partition] >= len(values))

    everything = archive.read(TimeSpan())
    newest = archive.read(TimeSpan(), keep=2)
    between = archive.read(
        TimeSpan(START_MS + STEP_MS, START_MS + STEP_MS), symbols=[symbol, "BBBUSDT"]
    )

    assert everything.sequences[symbol][:, CLOSE].tolist() == [1.0, 7.0, 9.0, 5.0]
    assert everything.refused == 5
    assert newest.sequences[symbol][:, CLOSE].tolist() == [9.0, 5.0]
    assert between.sequences[symbol][:, OPEN_TIME].tolist() == [START_MS + STEP_MS]
    assert archive.newest_ms() == START_MS + 4 * STEP_MS


@pytest.mark.integration
def test_the_newest_candle_is_found_before_the_history_of_another_symbol(
    deployment: Deployment,
) -> None:
    """An old symbol's history was imported after a younger one's, into the same partition."""
    younger, older = symbols_of_one_partition(deployment.partitions)
    partition = partition_for(younger, deployment.partitions)
    archive = Archive(deployment.kafka, deployment.topics)
    assert archive.newest_ms() is None
    history = [(younger, 5_000 + at) for at in range(300)] + [(older, at) for at in range(300)]
    deployment.write(
        ProducerRecord(
            deployment.topics.klines,
            partition,
            symbol.encode(),
            candle_bytes(at, symbol),
            START_MS + (at + 1) * STEP_MS - 1,
        )
        for symbol, at in history
    )
    deployment.await_settled(deployment.topics.klines, partition)

    assert archive.newest_ms() == START_MS + 5_299 * STEP_MS
    since = TimeSpan(START_MS + 5_200 * STEP_MS)
    assert {s: len(rows) for s, rows in archive.read(since).sequences.items()} == {younger: 100}
    deployment.write(
        [ProducerRecord(deployment.topics.klines, partition, b"?", b"junk", START_MS + 10**11)]
    )
    deployment.await_settled(deployment.topics.klines, partition)
    assert archive.newest_ms() == START_MS + 5_299 * STEP_MS


def symbols_of_one_partition(partitions: int) -> tuple[str, str]:
    names = [f"S{number}USDT" for number in range(2 * partitions + 1)]
    first = names[0]
    of_first = partition_for(first, partitions)
    other = next(n for n in names[1:] if partition_for(n, partitions) == of_first)
    return first, other
