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
        nine_of_ten = next(one for one in prediction["intervals"] if one["coverage"] == 90)
        lower, upper = nine_of_ten["lower_close"], nine_of_ten["upper_close"]
        close = prediction["calibrated_close"]
        print(prediction["symbol"], prediction["open_time_ms"], close, f"{lower} to {upper}")
