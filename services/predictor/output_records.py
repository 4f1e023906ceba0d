"""Encode the Kafka records that a batch writes."""

from collections.abc import Iterator
from dataclasses import dataclass

from shared.adapters.kafka.producer import ProducerRecord
from shared.adapters.schemas.dead_letters import dead_letter_headers
from shared.adapters.schemas.predictions import encode_prediction
from shared.core.topics import Topics, partition_for
from shared.log.record_processor import BatchResult


@dataclass(frozen=True, slots=True)
class PartitionOutput:
    """The output of one partition in a batch: its result, and the records that publish it."""

    result: BatchResult
    records: list[ProducerRecord]


def producer_records(result: BatchResult, topics: Topics) -> Iterator[ProducerRecord]:
    """Yield the predictions and dead letters of a batch.

    Timestamps come from the candles: no clock may show in what is published.
    """
    for prediction in result.predictions:
        yield ProducerRecord(
            topics.predictions,
            partition_for(prediction.symbol, topics.partitions),
            prediction.symbol.encode(),
            encode_prediction(prediction),
            prediction.open_time_ms,
        )
    for rejected in result.dead_letters:
        headers = dead_letter_headers(rejected)
        yield ProducerRecord(topics.dead_letters, 0, rejected.key, rejected.value, 0, headers)
