"""What is wrong, in words, from what is known."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.dashboard.cluster.facts import (
    ClusterFacts,
    KafkaFacts,
    LackingSymbol,
    PartitionFacts,
    ServiceFacts,
)
from services.dashboard.cluster.problem import Problem, ProblemList
from services.dashboard.cluster.problems import add_to_trends, find_problems
from services.dashboard.cluster.trends import Trends
from services.dashboard.ports import LogFacts
from tests.services.dashboard.cluster.some_facts import (
    NOW_MS,
    healthy,
    kafka,
    log_facts,
    service,
)


def found(*moments: ClusterFacts) -> list[Problem]:
    """Return the problems at the last of some moments, 30 s apart."""
    trends, last = Trends(), len(moments) - 1
    dated = [replace(one, now_ms=NOW_MS + (at - last) * 30_000) for at, one in enumerate(moments)]
    for moment in dated:
        add_to_trends(trends, moment)
    return list(find_problems(dated[-1], trends))


def kinds(*moments: ClusterFacts) -> list[str]:
    return [one.kind.split()[0] for one in found(*moments)]


def test_a_healthy_cluster_has_no_problem() -> None:
    assert found(healthy()) == []


def test_nothing_known_is_no_problem() -> None:
    assert found(ClusterFacts(NOW_MS, KafkaFacts(), (), LogFacts())) == []


def test_kafka_away_comes_first_and_names_its_error() -> None:
    (first, *_) = found(healthy(kafka=KafkaFacts(error="Kafka at k:9092 says timed out")))

    assert (first.kind, first.severity) == ("kafka_away", "error")
    assert "k:9092" in first.why


def test_a_group_without_members_predicts_nothing() -> None:
    assert kinds(healthy(kafka=kafka(replicas=[], group_state="empty"))) == ["no_predictor"]


def test_a_symbol_group_without_owner_is_named() -> None:
    (problem,) = found(healthy(kafka=kafka(replicas=kafka().replicas[:1])))  # type: ignore[index]

    assert problem.what == "Symbol group 2 has no predictor"


def test_held_symbol_groups_are_named_with_the_reason() -> None:
    metrics = {("held_groups", "10"): 1.0, ("held_groups", "2"): 1.0}
    holding = replace(service("predictor"), is_ready=False, reason="no bundle", metrics=metrics)

    (problem,) = found(with_service(holding))

    assert (problem.kind.split()[0], problem.severity) == ("groups_held", "error")
    assert problem.what.startswith("Symbol groups 2, 10 are not predicted")
    assert "no bundle" in problem.why


def test_a_rebalance_is_no_problem() -> None:
    state = kafka(replicas=[], group_state="preparing_rebalancing")

    assert found(healthy(kafka=state)) == []


def behind(*lags: int) -> list[ClusterFacts]:
    """Return moments in which a symbol group is so far behind."""
    return [
        healthy(kafka=kafka(partitions=[PartitionFacts(0, 0, lag + 1, lag, NOW_MS - 120_000)]))
        for lag in lags
    ]


def test_a_lag_that_grows_is_an_error_that_says_for_how_long() -> None:
    state = [replace(one, kafka=replace(one.kafka, replicas=None)) for one in behind(100, 200, 300)]

    (problem,) = found(*state)

    assert (problem.kind, problem.severity) == ("lag_grows", "error")
    assert problem.why == "300 records wait to be predicted, the oldest for 2 min."


@pytest.mark.parametrize(
    ("lags", "expected"),
    [
        ((300, 300, 300), ["lag_grows"]),
        ((300, 200, 100), ["lag_shrinks"]),
        ((300, 0, 300), []),
        ((300, 300), []),
        ((20, 20, 20), []),
    ],
)
def test_only_a_group_that_was_never_at_the_end_is_behind(
    lags: tuple[int, ...], expected: list[str]
) -> None:
    state = [replace(one, kafka=replace(one.kafka, replicas=None)) for one in behind(*lags)]

    assert kinds(*state) == expected


def with_service(*services: ServiceFacts, **fields: Any) -> ClusterFacts:
    return healthy(services=list(services), **fields)


@pytest.mark.parametrize(
    ("name", "metrics", "kind"),
    [
        ("producer", {"stream_connected": 0.0}, "stream_lost"),
        ("producer", {"rest_ban_remaining_seconds": 90.0}, "feed_banned"),
        ("predictor", {"redis_up": 0.0}, "redis_away"),
        ("trainer", {"recent_skill_upper_ratio": -0.001}, "champion_drifts"),
    ],
)
def test_what_a_service_measures_is_a_problem(
    name: str, metrics: dict[str, Any], kind: str
) -> None:
    assert kinds(with_service(service(name, **metrics))) == [kind]


@pytest.mark.parametrize(
    ("name", "reason", "kind", "severity"),
    [
        ("producer", "the exchange does not answer", "producer_not_ready", "error"),
        ("producer", "starting", "producer_not_ready", "warning"),
        ("predictor", "restoring symbol groups [1]", "predictor_not_ready", "warning"),
        ("predictor", "klines contradict predictions", "predictor_not_ready", "error"),
        ("trainer", "Kafka does not answer", "trainer_not_ready", "warning"),
    ],
)
def test_a_service_that_is_not_ready_says_why(
    name: str, reason: str, kind: str, severity: str
) -> None:
    (problem,) = found(with_service(service(name, ready=False, reason=reason)))

    assert (problem.kind.split()[0], problem.severity) == (kind, severity)
    assert reason in problem.why


def test_a_history_that_is_fetched_is_no_error() -> None:
    symbols = [LackingSymbol("AUSDT", "history", NOW_MS, "its history is being fetched")]
    producer = service("producer", ready=False, reason="1 of 1 symbols lack candles")

    (problem,) = found(with_service(replace(producer, symbols=symbols)))

    assert problem.severity == "warning"
    assert problem.what == "The producer is fetching the history of 1 symbol"


def silent(name: str) -> ServiceFacts:
    reason = "10.0.0.9:9100 does not answer (connection refused)"
    since_ms = NOW_MS - 20_000
    return ServiceFacts(name, "10.0.0.9:9100", False, False, reason, silent_since_ms=since_ms)


def test_a_service_without_an_answer_is_named_with_its_address() -> None:
    (problem,) = found(with_service(silent("predictor")))

    assert problem.what == "The service predictor does not answer"
    assert "10.0.0.9:9100" in problem.why
    assert problem.since_ms == NOW_MS - 20_000


def test_a_service_that_may_be_starting_is_no_problem() -> None:
    starting = replace(silent("predictor"), silent_since_ms=NOW_MS - 10_000)

    assert found(with_service(starting)) == []


@pytest.mark.parametrize(
    ("champion", "next_s", "expected"),
    [("m1", 0.0, []), ("m1", 1.7e9, ["no_answer"]), (None, 0.0, ["no_answer", "no_champion"])],
)
def test_a_trainer_that_has_trained_once_may_end(
    champion: str | None, next_s: float, expected: list[str]
) -> None:
    trainer = replace(silent("trainer"), metrics={("next_training_timestamp_seconds", ""): next_s})

    assert kinds(with_service(trainer, log=log_facts(champion=champion))) == expected


@pytest.mark.parametrize(
    ("metric", "kind"),
    [
        ("aborts_total__refused", "aborts"),
        ("dead_letters_total__not_json", "dead_letters"),
    ],
)
def test_what_is_counted_is_a_problem_while_it_grows(metric: str, kind: str) -> None:
    counted: list[dict[str, Any]] = [{metric: value, "dead_letters_total": 0.0} for value in (4, 6)]
    moments = [with_service(service("predictor", **metrics)) for metrics in counted]

    (problem,) = found(*moments)

    assert problem.kind == kind
    assert problem.what.startswith("2 ")
    assert found(moments[0], moments[0]) == []


def test_dead_letters_show_without_the_services_counters() -> None:
    moments = [with_service(kafka=kafka(dead_letters=end)) for end in (10, 12)]

    (problem,) = found(*moments)

    assert problem.what.startswith("Records were rejected")


@pytest.mark.parametrize(
    ("trainer", "why"),
    [
        ([service("trainer", is_training=1.0, epoch=3.0)], "epoch 3"),
        ([service("trainer", trainings_total__not_enough_candles=1.0)], "too few candles"),
        ([service("trainer", ready=False, reason="starting")], "starting"),
        ([service("trainer")], "waits for candles"),
        ([], "No version"),
    ],
)
def test_no_champion_yet_says_why(trainer: list[ServiceFacts], why: str) -> None:
    (problem,) = found(healthy(services=trainer, log=log_facts(champion=None)))

    assert (problem.kind, problem.severity) == ("no_champion", "warning")
    assert why in problem.why


def test_silence_is_a_problem_since_the_last_candle() -> None:
    newest_ms = NOW_MS - 720_000

    (problem,) = found(healthy(log=log_facts(newest_arrived_ms=newest_ms)))

    assert problem.what == "No candle has arrived for 12 min"
    assert problem.since_ms == newest_ms


def test_symbols_that_lack_candles_are_named_by_what_the_producer_says() -> None:
    symbols = [
        LackingSymbol("AUSDT", "late", NOW_MS - 60_000, "its next candle has not arrived"),
        LackingSymbol("BUSDT", "doubtful", NOW_MS - 90_000, "REST denies it"),
        LackingSymbol("CUSDT", "halted", NOW_MS, "not traded"),
        LackingSymbol("DUSDT", "refused", NOW_MS, "Invalid symbol."),
        LackingSymbol("EUSDT", "history", NOW_MS, "its history is being fetched"),
    ]
    producer = replace(service("producer"), symbols=symbols)

    late, refused, halted = found(with_service(producer, log=log_facts(late={"ZUSDT": 1})))

    assert late.what == "2 symbols are late: AUSDT, BUSDT"
    assert late.since_ms == NOW_MS - 90_000
    assert "`ulstm symbols remove DUSDT`" in refused.todo
    assert halted.what == "1 symbol is halted: CUSDT"


def test_without_a_producer_s_word_the_log_says_who_is_late() -> None:
    (problem,) = found(with_service(log=log_facts(late={"ZUSDT": NOW_MS - 1})))

    assert problem.what == "1 symbol is late: ZUSDT"


def test_every_problem_says_what_why_and_what_to_do() -> None:
    state = healthy(
        kafka=kafka(missing_topics=["klines.5m"], replicas=[], banned_until_ms=NOW_MS + 5_000),
        services=[service(name, ready=False, reason="why") for name in ("producer", "trainer")],
        log=log_facts(champion=None, newest_arrived_ms=0, late={"AUSDT": 1}),
    )

    problems = found(state)

    assert len(problems) == 8
    for one in problems:
        assert not one.what[0].islower()
        assert not one.what.endswith(".")
        assert one.why.endswith(".")
        assert one.todo.endswith((".", ":"))


def test_a_problem_begins_when_it_is_seen_first_and_ends_when_it_is_gone() -> None:
    problems, one = ProblemList(), Problem("a", "warning", "A", "because.", "Wait.")

    assert problems.update([one], 10)
    assert not problems.update([one], 20)
    assert [each["since_ms"] for each in problems.to_json()] == [10]
    assert problems.update([], 30)
    assert problems.update([one], 40)
    assert [each["since_ms"] for each in problems.to_json()] == [40]


@given(st.lists(st.sampled_from(["error", "warning"]), max_size=8))
def test_errors_come_before_warnings(severities: list[Any]) -> None:
    problems = ProblemList()

    problems.update([Problem(str(i), s, "W", "w.", "t.") for i, s in enumerate(severities)], 0)

    shown = [one["severity"] for one in problems.to_json()]
    assert shown == sorted(severities)
    assert len(problems) == len(severities)
