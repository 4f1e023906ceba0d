"""Follows `predictions` while the faults happen, as a consumer downstream would."""

import threading
import time
from collections import defaultdict

from services.cli.running_digest import RunningDigest
from shared.adapters.kafka.reader import ConsumerRecord
from shared.adapters.kafka.tail import TopicTail
from shared.adapters.schemas.predictions import decode_prediction


class DownstreamConsumer:
    """What was readable, in the order and at the moment it became so."""

    def __init__(self, bootstrap: str, topic: str, groups: int) -> None:
        self._follower = TopicTail(bootstrap, [topic], tail=2**31)
        self.chains = {group: RunningDigest() for group in range(groups)}
        self.newest: dict[str, int] = {}  # by symbol, open time in ms
        self.seen_at: dict[tuple[str, int], float] = {}  # monotonic s
        self.moments: dict[int, list[float]] = defaultdict(list)  # by symbol group
        self.faults: list[str] = []
        self._offsets: dict[int, int] = {}
        self._stop = threading.Event()
        self._failed: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="witness", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()
        self._follower.__exit__(None, None, None)

    def check(self) -> None:
        """Raise what ended the thread, if anything did."""
        if self._failed is not None:
            raise self._failed

    def longest_silence_s(self, start: float, end: float) -> float:
        """Return the longest time without a prediction of some group, among those that touch a span."""
        return max(_longest_s(list(moments), start, end) for moments in list(self.moments.values()))

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                for arrived in self._follower.poll(1000, 0.2):
                    self._take(arrived.record)
        except BaseException as error:
            self._failed = error
            raise

    def _take(self, record: ConsumerRecord) -> None:
        now = time.monotonic()
        place = f"predictions {record.partition}/{record.offset}"
        self.chains[record.partition].add(record.key or b"", record.value or b"")
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
    """Return the longest pause between two moments, or since the last, that touches a span.

    >>> _longest_s([0.0, 1.0, 4.0, 5.0], 2.0, 4.5)
    3.0
    >>> _longest_s([0.0, 1.0], 2.0, 4.5)
    3.5
    """
    pauses = zip(moments, [*moments[1:], end], strict=False)
    return max(
        (until - since for since, until in pauses if until > start and since < end), default=0.0
    )
