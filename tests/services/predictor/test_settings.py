"""Settings of the predictor, and those that cannot work together."""

from pathlib import Path

import pytest

from services.predictor.settings import PredictorSettings
from shared.core.errors import BadSetting


def test_the_password_of_redis_comes_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("sesame\n")
    settings = PredictorSettings.from_env({"REDIS_PASSWORD_FILE": str(file)})

    assert settings.redis_secret == "sesame"
    assert "sesame" not in repr(settings)


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"REDIS_PASSWORD": "sesame", "REDIS_PASSWORD_FILE": "file"}, "are set: give one"),
        ({"REDIS_PASSWORD": "sesame", "REDIS_URL": "redis://:open@h"}, "REDIS_URL has a password"),
        ({"REDIS_PASSWORD_FILE": "nowhere"}, "'nowhere': the file cannot be read"),
    ],
)
def test_passwords_of_redis_that_cannot_work_are_refused(
    environ: dict[str, str], message: str
) -> None:
    with pytest.raises(BadSetting) as refusal:
        PredictorSettings.from_env(environ)

    assert message in str(refusal.value)
    assert "sesame" not in str(refusal.value)


def test_the_groups_protocol_and_times_are_settings() -> None:
    classic = PredictorSettings.from_env({"SESSION_TIMEOUT_MS": "9000"}).group
    consumer = PredictorSettings.from_env({"GROUP_PROTOCOL": "consumer"}).group

    assert classic.client_config() == {
        "group.protocol": "classic",
        "partition.assignment.strategy": "cooperative-sticky",
        "session.timeout.ms": 9_000,
        "heartbeat.interval.ms": 300,
    }
    assert consumer.client_config() == {"group.protocol": "consumer"}


def test_a_heartbeat_that_is_too_long_for_the_session_is_refused() -> None:
    environ = {"SESSION_TIMEOUT_MS": "6000", "HEARTBEAT_INTERVAL_MS": "2001"}

    with pytest.raises(BadSetting, match=r"HEARTBEAT_INTERVAL_MS is 2001.*SESSION_TIMEOUT_MS=6000"):
        PredictorSettings.from_env(environ)
