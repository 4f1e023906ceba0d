"""Write records that are none of ours into each partition of each topic.

scripts/test_compose.sh runs it with the Python of a container, and its settings.
"""

import os

from confluent_kafka import KafkaError, Message, Producer

from shared.adapters.env_settings import ServiceSettings

VALUES = (
    b"",
    b"\xff\x00{",
    b"{nonsense",
    b"[1, 2]",
    b"{}",
    b"[" * 3000,
)
# Not on predictions: there it may come from a newer predictor, so it holds its symbol group.
NEWER_SCHEMA = b'{"schema": 99, "type": "candle", "symbol": "BTCUSDT"}'


def main() -> None:
    """Write each value once into each partition; exit 1 if one is refused."""
    settings = ServiceSettings.from_env(os.environ)
    topics = settings.topics.specifications()
    refused = set[str]()

    def on_delivery(error: KafkaError | None, message: Message) -> None:
        if error is not None:
            refused.add(f"{message.topic()}: {error.str()}")

    producer = Producer(settings.kafka.client_config({"message.timeout.ms": 30_000}))
    for topic, (partitions, _) in topics.items():
        for partition in range(partitions):
            for value in _values(topic, settings.topics.predictions):
                producer.produce(topic, value, b"FOREIGN", partition, on_delivery)
    producer.flush()
    if refused:
        raise SystemExit("\n".join(sorted(refused)))
    print("wrote foreign records to", ", ".join(topics))


def _values(topic: str, predictions: str) -> tuple[bytes, ...]:
    return VALUES if topic == predictions else (*VALUES, NEWER_SCHEMA)


if __name__ == "__main__":
    main()
