"""The health page as plain values."""

from dataclasses import replace
from math import inf, nan
from typing import Any

import pytest

from services.dashboard.cluster.facts import ClusterFacts, KafkaFacts, LackingSymbol
from services.dashboard.cluster.health_page import health_page, summary
from services.dashboard.cluster.problem import ProblemList
from services.dashboard.ports import LogFacts
from shared.adapters.schemas.wire import canonical_json
from tests.services.dashboard.cluster.some_facts import healthy, kafka, log_facts, service


def page_of(facts: ClusterFacts) -> dict[str, Any]:
    page = health_page(facts, ProblemList())
    canonical_json(page)
    return page


def test_nothing_known_is_none_or_empty() -> None:
    nothing = ClusterFacts(0, KafkaFacts(error="timed out"), (), LogFacts())

    page = page_of(nothing)

    assert (page["feed"], page["redis"], page["recoveries"]) == (None, None, None)
    assert page["partitions"] == page["services"] == page["symbols"] == []
    assert page["kafka"]["answers"] is False
    assert summary(nothing, ProblemList()) == {
        "replicas": [],
        "reconnects": None,
        "aborted_transactions": None,
        "problems": 0,
    }


def test_each_symbol_group_has_its_owner_and_its_symbols() -> None:
    page = page_of(healthy(log=log_facts(symbols_by_partition={0: 7, 2: 4})))

    rows = [(one["partition"], one["replica"], one["symbols"]) for one in page["partitions"]]
    assert rows == [(0, "r1", 7), (1, "r1", 0), (2, "r2", 4)]
    assert page["replicas"][1] == {"member": "r2", "host": "10.0.0.4", "partitions": [2]}


def test_metrics_are_shown_without_prefixes_in_the_page_s_units() -> None:
    metrics: dict[str, Any] = {
        "aborts_total__refused": 2.0,
        "aborts_total__aborted": 1.0,
        "batch_seconds_sum": 3.0,
        "batch_seconds_count": 6.0,
        "last_commit_timestamp_seconds": 1_735_689_600.0,
        "newest_close_timestamp_seconds__0": 5.0,
        "newest_close_timestamp_seconds__1": 7.0,
        "process_cpu_seconds_total": 2.5,
        "process_start_time_seconds": 9.0,
        "process_virtual_memory_bytes": 1e9,
        "model_info__m1": 1.0,
        "symbols": 5.0,
        "recent_skill_ratio": nan,
        "limit": inf,
    }

    (shown,) = page_of(healthy(services=[service("predictor", **metrics)]))["services"]

    assert shown["facts"] == {
        "aborts": 3.0,
        "last_commit_at_ms": 1_735_689_600_000.0,
        "newest_close_at_ms": 7_000.0,
        "cpu_ms": 2_500.0,
        "started_at_ms": 9_000.0,
        "symbols": 5.0,
        "recent_skill_ratio": None,
        "limit": None,
        "batch_mean_ms": 500.0,
    }


def test_redis_and_recoveries_are_those_of_all_predictors() -> None:
    one = service(
        "predictor",
        redis_up=1.0,
        recovery_seconds_count__redis=2.0,
        recovery_seconds_sum__redis=1.0,
        recovery_seconds_count__log=2.0,
        recovery_seconds_sum__log=7.0,
    )

    page = page_of(healthy(services=[one, replace(one, address="b:9100")]))

    assert page["redis"]["answers"] is True
    assert page["recoveries"] == {
        "from_redis": 4.0,
        "from_log": 4.0,
        "mean_ms": 2_000.0,
        "rebalances": None,
    }


def test_redis_that_one_predictor_does_not_reach_does_not_answer() -> None:
    services = [service("predictor", redis_up=up) for up in (1.0, 0.0)]

    assert page_of(healthy(services=services))["redis"]["answers"] is False


def test_the_feed_is_what_the_producer_says() -> None:
    producer = service(
        "producer", stream_connected=1.0, symbols=9.0, worst_lag_seconds=2.5, stream_ends_total=3.0
    )

    facts = healthy(services=[producer])

    feed = page_of(facts)["feed"]
    assert (feed["stream_connected"], feed["symbols_followed"]) == (True, 9.0)
    assert (feed["worst_lag_ms"], feed["banned_until_at_ms"]) == (2_500.0, None)
    assert summary(facts, ProblemList())["reconnects"] == 3.0


@pytest.mark.parametrize("is_known", [True, False])
def test_symbols_that_lack_candles_are_listed(is_known: bool) -> None:
    symbols = [LackingSymbol("AUSDT", "late", 5, "its next candle has not arrived")]
    producer = replace(service("producer"), symbols=symbols if is_known else None)

    page = page_of(healthy(services=[producer], log=log_facts(late={"BUSDT": 6})))

    assert [one["symbol"] for one in page["symbols"]] == ["AUSDT" if is_known else "BUSDT"]


def test_records_behind_are_those_of_all_symbol_groups() -> None:
    state = kafka(partitions=[replace(one, lag=4) for one in kafka().partitions or ()])

    assert page_of(healthy(kafka=state))["kafka"]["records_behind"] == 12
