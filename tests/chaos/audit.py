"""What came of it: the topics against a replay without faults, the witness against both, Redis against the fold."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from rich.console import Console

from services.cli.audit.verify import verify
from services.cli.processor import build_processor
from services.cli.replay import OpenTimes, replay
from services.cli.running_digest import RunningDigest
from shared.adapters.env_settings import ServiceSettings
from shared.adapters.kafka.admin import topic_id
from shared.adapters.kafka.reader import ConsumerRecord, Reader
from shared.adapters.redis_state_store import RedisStateStore
from shared.adapters.schemas.predictions import encode_prediction
from shared.core.model.numeric_profile import self_test
from shared.core.online.partition import PartitionState
from shared.core.online.state_codec import state_digest
from shared.log.model_registry import ModelRegistry
from shared.log.record_processor import BatchResult
from tests.chaos.system import SystemUnderFaults

SHOWN = 5


@dataclass(frozen=True, slots=True)
class Look:
    """A symbol group as Redis held it at some moment: digests by symbol."""

    group: int
    applied_offset: int
    digests: Mapping[str, str]


@dataclass(slots=True)
class ChaosVerdict:
    """Counts of what is right and of what is wrong; `wrong` says where, the first few of each."""

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

    def say(self, *wrong: str) -> None:
        self.wrong += wrong[:SHOWN]


def look_into_redis(settings: ServiceSettings) -> list[Look]:
    """Return what Redis holds now, of each group that it can give.

    Raises:
        Unavailable: it does not answer.
    """
    states = RedisStateStore(settings.redis_url, f"{settings.topic_prefix}{settings.interval}")
    states.use_topic_id(topic_id(settings.kafka_bootstrap_servers, settings.topics.klines))
    try:
        found = [
            (group, states.load(group, self_test())) for group in range(settings.symbol_groups)
        ]
    finally:
        states.close()
    return [
        Look(
            group,
            saved.next_offset,
            {name: state_digest(state) for name, state in saved.symbols.items()},
        )
        for group, saved in found
        if saved is not None
    ]


def judged(system: SystemUnderFaults, looks: list[Look]) -> ChaosVerdict:
    """Judge once everything that is due is there."""
    settings = system.deployment.settings
    verdict = ChaosVerdict()
    with Reader(settings.kafka_bootstrap_servers, settings.topics.predictions) as reader:
        published = {
            g: [r for b in reader.read(g, 0) for r in b] for g in range(settings.symbol_groups)
        }
    dead = [record.headers or {} for record in system.deployment.dead_letters()]
    for group, records in published.items():
        audit = _Audit(settings, group, [look for look in looks if look.group == group])
        expected = list(audit.expected())
        verdict.predictions += len(records)
        _compare(verdict, expected, records)
        _compare_chains(verdict, system, group, records)
        _compare_dead_letters(verdict, group, audit.dead_letters, dead)
        verdict.redis_states += audit.states
        verdict.wrong_redis_states += len(audit.wrong)
        verdict.say(*audit.wrong)
    _compare_with_candles(verdict, system)
    _compare_with_replay(verdict, system)
    verdict.say(*system.consumer.faults, *system.wrong)
    return verdict


class _Audit:
    """Folds a group's klines again, from the first record on."""

    def __init__(self, settings: ServiceSettings, group: int, looks: list[Look]) -> None:
        self._settings, self._group = settings, group
        self._looks = sorted(looks, key=lambda look: look.applied_offset)
        self.dead_letters: set[int] = set()  # offsets
        self.states = 0
        self.wrong: list[str] = []

    def expected(self) -> Iterator[tuple[bytes, bytes]]:
        where, topics = self._settings.kafka_bootstrap_servers, self._settings.topics
        processor = build_processor(self._settings, ModelRegistry(where, topics).bundles.load)
        folded = BatchResult(PartitionState())
        with Reader(where, topics.klines) as reader:
            for block in reader.read(self._group, 0):
                for record in block:
                    self._look_at(folded.state, record.offset)
                    processor.process(folded, record)
                    self.dead_letters.update(letter.offset for letter in folded.dead_letters)
                    for prediction in folded.predictions:
                        yield prediction.symbol.encode(), encode_prediction(prediction)
                    folded.clear_output()
        self._look_at(folded.state, 2**62)

    def _look_at(self, group: PartitionState, offset: int) -> None:
        """Compare what Redis held at watermarks up to an offset with the fold before it."""
        while self._looks and self._looks[0].applied_offset <= offset:
            look = self._looks.pop(0)
            ours = {name: state_digest(state) for name, state in group.symbols.items()}
            self.states += len(look.digests)
            for name in sorted(look.digests.keys() | ours.keys()):
                if look.digests.get(name) != ours.get(name):
                    self.wrong.append(
                        f"Redis, group {look.group} at applied_offset {look.applied_offset}: {name} has state digest"
                        f" {look.digests.get(name)}, the fold {ours.get(name)}"
                    )


def _compare(
    verdict: ChaosVerdict, expected: list[tuple[bytes, bytes]], records: list[ConsumerRecord]
) -> None:
    found = [(record.key or b"", record.value or b"") for record in records]
    wrong = sum(ours != theirs for ours, theirs in zip(expected, found, strict=False)) + abs(
        len(expected) - len(found)
    )
    verdict.wrong_bytes += wrong
    for at, record in enumerate(records):
        if at >= len(expected) or expected[at] != found[at]:
            ours = expected[at][1].decode() if at < len(expected) else "nothing"
            place = f"predictions {record.partition}/{record.offset}"
            verdict.say(f"{place} holds {found[at][1].decode()}, the replay gives {ours}")
            return


def _compare_chains(
    verdict: ChaosVerdict, system: SystemUnderFaults, group: int, records: list[ConsumerRecord]
) -> None:
    chain = RunningDigest()
    for record in records:
        chain.add(record.key or b"", record.value or b"")
    theirs = system.consumer.chains[group]
    if chain.sha256 != theirs.sha256:
        verdict.wrong_bytes += 1
        verdict.say(
            f"group {group}: {theirs.count} predictions seen during the faults, {chain.count} are there now"
        )


def _compare_dead_letters(
    verdict: ChaosVerdict, group: int, ours: set[int], headers: list[Mapping[str, bytes]]
) -> None:
    theirs = Counter(int(h["offset"]) for h in headers if int(h["partition"]) == group)
    verdict.dead_letters += theirs.total()
    wrong = sorted(
        (ours ^ theirs.keys()) | {offset for offset, count in theirs.items() if count > 1}
    )
    verdict.wrong_dead_letters += len(wrong)
    if wrong:
        verdict.say(
            f"group {group}: dead letters missing, twice or too many: of offsets {wrong[:SHOWN]}"
        )


def _compare_with_candles(verdict: ChaosVerdict, system: SystemUnderFaults) -> None:
    """By what was published, not by our fold."""
    due, seen = system.publisher.due, system.consumer.seen_at.keys()
    verdict.missing, verdict.unexpected = len(due - seen), len(seen - due)
    verdict.duplicates = sum("a second time" in fault for fault in system.consumer.faults)
    verdict.say(*(f"no prediction for {name}" for name in sorted(due - seen)[:SHOWN]))
    verdict.say(
        *(f"a prediction for {name}, which nothing leads to" for name in sorted(seen - due)[:SHOWN])
    )


def _compare_with_replay(verdict: ChaosVerdict, system: SystemUnderFaults) -> None:
    quiet = Console(quiet=True)
    for replayed in replay(system.deployment.settings, OpenTimes(), None, quiet):
        if not replayed.is_same or replayed.not_published_yet:
            verdict.wrong_bytes += 1
            verdict.say(f"ulstm replay: {replayed.to_json()}")
    verified = verify(system.deployment.settings, None, quiet)
    verdict.rederived = {
        check.name.lower(): count for check, (count, _) in verified.counts().items()
    }
    if not verified.agrees:
        verdict.wrong_bytes += verified.mismatches
        verdict.say(*(f"ulstm verify: {mismatch}" for mismatch in verified.first))
