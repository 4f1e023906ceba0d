import json

from confluent_kafka import Consumer

settings = {"bootstrap.servers": "127.0.0.1:9092", "group.id": "my-group"}
consumer = Consumer(
    {**settings, "auto.offset.reset": "earliest", "isolation.level": "read_committed"}
)
consumer.subscribe(["predictions.5m"])
while True:
    message = consumer.poll(1.0)
    if message is not None and message.error() is None:
        prediction = json.loads(message.value())
        print(prediction["symbol"], prediction["open_time_ms"], prediction["calibrated_close"])
