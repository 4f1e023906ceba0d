"""What the trainer exports of its trainings."""

from math import isnan

from services.trainer.metrics import TrainerMetrics
from shared.adapters.prometheus import Telemetry
from shared.core.evaluation.skill_score import Skill

SKILL = Skill(0.02, 0.01, 0.03, 0.001, 2_000)


class Exported:
    """A trainer's metrics, read back, and the clock that it has."""

    def __init__(self) -> None:
        self.telemetry, self.now_s = Telemetry("t"), 1_000.0
        self.metrics = TrainerMetrics(self.telemetry, lambda: self.now_s)

    def value(self, name: str, **labels: str) -> float:
        value = self.telemetry.registry.get_sample_value(f"ulstm_t_{name}", labels)
        assert value is not None
        return value


def test_a_training_is_shown_while_it_runs_and_its_model_afterwards() -> None:
    exported = Exported()
    exported.metrics.begin_training()
    exported.metrics.report_data(5_000, 3)
    exported.metrics.report_epoch(2)
    assert (exported.value("is_training"), exported.value("epoch")) == (1, 2)

    exported.now_s += 60.0
    exported.metrics.report_release("v1", SKILL, None, promoted=True)

    assert (exported.value("is_training"), exported.value("epoch")) == (0, 0)
    assert exported.value("trainings_total", outcome="promoted") == 1
    assert exported.value("model_info", version="v1") == 1
    assert exported.value("last_training_duration_seconds") == 60.0
    assert exported.value("last_training_timestamp_seconds") == 1_060.0
    assert exported.value("skill_over_zero_ratio") == SKILL.value
    assert exported.value("skill_over_zero_lower_ratio") == SKILL.low
    assert isnan(exported.value("skill_over_champion_ratio"))


def test_failures_are_counted_by_their_kind_and_the_next_training_is_told() -> None:
    exported = Exported()
    for outcome in ("unavailable", "unavailable", "not_enough_candles"):
        exported.metrics.begin_training()
        exported.metrics.end_training(outcome)

    exported.metrics.report_next(3_600.0)

    assert exported.value("trainings_total", outcome="unavailable") == 2
    assert exported.value("trainings_total", outcome="promoted") == 0
    assert exported.value("next_training_timestamp_seconds") == 4_600.0


def test_it_is_ready_once_the_servers_answer() -> None:
    exported = Exported()
    exported.metrics.report_waiting("Kafka at kafka:9092 does not answer")
    assert exported.telemetry.answer("/health/ready")[0] == 503

    exported.metrics.report_ready()

    assert exported.telemetry.answer("/health/ready")[0] == 200
