"""Compare topics with a replay, the consumer with both, and Redis with the fold."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from rich.console import Console

from services.cli.audit.verify import verify
from services.cli.commands.replay import ALL_TIMES, replay
from services.cli.derivation import RunningDigest, build_processor
from shared.adapters.env_settings import ServiceSettings
from shared.adapters.kafka.admin import topic_id
from shared.adapters.kafka.reader import ConsumerRecord, Reader
from shared.adapters.redis_state_store import RedisStateStore
from shared.adapters.schemas.predictions import encode_prediction
from shared.core.model.numeric_profile import self_test
from shared.core.online.partition import PartitionState
from shared.core.online.state_digest import state_digest
from shared.log.model_registry import ModelRegistry
from shared.log.record_processor import BatchResult
from tests.chaos.watched_deployment import WatchedDeployment
from tests.support.deployment import Deployment
from tests.support.states import load_state

SHOWN = 5


@dataclass(frozen=True, slots=True)
class RedisSnapshot:
    """A partition as Redis held it at some moment: state digests by symbol."""

    partition: int
    applied_offset: int
    digests: Mapping[str, str]


@dataclass(slots=True)
class ChaosFindings:
    """Counts of records and of errors; `wrong` describes the first few of each kind."""

    predictions: int = 0
    wrong_bytes: int = 0  # predictions that differ from the replay's, in place or value
    duplicates: int = 0
    missing: int = 0
    unexpected: int = 0
    dead_letters: int = 0
    wrong_dead_letters: int = 0
    rederived: dict[str, int] = field(default_factory=dict)  # by ulstm verify
    redis_states: int = 0
    wrong_redis_states: int = 0
    wrong: list[str] = field(default_factory=list)

    def note(self, *wrong: str) -> None:
        self.wrong += wrong[:SHOWN]


def read_redis(deployment: Deployment) -> list[RedisSnapshot]:
    """Return the partitions that Redis holds completely.

    Raises:
        Unavailable: Redis does not answer.
    """
    settings = deployment.settings
    states = RedisStateStore(deployment.redis_url, f"{settings.topic_prefix}{settings.interval}")
    states.use_topic_id(topic_id(settings.kafka, settings.topics.klines))
    try:
        found = [
            (partition, load_state(states, partition, self_test()))
            for partition in range(settings.symbol_groups)
        ]
    finally:
        states.close()
    return [
        RedisSnapshot(
            partition,
            saved.next_offset,
            {name: state_digest(state) for name, state in saved.symbols.items()},
        )
        for partition, saved in found
        if saved is not None
    ]


def audit(system: WatchedDeployment, snapshots: list[RedisSnapshot]) -> ChaosFindings:
    """Audit a system after all predictions that are due have arrived."""
    settings = system.deployment.settings
    findings = ChaosFindings()
    with Reader(settings.kafka, settings.topics.predictions) as reader:
        published = {
            g: [r for b in reader.read(g, 0) for r in b] for g in range(settings.symbol_groups)
        }
    dead = [record.headers or {} for record in system.deployment.dead_letters()]
    for partition, records in published.items():
        replayed = _PartitionReplay(
            settings,
            partition,
            [snapshot for snapshot in snapshots if snapshot.partition == partition],
        )
        expected = list(replayed.expected())
        findings.predictions += len(records)
        _compare(findings, expected, records)
        _compare_digests(findings, system, partition, records)
        _compare_dead_letters(findings, partition, replayed.dead_letters, dead)
        findings.redis_states += replayed.states
        findings.wrong_redis_states += len(replayed.wrong)
        findings.note(*replayed.wrong)
    _compare_with_candles(findings, system)
    _compare_with_replay(findings, system)
    findings.note(*system.consumer.faults, *system.wrong)
    return findings


class _PartitionReplay:
    """Folds the klines of a partition again, from the first record on."""

    def __init__(
        self, settings: ServiceSettings, partition: int, snapshots: list[RedisSnapshot]
    ) -> None:
        self._settings, self._partition = settings, partition
        self._snapshots = sorted(snapshots, key=lambda snapshot: snapshot.applied_offset)
        self.dead_letters: set[int] = set()  # offsets
        self.states = 0
        self.wrong: list[str] = []

    def expected(self) -> Iterator[tuple[bytes, bytes]]:
        where, topics = self._settings.kafka, self._settings.topics
        processor = build_processor(self._settings, ModelRegistry(where, topics).bundles.load)
        folded = BatchResult(PartitionState())
        with Reader(where, topics.klines) as reader:
            for block in reader.read(self._partition, 0):
                for record in block:
                    self._compare_snapshots(folded.state, record.offset)
                    processor.process(folded, record)
                    self.dead_letters.update(letter.offset for letter in folded.dead_letters)
                    for prediction in folded.predictions:
                        yield prediction.symbol.encode(), encode_prediction(prediction)
                    folded.clear_output()
        self._compare_snapshots(folded.state, 2**62)

    def _compare_snapshots(self, partition: PartitionState, offset: int) -> None:
        """Compare the snapshots with applied offsets up to `offset` with the fold before it."""
        while self._snapshots and self._snapshots[0].applied_offset <= offset:
            snapshot = self._snapshots.pop(0)
            ours = {name: state_digest(state) for name, state in partition.symbols.items()}
            self.states += len(snapshot.digests)
            for name in sorted(snapshot.digests.keys() | ours.keys()):
                if snapshot.digests.get(name) != ours.get(name):
                    self.wrong.append(
                        f"Redis, partition {snapshot.partition}, applied offset"
                        f" {snapshot.applied_offset}: {name} has state digest"
                        f" {snapshot.digests.get(name)}, the fold {ours.get(name)}"
                    )


def _compare(
    findings: ChaosFindings, expected: list[tuple[bytes, bytes]], records: list[ConsumerRecord]
) -> None:
    found = [(record.key or b"", record.value or b"") for record in records]
    wrong = sum(ours != theirs for ours, theirs in zip(expected, found, strict=False)) + abs(
        len(expected) - len(found)
    )
    findings.wrong_bytes += wrong
    for at, record in enumerate(records):
        if at >= len(expected) or expected[at] != found[at]:
            ours = expected[at][1].decode() if at < len(expected) else "nothing"
            place = f"predictions {record.partition}/{record.offset}"
            findings.note(f"{place} holds {found[at][1].decode()}, the replay gives {ours}")
            return


def _compare_digests(
    findings: ChaosFindings,
    system: WatchedDeployment,
    partition: int,
    records: list[ConsumerRecord],
) -> None:
    digest = RunningDigest()
    for record in records:
        digest.add(record.key or b"", record.value or b"")
    theirs = system.consumer.digests[partition]
    if digest.sha256 != theirs.sha256:
        findings.wrong_bytes += 1
        findings.note(
            f"partition {partition}: {theirs.count} predictions seen during the faults,"
            f" {digest.count} are there now"
        )


def _compare_dead_letters(
    findings: ChaosFindings, partition: int, ours: set[int], headers: list[Mapping[str, bytes]]
) -> None:
    theirs = Counter(int(h["offset"]) for h in headers if int(h["partition"]) == partition)
    findings.dead_letters += theirs.total()
    wrong = sorted(
        (ours ^ theirs.keys()) | {offset for offset, count in theirs.items() if count > 1}
    )
    findings.wrong_dead_letters += len(wrong)
    if wrong:
        findings.note(
            f"partition {partition}: dead letters missing, twice or too many:"
            f" of offsets {wrong[:SHOWN]}"
        )


def _compare_with_candles(findings: ChaosFindings, system: WatchedDeployment) -> None:
    """Compare the predictions with the candles that were published, without our fold."""
    due, seen = system.publisher.due, system.consumer.seen_at.keys()
    findings.missing, findings.unexpected = len(due - seen), len(seen - due)
    findings.duplicates = sum("a second time" in fault for fault in system.consumer.faults)
    findings.note(*(f"no prediction for {name}" for name in sorted(due - seen)[:SHOWN]))
    findings.note(*(f"an unexpected prediction for {name}" for name in sorted(seen - due)[:SHOWN]))


def _compare_with_replay(findings: ChaosFindings, system: WatchedDeployment) -> None:
    quiet = Console(quiet=True)
    for replayed in replay(system.deployment.settings, ALL_TIMES, None, quiet):
        if not replayed.is_same or replayed.not_published_yet:
            findings.wrong_bytes += 1
            findings.note(f"ulstm replay: {replayed.to_json()}")
    verified = verify(system.deployment.settings, quiet)
    findings.rederived = {
        check.name.lower(): count for check, (count, _) in verified.counts().items()
    }
    if not verified.agrees:
        findings.wrong_bytes += verified.mismatches
        findings.note(*(f"ulstm verify: {mismatch}" for mismatch in verified.first))
