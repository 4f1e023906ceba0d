"""A partition task and its surroundings, without a server."""

from collections.abc import Callable
from dataclasses import dataclass, field

from services.predictor.partition_task import PartitionTask, TaskStatus
from services.predictor.recovery.open_transaction import OpenTransactions
from services.predictor.recovery.partition_recovery import PartitionRecovery
from shared.adapters.kafka.consumer_group import Batch
from shared.adapters.kafka.reader import ConsumerRecord
from shared.adapters.schemas.kline_messages import PromotionMessage
from shared.adapters.schemas.klines import KlineCodec
from shared.core.errors import Unavailable
from shared.core.online.model import Model
from shared.log.record_processor import RecordProcessor
from tests.support.builders import CONTEXT, START_MS, STEP_MS, a_model
from tests.support.fakes import FakeStateStore, FakeTopicHistory

MODEL = a_model()
SYMBOLS = ("AAAUSDT", "BBBUSDT")
PROMOTION = PromotionMessage(
    type="promotion",
    model_version=MODEL.version,
    bundle_sha256=MODEL.bundle.sha256,
    numeric_profile=CONTEXT.numeric_profile,
)


@dataclass
class RecordingGroup:
    """Notes what is asked of the consumer group; its committed offset may be unavailable."""

    calls: list[str] = field(default_factory=list)
    is_away: bool = False
    end: int | None = None

    def poll(self, max_records: int, timeout_s: float) -> Batch | None:
        raise NotImplementedError

    def committed(self, partition: int) -> int | None:
        if self.is_away:
            raise Unavailable("Kafka does not answer")
        return 0

    def is_member(self) -> bool:
        return True

    def end_offset(self, partition: int) -> int | None:
        return self.end

    def pause(self, partition: int) -> None:
        self.calls.append(f"pause {partition}")

    def resume(self, partition: int, offset: int) -> None:
        self.calls.append(f"resume {partition} at {offset}")


def load_model(version: str, sha256: str) -> Model:
    assert version == MODEL.version
    return MODEL


class TaskHarness:
    """A task of partition 0 on a log that is still empty, and its surroundings."""

    def __init__(self, models: Callable[[str, str], Model] = load_model) -> None:
        self.consumer_group, self.now_s, self.next_offset = RecordingGroup(), 0.0, 0
        processor = RecordProcessor("klines.5m", KlineCodec("5m", STEP_MS, 1), CONTEXT, models)
        topics = FakeTopicHistory([]), FakeTopicHistory([]), FakeTopicHistory([])
        predecessors = OpenTransactions(topics[1], "predictor-", lambda _: None)
        recovery = PartitionRecovery(
            processor, self.consumer_group, *topics, FakeStateStore(), predecessors, lambda _: ()
        )
        self.task = PartitionTask(self.consumer_group, processor, recovery, lambda: self.now_s, 0)

    def status(self) -> TaskStatus:
        return self.task.status

    def record(self, value: bytes) -> ConsumerRecord:
        self.next_offset += 1
        return ConsumerRecord(0, self.next_offset - 1, START_MS, None, value)

    def commit(self, value: bytes) -> None:
        """Process a batch of one record, and take over its result as after a commit."""
        record = self.record(value)
        self.task.apply(self.task.process([record]))
        if self.prepare():
            self.task.apply(self.task.process([record]))

    def prepare(self) -> int:
        """Prepare the promotion that comes next, if any; return in how many turns."""
        turns = 0
        while self.task.status is TaskStatus.PREPARING:
            self.task.prepare_next()
            turns += 1
        return turns
