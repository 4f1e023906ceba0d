"""What is wrong with Kafka and with those who predict. PURE."""

from collections.abc import Iterator
from typing import Final

from services.dashboard.cluster.facts import ClusterFacts, PartitionFacts
from services.dashboard.cluster.problem import Problem
from services.dashboard.cluster.trends import Series, Trends
from services.dashboard.cluster.words import count, duration, names, verb

# A close brings a record of each symbol at once; a group that was at the end since is not behind.
CAUGHT_UP: Final = 20  # records
BEHIND_MS: Final = 60_000


def kafka_problems(facts: ClusterFacts, trends: Trends) -> Iterator[Problem]:
    """Yield what is wrong with Kafka, its topics, and the consumer group of the predictors."""
    if facts.kafka.error is not None:
        yield Problem(
            "kafka_away",
            "error",
            "Kafka does not answer",
            facts.kafka.error,
            "Start the brokers, or correct KAFKA_BOOTSTRAP_SERVERS. Producer and predictors go on"
            " by themselves once Kafka answers.",
        )
    if facts.kafka.missing_topics:
        topics = facts.kafka.missing_topics
        yield Problem(
            "topics_missing",
            "warning",
            f"{count(len(topics), 'topic')} {verb(len(topics), 'is', 'are')} missing",
            f"Kafka has no {names(topics)}.",
            "Start the producer or a predictor: they create them. If they run, TOPIC_PREFIX and"
            " INTERVAL differ here.",
        )
    yield from _without_owner(facts)
    yield from _behind(facts, trends)


def _without_owner(facts: ClusterFacts) -> Iterator[Problem]:
    kafka = facts.kafka
    if kafka.replicas is None or kafka.partitions is None or not kafka.is_shared_out:
        return
    if not kafka.replicas:
        if facts.log.has_candles:
            yield Problem(
                "no_predictor",
                "error",
                "Nobody predicts",
                "The consumer group of the predictors has no member.",
                "Start a predictor: `docker compose up -d predictor`, or all with `ulstm up`.",
            )
        return
    owned = {partition for replica in kafka.replicas for partition in replica.partitions}
    missing = [one.partition for one in kafka.partitions if one.partition not in owned]
    if missing:
        yield Problem(
            "without_owner",
            "error",
            f"{_groups(missing)} {verb(len(missing), 'has', 'have')} no predictor",
            "No member of the consumer group has them, though they are shared out.",
            "Restart the predictors one after another; all of them need the same SYMBOL_GROUPS.",
        )


def _behind(facts: ClusterFacts, trends: Trends) -> Iterator[Problem]:
    behind = [one for one in facts.kafka.partitions or () if _is_behind(one, trends)]
    falling = [one for one in behind if _is_falling(one, trends)]
    catching_up = [one for one in behind if one not in falling]
    if falling:
        numbers = [one.partition for one in falling]
        yield Problem(
            "lag_grows",
            "error",
            f"{_groups(numbers)} {verb(len(falling), 'falls', 'fall')} further behind",
            _waiting(falling, facts.now_ms),
            "See whether a predictor is restarting; else add one, up to one for each symbol group:"
            " `docker compose up -d --scale predictor=3`.",
        )
    if catching_up:
        numbers = [one.partition for one in catching_up]
        yield Problem(
            "lag_shrinks",
            "warning",
            f"{_groups(numbers)} {verb(len(catching_up), 'is', 'are')} catching up",
            _waiting(catching_up, facts.now_ms),
            "Nothing: the predictors are reading what they missed.",
        )


def _is_behind(partition: PartitionFacts, trends: Trends) -> bool:
    lowest = trends.lowest_since(lag_series(partition.partition), BEHIND_MS)
    return lowest is not None and lowest > CAUGHT_UP


def _is_falling(partition: PartitionFacts, trends: Trends) -> bool:
    change = trends.change_since(lag_series(partition.partition), BEHIND_MS)
    return change is not None and change >= 0.0


def lag_series(partition: int) -> Series:
    """Return where the trends have a symbol group's lag."""
    return Series("lag", str(partition))


def _waiting(partitions: list[PartitionFacts], now_ms: int) -> str:
    lag = sum(one.lag for one in partitions)
    times = [one.oldest_unread_ms for one in partitions if one.oldest_unread_ms is not None]
    since = f", the oldest for {duration(now_ms - min(times))}" if times else ""
    return f"{count(lag, 'record')} {verb(lag, 'waits', 'wait')} to be predicted{since}."


def _groups(partitions: list[int]) -> str:
    return f"Symbol {verb(len(partitions), 'group', 'groups')} {names(partitions)}"
