"""What is wrong now, in words: why, and what to do. PURE."""

from collections.abc import Iterator

from services.dashboard.cluster.facts import ClusterFacts
from services.dashboard.cluster.feed_problems import feed_problems, symbol_problems
from services.dashboard.cluster.kafka_problems import kafka_problems, lag_series
from services.dashboard.cluster.problem import Problem
from services.dashboard.cluster.service_problems import (
    answer_problems,
    counted,
    model_problems,
    work_problems,
)
from services.dashboard.cluster.trends import Trends


def find_problems(facts: ClusterFacts, trends: Trends) -> Iterator[Problem]:
    """Yield the problems, the most harmful first; what is not known is no problem.

    Args:
        facts: what is known now; the trends have it already.
        trends: how it has grown in the last minutes.
    """
    yield from kafka_problems(facts, trends)
    yield from answer_problems(facts)
    yield from feed_problems(facts)
    yield from model_problems(facts)
    yield from symbol_problems(facts)
    yield from work_problems(facts, trends)


def add_to_trends(trends: Trends, facts: ClusterFacts) -> None:
    """Add what is known now to the trends."""
    lags = {lag_series(one.partition): float(one.lag) for one in facts.kafka.partitions or ()}
    trends.add(facts.now_ms, {**counted(facts), **lags})
