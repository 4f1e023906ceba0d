import json
import os

from confluent_kafka import Consumer

where = os.environ.get("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:9092")
settings = {"bootstrap.servers": where, "group.id": "my-group", "auto.offset.reset": "earliest"}
consumer = Consumer({**settings, "isolation.level": "read_committed"})
consumer.subscribe(["predictions.5m"])
while True:
    message = consumer.poll(1.0)
    if message is not None and message.error() is None:
        prediction = json.loads(message.value())
        print(prediction["symbol"], prediction["open_time_ms"], prediction["calibrated_close"])
