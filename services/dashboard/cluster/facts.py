"""What is known of the cluster at a moment; None is: not known. PURE."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from services.dashboard.ports import LogFacts


@dataclass(frozen=True, slots=True)
class ReplicaFacts:
    """A predictor that has joined the consumer group."""

    member: str
    host: str
    partitions: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class PartitionFacts:
    """How far a symbol group has been predicted.

    Attributes:
        partition: its number.
        committed: the offset that is predicted next; None: nothing was predicted.
        end: the offset after the last record.
        lag: records that wait.
        oldest_unread_ms: the time of the first of them; None without any.
    """

    partition: int
    committed: int | None
    end: int
    lag: int
    oldest_unread_ms: int | None = None


@dataclass(frozen=True, slots=True)
class KafkaFacts:
    """What Kafka answers."""

    error: str | None = None  # why it does not; None: it does
    brokers: int | None = None
    missing_topics: Sequence[str] = ()
    group_state: str | None = None
    replicas: Sequence[ReplicaFacts] | None = None
    partitions: Sequence[PartitionFacts] | None = None
    dead_letters: int | None = None  # records of their topic so far
    banned_until_ms: int | None = None  # of the exchange, as the control topic has it

    @property
    def is_shared_out(self) -> bool:
        """Whether the symbol groups are shared out: no rebalance is under way."""
        return self.group_state in {"stable", "empty", "dead"}


@dataclass(frozen=True, slots=True)
class LackingSymbol:
    """The standing of a symbol whose candles do not arrive, since when, and why."""

    symbol: str
    standing: str
    since_ms: int
    reason: str


@dataclass(frozen=True, slots=True)
class ServiceFacts:
    """What a service at one address tells about itself, or told last if it does not answer.

    Attributes:
        name: such as `producer`; of one that never answered, the name of its address.
        address: where it was asked.
        is_live: it answers.
        is_ready: it does its work.
        reason: why it does not.
        metrics: by name, without the service's prefix, and label value.
        symbols: a producer's, those that lack candles.
        silent_since_ms: since when it does not answer.
    """

    name: str
    address: str
    is_live: bool
    is_ready: bool
    reason: str
    metrics: Mapping[tuple[str, str], float] = field(default_factory=dict)
    symbols: Sequence[LackingSymbol] | None = None
    silent_since_ms: int = 0

    @property
    def is_starting(self) -> bool:
        """Whether it has not begun its work."""
        return self.reason == "starting"

    def value(self, name: str) -> float | None:
        """Return a metric without its prefix, summed over its labels; None if it has none."""
        found = [value for (one, _), value in self.metrics.items() if one == name]
        return sum(found) if found else None

    def by_label(self, name: str) -> dict[str, float]:
        """Return the values of a metric by the value of its label."""
        return {label: value for (one, label), value in self.metrics.items() if one == name}


@dataclass(frozen=True, slots=True)
class ClusterFacts:
    """Everything that is known at a moment."""

    now_ms: int
    kafka: KafkaFacts = field(default_factory=KafkaFacts)
    services: Sequence[ServiceFacts] = ()
    log: LogFacts = field(default_factory=LogFacts)

    def of(self, name: str) -> list[ServiceFacts]:
        """Return the services of a name that answer."""
        return [service for service in self.services if service.name == name and service.is_live]

    def expects(self, service: ServiceFacts) -> bool:
        """Return whether a service should be there: a trainer may train once and end."""
        if service.is_live or service.name != "trainer":
            return True
        lacks_champion = self.log.is_champion_known and self.log.champion is None
        return lacks_champion or bool(service.value("next_training_timestamp_seconds"))

    def total(self, name: str, metric: str) -> float | None:
        """Return a metric summed over a service's addresses; None if none of them has it."""
        return total(service.value(metric) for service in self.of(name))

    def lacking(self) -> Sequence[LackingSymbol] | None:
        """Return the symbols that lack candles, as the producer says; None if none answers."""
        return next((one.symbols for one in self.of("producer") if one.symbols is not None), None)


def total(values: Iterable[float | None]) -> float | None:
    """Return the sum of what is known; None if nothing is."""
    known = [value for value in values if value is not None]
    return sum(known) if known else None
