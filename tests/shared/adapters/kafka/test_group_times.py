import pytest

from shared.adapters.kafka.connection import KafkaConnection
from shared.adapters.kafka.group_times import GroupTimes, read_group_times


@pytest.mark.integration
def test_the_brokers_of_this_machine_tell_short_times(kafka: KafkaConnection) -> None:
    assert read_group_times(kafka, "any-group") == GroupTimes(5_000, 300)


def test_times_as_wanted_need_no_advice() -> None:
    assert GroupTimes(5_000, 300).advice("group", 6_000) is None


@pytest.mark.parametrize("times", [GroupTimes(45_000, 300), GroupTimes(6_000, 5_000)])
def test_longer_times_are_named_with_what_to_set(times: GroupTimes) -> None:
    advice = times.advice("ulstm-predictor-5m", 6_000) or ""

    assert "ulstm-predictor-5m" in advice
    assert f"{times.session_timeout_ms} ms" in advice
    assert f"{times.heartbeat_interval_ms} ms" in advice
    assert "GROUP_PROTOCOL=classic" in advice
