"""`ulstm copy` on a real Kafka: the same candles in other symbol groups, exactly once."""

import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from services.cli.__main__ import app
from services.cli.log_copy import pipeline
from services.cli.log_copy.sources import COPIED_FROM
from shared.adapters.kafka.connection import KafkaConnection
from shared.adapters.kafka.errors import Fenced
from shared.adapters.kafka.producer import ProducerRecord
from shared.core.control import ExchangeBan, SymbolControl
from shared.core.errors import BadSetting, Incompatible
from shared.core.topics import partition_for
from shared.log.control_topic import ControlTopic
from shared.log.kline_writer import KlineWriter
from shared.log.positions import read_positions
from shared.log.time_marks import TIME_MARK
from tests.support.builders import START_MS, STEP_MS, candle_bytes
from tests.support.deployment import Deployment

pytestmark = pytest.mark.integration

SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "币安人生USDT")


@pytest.fixture
def source(
    kafka: KafkaConnection, redis_url: str, topic_prefix: str, tmp_path: Path
) -> Iterator[Deployment]:
    with Deployment(kafka, redis_url, topic_prefix, tmp_path, partitions=2) as deployment:
        yield deployment


@pytest.fixture
def target(source: Deployment, tmp_path: Path) -> Deployment:
    """A deployment that nobody has created yet."""
    prefix = f"{source.prefix}next."
    return Deployment(source.kafka, source.redis_url, prefix, tmp_path, partitions=5)


def publish(source: Deployment, candles: range) -> None:
    source.publish([(s, candle_bytes(at, s)) for at in candles for s in SYMBOLS])


def copy(source: Deployment, target: Deployment, *options: str) -> Result:
    arguments = ["copy", "--to-prefix", target.prefix, "--to-groups", "5", "--json", *options]
    return CliRunner().invoke(app, arguments, obj=source.environ)


def summary(result: Result) -> dict[str, object]:
    assert result.exception is None, result.exception
    found: dict[str, object] = json.loads(result.stdout)
    return found


def klines(deployment: Deployment) -> dict[str, list[tuple[int, bytes | None]]]:
    """Return times and values by key, as the partitions have them, promotions left out."""
    found = defaultdict(list)
    for record in deployment.read(deployment.topics.klines):
        key = (record.key or b"").decode(errors="replace")
        if key != "promotion":
            assert record.partition == partition_for(key, deployment.partitions)
            found[key].append((record.timestamp_ms, record.value))
    return dict(found)


def test_every_candle_is_copied_once_whatever_is_interrupted(
    source: Deployment, target: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(source, range(30))
    source.publish([(SYMBOLS[0], b"no candle")])
    monkeypatch.setattr(pipeline, "_BATCH", 7)
    calls = 0

    def interrupt(done: int, total: int) -> None:
        nonlocal calls
        calls += 1
        if calls == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pipeline.copy_log(source.settings, target.settings, interrupt)
    assert 0 < sum(map(len, klines(target).values())) < 121

    assert summary(copy(source, target))["left"] == 0
    assert klines(target) == klines(source)

    publish(source, range(30, 40))
    assert summary(copy(source, target))["copied"] == 10 * len(SYMBOLS)
    assert klines(target) == klines(source)
    assert summary(copy(source, target))["copied"] == 0


def test_records_say_where_they_came_from_and_keep_their_headers(
    source: Deployment, target: Deployment
) -> None:
    topic, value = source.topics.klines, candle_bytes(0)
    at = partition_for("BTCUSDT", source.partitions)
    heard = [("source", b"rest"), ("arrived_ms", b"7")]
    source.write([ProducerRecord(topic, at, b"BTCUSDT", value, START_MS, heard)])
    copy(source, target)

    old = {
        f"{source.topics.klines}/{record.partition}/{record.offset}": record
        for record in source.read(source.topics.klines)
    }
    for record in target.read(target.topics.klines):
        headers = dict(record.headers or {})
        place = headers.pop(COPIED_FROM).decode()
        assert (record.key, record.value) == (old[place].key, old[place].value)
        headers.pop(TIME_MARK, None)
        assert headers == dict(heard)


def test_the_current_version_is_promoted_and_who_is_followed_goes_along(
    source: Deployment, target: Deployment
) -> None:
    publish(source, range(20))
    version = source.release()
    control = ControlTopic(source.kafka, source.topics, "cli")
    control.publish([SymbolControl("DOGEUSDT", "follow", 5), ExchangeBan("binance", 99)])

    assert summary(copy(source, target))["promoted"] == version
    assert summary(copy(source, target))["promoted"] is None

    state = ControlTopic(target.kafka, target.topics, "cli").refresh()
    assert set(state.wishes) == {"DOGEUSDT"}
    assert state.bans == {}  # it is of the address that asked, not of the log
    current = target.registry.promotions.current()
    assert current is not None
    assert current.promotion.model_version == version


def test_a_target_that_lives_already_is_refused(source: Deployment, target: Deployment) -> None:
    publish(source, range(3))
    copy(source, target)
    target.publish([("BTCUSDT", candle_bytes(3))])
    target.await_settled(target.topics.klines, partition_for("BTCUSDT", target.partitions))

    result = copy(source, target)

    assert isinstance(result.exception, Incompatible)
    assert "no copy" in str(result.exception)


def test_a_deployment_is_not_copied_onto_itself(source: Deployment) -> None:
    publish(source, range(1))
    onto_itself = ["copy", "--to-prefix", source.prefix]
    result = CliRunner().invoke(app, onto_itself, obj=source.environ)

    assert isinstance(result.exception, BadSetting)


def test_a_producer_that_starts_meanwhile_ends_the_copy(
    source: Deployment, target: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(source, range(20))
    monkeypatch.setattr(pipeline, "_BATCH", 7)

    producers = list[KlineWriter]()

    def start_producer(done: int, total: int) -> None:
        if not producers:
            producers.append(KlineWriter(target.kafka, target.topics))

    with pytest.raises(Fenced):
        pipeline.copy_log(source.settings, target.settings, start_producer)
    producers[0].close()


def test_the_target_goes_on_where_the_source_ended(source: Deployment, target: Deployment) -> None:
    publish(source, range(6))
    copy(source, target)

    found = read_positions(target.kafka, target.topics, target.settings.codec, SYMBOLS)

    assert set(found.values()) == {START_MS + 6 * STEP_MS}
