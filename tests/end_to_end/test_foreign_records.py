"""Records of foreign programs on each topic: nobody stops, and what must wait waits alone."""

import json
import signal

import pytest

from shared.adapters.kafka.producer import ProducerRecord
from shared.adapters.schemas.predictions import encode_prediction
from shared.core.topics import partition_for
from tests.support.builders import START_MS, interleaved_candles
from tests.support.deployment import PARTITIONS, Deployment
from tests.support.waiting import eventually

pytestmark = [pytest.mark.integration, pytest.mark.end_to_end]

SYMBOLS = ["BTCUSDT", "ETHUSDT"]
PARTITION = partition_for("BTCUSDT", PARTITIONS)
FOREIGN = (b"\x00\xff garbage", b'{"type": "foreign", "n": [[[]]]}', b"", None)


def test_records_that_nobody_can_read_on_each_topic_stop_nothing(deployment: Deployment) -> None:
    deployment.publish(interleaved_candles(SYMBOLS, 0, 20))
    deployment.release()
    replica = deployment.start_predictor()
    page = deployment.start("services.dashboard", DASHBOARD_PORT="0")
    deployment.publish(interleaved_candles(SYMBOLS, 20, 22))
    deployment.await_predictions(SYMBOLS, 21)
    topics = deployment.topics
    for topic in topics.specifications():
        partition = PARTITION if topic in {topics.klines, topics.predictions} else 0
        deployment.write(
            [ProducerRecord(topic, partition, b"foreign", value, START_MS) for value in FOREIGN]
        )
    deployment.publish(interleaved_candles(SYMBOLS, 22, 24))
    deployment.await_predictions(SYMBOLS, 23)
    assert replica.kill(signal.SIGTERM) == 0

    again = deployment.start_predictor()

    deployment.publish(interleaved_candles(SYMBOLS, 24, 26))
    deployment.await_predictions(SYMBOLS, 25)
    eventually(again.is_ready)
    eventually(page.is_ready)
    assert page.process.poll() is None
    for command in (["verify"], ["replay"], ["models", "list"], ["symbols", "list"]):
        done = deployment.ulstm(*command)
        assert done.returncode == 0, done.stderr


def test_a_prediction_that_contradicts_the_log_holds_its_group_until_it_is_skipped(
    deployment: Deployment,
) -> None:
    deployment.publish(interleaved_candles(SYMBOLS, 0, 20))
    deployment.release()
    replica = deployment.start_predictor()
    deployment.publish(interleaved_candles(SYMBOLS, 20, 22))
    found = deployment.await_predictions(SYMBOLS, 21)
    genuine = json.loads(encode_prediction(found["BTCUSDT"][-1]))
    value = json.dumps({**genuine, "source_offset": genuine["source_offset"] + 1_000}).encode()
    topic = deployment.topics.predictions
    place = len(deployment.read(topic, [PARTITION]))
    deployment.write([ProducerRecord(topic, PARTITION, b"BTCUSDT", value, START_MS)])
    assert replica.kill(signal.SIGTERM) == 0

    again = deployment.start_predictor()
    deployment.publish(interleaved_candles(SYMBOLS, 22, 24))
    others = [symbol for symbol in SYMBOLS if partition_for(symbol, PARTITIONS) != PARTITION]
    deployment.await_predictions(others, 23)
    eventually(lambda: f"ulstm skip {PARTITION}/" in again.get("/health/ready")[1])
    advice = again.get("/health/ready")[1].partition("ulstm skip ")[2].split()[0]
    assert int(advice.split("/")[1]) >= place

    skipped = deployment.ulstm("skip", advice, "--reason", "mirrored")

    assert skipped.returncode == 0, skipped.stderr
    deployment.await_predictions(SYMBOLS, 23, 60)
    eventually(again.is_ready, 60)
    for command in ("verify", "replay"):
        done = deployment.ulstm(command)
        assert done.returncode == 0, done.stderr


def test_a_prediction_that_may_be_genuine_is_not_skipped(deployment: Deployment) -> None:
    deployment.publish(interleaved_candles(SYMBOLS, 0, 20))
    deployment.release()
    deployment.start_predictor()
    deployment.publish(interleaved_candles(SYMBOLS, 20, 22))
    deployment.await_predictions(SYMBOLS, 21)
    (first, *_) = deployment.read(deployment.topics.predictions, [PARTITION])

    refused = deployment.ulstm("skip", f"{PARTITION}/{first.offset}", "--reason", "unlucky")
    unknown = deployment.ulstm("skip", f"{PARTITION}/999999", "--reason", "unlucky")

    assert refused.returncode == unknown.returncode == 1
    assert "may be genuine" in refused.stderr
    assert "has no record" in unknown.stderr
