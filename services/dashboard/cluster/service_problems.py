"""What is wrong with the services and their work. PURE."""

from collections.abc import Iterator, Sequence
from typing import Final

from services.dashboard.cluster.facts import ClusterFacts, ServiceFacts
from services.dashboard.cluster.problem import Problem
from services.dashboard.cluster.trends import WINDOW_MS, Series, Trends
from services.dashboard.cluster.words import count, duration, names, verb

ABORTS: Final = "aborts"
DEAD_LETTERS: Final = "dead letters"
DEAD_LETTER_OFFSETS: Final = "dead letter offsets"
TRAININGS_FAILED: Final = "trainings failed"
SILENT_MS: Final = 15_000  # a service may be starting
_TRAINER: Final = "trainer"


def counted(facts: ClusterFacts) -> dict[Series, float | None]:
    """Return the counters whose growth tells of a problem."""
    counters: dict[Series, float | None] = {
        Series(DEAD_LETTER_OFFSETS): facts.kafka.dead_letters,
    }
    for service in (*facts.of("producer"), *facts.of("predictor")):
        counters[Series(ABORTS, service.address)] = service.value("aborts_total")
        counters[Series(DEAD_LETTERS, service.address)] = service.value("dead_letters_total")
    for trainer in facts.of(_TRAINER):
        failed = trainer.by_label("trainings_total").get("unavailable")
        counters[Series(TRAININGS_FAILED, trainer.address)] = failed
    return counters


def answer_problems(facts: ClusterFacts) -> Iterator[Problem]:
    """Yield the services without an answer, and the reasons for which predictors wait."""
    for service in facts.services:
        is_starting = facts.now_ms - service.silent_since_ms < SILENT_MS
        if not service.is_live and not is_starting and facts.expects(service):
            yield Problem(
                f"no_answer {service.address}",
                "warning" if service.name == _TRAINER else "error",
                f"The service {service.name} does not answer",
                f"{service.reason}.",
                "Start it, or take its address out of METRICS_URLS.",
                since_ms=service.silent_since_ms,
            )
    for predictor in facts.of("predictor"):
        held = sorted(predictor.by_label("held_groups"), key=int)
        if held:
            yield _held(predictor, held)
        elif not predictor.is_ready:
            yield _not_ready(predictor)


def _held(predictor: ServiceFacts, partitions: Sequence[str]) -> Problem:
    number = len(partitions)
    return Problem(
        f"groups_held {predictor.address}",
        "error",
        f"Symbol group{verb(number, '', 's')} {names(partitions)}"
        f" {verb(number, 'is', 'are')} not predicted: something stands in the way",
        f"The predictor at {predictor.address} says: {predictor.reason}.",
        "Do what the reason says. It is tried again by itself; other symbol groups go on.",
    )


def _not_ready(predictor: ServiceFacts) -> Problem:
    is_restoring = predictor.reason.startswith("restoring") or predictor.is_starting
    return Problem(
        f"predictor_not_ready {predictor.address}",
        "warning" if is_restoring else "error",
        f"The predictor at {predictor.address} is not ready",
        f"It says: {predictor.reason}.",
        "Nothing: it continues once its states are restored."
        if is_restoring
        else "Do what the reason says; else see its log.",
    )


def model_problems(facts: ClusterFacts) -> Iterator[Problem]:
    """Yield what is wrong with the champion, or that there is none yet."""
    log = facts.log
    if log.is_champion_known and log.champion is None and log.has_candles:
        yield Problem(
            "no_champion",
            "warning",
            "No model predicts yet",
            _why_no_champion(facts),
            "Wait for the trainer; or train one with `ulstm train`, or publish one with"
            " `ulstm models import`.",
        )
    for trainer in facts.of(_TRAINER):
        upper = trainer.value("recent_skill_upper_ratio")
        if upper is not None and upper < 0.0:  # false for NaN, which is: not known
            yield Problem(
                "champion_drifts",
                "warning",
                "The champion predicts worse than no change would",
                f"Its recent skill is at most {upper:.2%} (95 %).",
                "Wait for the next training, or go back with `ulstm models rollback`.",
            )


def _why_no_champion(facts: ClusterFacts) -> str:
    for trainer in facts.of(_TRAINER):
        if trainer.is_starting:
            return "The trainer is starting."
        if trainer.value("is_training"):
            return f"The first training runs: epoch {trainer.value('epoch') or 0:.0f}."
        if not trainer.is_ready:
            return f"The trainer says: {trainer.reason}."
        if trainer.by_label("trainings_total").get("not_enough_candles"):
            return "There are too few candles to train on yet."
        return "The trainer waits for candles."
    return "No version was promoted."


def work_problems(facts: ClusterFacts, trends: Trends) -> Iterator[Problem]:
    """Yield what happened in the last minutes that should not go on."""
    without_redis = [one for one in facts.of("predictor") if one.value("redis_up") == 0.0]
    if without_redis:
        yield Problem(
            "redis_away",
            "warning",
            "Redis does not answer",
            f"The last call of {names([one.address for one in without_redis])} failed.",
            "Start it, or correct REDIS_URL. Predictions go on without it; a predictor that starts"
            " meanwhile takes longer, as it replays the log.",
        )
    yield from _aborts(trends)
    yield from _dead_letters(trends)
    yield from _trainer(facts, trends)


def _aborts(trends: Trends) -> Iterator[Problem]:
    aborts = trends.growth(ABORTS)
    if aborts:
        yield Problem(
            "aborts",
            "warning",
            f"{count(aborts, 'transaction')} {verb(aborts, 'was', 'were')} taken back in the last"
            f" {duration(WINDOW_MS)}",
            "Kafka did not take them, or a rebalance came between: nothing of them is visible.",
            "Nothing: the work is done again. If it goes on, see the logs of producer and"
            " predictors.",
        )


def _dead_letters(trends: Trends) -> Iterator[Problem]:
    # Offsets count the marks of transactions too.
    has_counters = trends.has(DEAD_LETTERS)
    rejected = trends.growth(DEAD_LETTERS if has_counters else DEAD_LETTER_OFFSETS)
    if rejected:
        number = count(rejected, "record") if has_counters else "Records"
        yield Problem(
            "dead_letters",
            "warning",
            f"{number} {verb(rejected * has_counters, 'was', 'were')} rejected in the last"
            f" {duration(WINDOW_MS)}",
            "They could not be read, or contradict the log; they are on the topic dead-letters.",
            "`ulstm dead-letters list` shows their reasons, `ulstm dead-letters redrive` takes"
            " them back into the log.",
        )


def _trainer(facts: ClusterFacts, trends: Trends) -> Iterator[Problem]:
    waiting = [one for one in facts.of(_TRAINER) if not (one.is_ready or one.is_starting)]
    if waiting:
        yield Problem(
            "trainer_not_ready",
            "warning",
            "The trainer is not ready",
            f"It says: {waiting[0].reason}.",
            "It goes on by itself once the reason is gone; the champion predicts meanwhile.",
        )
    if trends.growth(TRAININGS_FAILED):
        yield Problem(
            "training_failed",
            "warning",
            "A training has failed",
            "Kafka did not answer it, or did not take its model.",
            "It tries again by itself; see the trainer's log.",
        )
