"""The health of the cluster as the page reads it. PURE."""

from collections.abc import Iterable
from typing import Any, Final

from services.dashboard.cluster.facts import (
    ClusterFacts,
    KafkaFacts,
    LackingSymbol,
    ReplicaFacts,
    ServiceFacts,
    total,
)
from services.dashboard.cluster.metric_facts import mean_ms, merged_metrics, metric_facts
from services.dashboard.cluster.problem import ProblemList

_RECOVERY_SOURCES: Final = ("redis", "log")


def health_page(facts: ClusterFacts, problems: ProblemList) -> dict[str, Any]:
    """Return everything that is known, as plain values; what is not known is None."""
    return {
        "problems": problems.to_json(),
        "partitions": _partitions(facts),
        "replicas": replicas(facts),
        "services": [_service(one) for one in facts.services if facts.expects(one)],
        "feed": _feed(facts),
        "redis": _redis(facts),
        "kafka": _kafka(facts.kafka),
        "symbols": _symbols(facts),
        "recoveries": _recoveries(facts),
    }


def summary(facts: ClusterFacts, problems: ProblemList) -> dict[str, Any]:
    """Return what the overview's summary has of the cluster."""
    writers = ("producer", "predictor")
    return {
        "replicas": replicas(facts),
        "reconnects": _reconnects(facts),
        "aborted_transactions": total(facts.total(name, "aborts_total") for name in writers),
        "problems": len(problems),
    }


def _reconnects(facts: ClusterFacts) -> float | None:
    """Return how many connections of the stream have ended; none are counted before the first."""
    return facts.total("producer", "stream_ends_total") or (0.0 if facts.of("producer") else None)


def replicas(facts: ClusterFacts) -> list[dict[str, Any]]:
    """Return the predictors that have joined, and who holds which symbol groups."""
    return [
        {"member": one.member, "host": one.host, "partitions": list(one.partitions)}
        for one in facts.kafka.replicas or ()
    ]


def _partitions(facts: ClusterFacts) -> list[dict[str, Any]]:
    owners = _owners(facts.kafka.replicas or ())
    return [
        {
            "partition": one.partition,
            "symbols": facts.log.symbols_by_partition.get(one.partition, 0),
            "replica": owners.get(one.partition),
            "committed": one.committed,
            "end": one.end,
            "lag": one.lag,
            "oldest_unread_ms": one.oldest_unread_ms,
        }
        for one in facts.kafka.partitions or ()
    ]


def _owners(replicas: Iterable[ReplicaFacts]) -> dict[int, str]:
    return {partition: one.member for one in replicas for partition in one.partitions}


def _service(service: ServiceFacts) -> dict[str, Any]:
    return {
        "name": service.name,
        "address": service.address,
        "is_live": service.is_live,
        "is_ready": service.is_ready,
        "reason": service.reason,
        "facts": metric_facts(service.metrics),
    }


def _feed(facts: ClusterFacts) -> dict[str, Any] | None:
    """Return the state of the connection to the exchange; None without a producer's word."""
    producers = facts.of("producer")
    if not producers:
        return None
    producer = producers[0]
    until_s = producer.value("rest_ban_remaining_seconds")
    connected, lag_s = producer.value("stream_connected"), producer.value("worst_lag_seconds")
    return {
        "stream_connected": None if connected is None else connected > 0.0,
        "connections": producer.value("stream_connections"),
        "reconnects": _reconnects(facts),
        "symbols_followed": producer.value("symbols"),
        "symbols_of_the_stream": producer.value("stream_symbols"),
        "symbols_behind": producer.value("symbols_behind"),
        "worst_lag_ms": None if lag_s is None else 1000.0 * lag_s,
        "rest_weight_used": producer.value("rest_weight_used"),
        "rest_weight_allowed": producer.value("rest_weight_allowed"),
        "rest_failures": producer.value("rest_failures_total"),
        "banned_until_at_ms": facts.now_ms + 1000 * until_s if until_s else None,
        "gaps": producer.value("gaps_total"),
        "fills": producer.value("fills_total"),
        "amendments": producer.value("amendments_total"),
    }


def _redis(facts: ClusterFacts) -> dict[str, Any] | None:
    """Return how saving states goes; None without a predictor's word."""
    up = [one.value("redis_up") for one in facts.of("predictor")]
    known = [value for value in up if value is not None]
    if not known:
        return None
    merged = merged_metrics(facts.of("predictor"))
    return {
        "answers": all(value > 0.0 for value in known),
        "unsaved_symbols": facts.total("predictor", "redis_unsaved_symbols"),
        "saves": facts.total("predictor", "redis_save_seconds_count"),
        "saves_failed": facts.total("predictor", "redis_save_failures_total"),
        "save_mean_ms": mean_ms(merged, "redis_save_seconds_sum"),
    }


def _kafka(kafka: KafkaFacts) -> dict[str, Any]:
    return {
        "answers": kafka.error is None,
        "error": kafka.error,
        "brokers": kafka.brokers,
        "missing_topics": ", ".join(kafka.missing_topics) or None,
        "consumer_group": kafka.group_state,
        "members": None if kafka.replicas is None else len(kafka.replicas),
        "records_behind": None
        if kafka.partitions is None
        else sum(one.lag for one in kafka.partitions),
    }


def _symbols(facts: ClusterFacts) -> list[dict[str, Any]]:
    """Return the symbols that lack candles: as the producer says, else as the log shows."""
    lacking = facts.lacking()
    if lacking is None:
        late = facts.log.late.items()
        lacking = [LackingSymbol(symbol, "late", since_ms, "") for symbol, since_ms in late]
    return [
        {
            "symbol": one.symbol,
            "standing": one.standing,
            "since_ms": one.since_ms,
            "reason": one.reason,
        }
        for one in lacking
    ]


def _recoveries(facts: ClusterFacts) -> dict[str, Any] | None:
    """Return how symbol groups were restored since the predictors started."""
    merged = merged_metrics(facts.of("predictor"))
    counts = {
        source: merged.get(("recovery_seconds_count", source)) for source in _RECOVERY_SOURCES
    }
    if not any(count is not None for count in counts.values()):
        return None
    return {
        **{f"from_{source}": count or 0.0 for source, count in counts.items()},
        "mean_ms": mean_ms(merged, "recovery_seconds_sum"),
        "rebalances": facts.total("predictor", "rebalances_total"),
    }
