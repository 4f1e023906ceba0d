"""Reads `predictions` during the faults, as a consumer downstream would."""

import threading
import time
from collections import defaultdict

from services.cli.derivation import RunningDigest
from shared.adapters.kafka.connection import KafkaConnection
from shared.adapters.kafka.reader import ConsumerRecord
from shared.adapters.kafka.tail import TopicTail
from shared.adapters.schemas.predictions import decode_prediction


class DownstreamConsumer:
    """Records what became readable, in which order, and when."""

    def __init__(self, kafka: KafkaConnection, topic: str, partitions: int) -> None:
        self._tail = TopicTail(kafka, [topic], tail=2**31)
        self.digests = {partition: RunningDigest() for partition in range(partitions)}
        self.newest: dict[str, int] = {}  # by symbol, open time in ms
        self.seen_at: dict[tuple[str, int], float] = {}  # monotonic s
        self.moments: dict[int, list[float]] = defaultdict(list)  # by partition
        self.faults: list[str] = []
        self._offsets: dict[int, int] = {}
        self._stop = threading.Event()
        self._failed: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="downstream consumer", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()
        self._tail.__exit__(None, None, None)

    def check(self) -> None:
        """Raise the error that ended the thread, if any."""
        if self._failed is not None:
            raise self._failed

    def longest_silence_s(self, start: float, end: float) -> float:
        """Return the longest time without a prediction of a partition that overlaps a span."""
        return max(_longest_s(list(moments), start, end) for moments in list(self.moments.values()))

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                for arrived in self._tail.poll(1000, 0.2):
                    self._record(arrived.record)
        except BaseException as error:
            self._failed = error
            raise

    def _record(self, record: ConsumerRecord) -> None:
        now = time.monotonic()
        place = f"predictions {record.partition}/{record.offset}"
        self.digests[record.partition].add(record.key or b"", record.value or b"")
        self.moments[record.partition].append(now)
        prediction = decode_prediction(record.value)
        if record.offset <= self._offsets.get(record.partition, -1):
            self.faults.append(f"{place} came after offset {self._offsets[record.partition]}")
        self._offsets[record.partition] = record.offset
        name = (prediction.symbol, prediction.open_time_ms)
        if name in self.seen_at:
            self.faults.append(f"{place}: {name} a second time")
        elif prediction.open_time_ms <= self.newest.get(prediction.symbol, 0):
            self.faults.append(f"{place}: {name} after {self.newest[prediction.symbol]}")
        self.seen_at[name] = now
        self.newest[prediction.symbol] = prediction.open_time_ms


def _longest_s(moments: list[float], start: float, end: float) -> float:
    """Return the longest pause between two moments, or since the last, that overlaps a span.

    >>> _longest_s([0.0, 1.0, 4.0, 5.0], 2.0, 4.5)
    3.0
    >>> _longest_s([0.0, 1.0], 2.0, 4.5)
    3.5
    """
    pauses = zip(moments, [*moments[1:], end], strict=False)
    return max(
        (until - since for since, until in pauses if until > start and since < end), default=0.0
    )
