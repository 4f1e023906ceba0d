import pytest

from services.exchange_simulator.settings import SimulatorSettings
from services.predictor.settings import PredictorSettings
from shared.adapters.env_settings import EnvSettings, ServiceSettings
from shared.core.errors import BadSetting


def test_a_setting_is_read_from_the_variable_named_in_capitals() -> None:
    environ = {"SYMBOL_GROUPS": "3", "INTERVAL": "1h", "interval": "1m", "HOME": "/root"}

    settings = ServiceSettings.from_env(environ)

    assert (settings.symbol_groups, settings.interval) == (3, "1h")


def test_an_empty_value_counts_as_not_given() -> None:
    assert ServiceSettings.from_env({"SYMBOL_GROUPS": "", "LOG_LEVEL": ""}) == ServiceSettings()


def test_the_environment_of_the_process_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYMBOL_GROUPS", "3")

    assert ServiceSettings.from_env({}).symbol_groups == ServiceSettings().symbol_groups == 6


def test_a_service_has_the_shared_settings_and_its_own() -> None:
    settings = PredictorSettings.from_env({"BATCH_RECORDS": "5", "TOPIC_PREFIX": "a."})

    assert (settings.batch_records, settings.topics.klines) == (5, "a.klines.5m")


@pytest.mark.parametrize(
    ("settings", "environ", "message"),
    [
        (
            ServiceSettings,
            {"SYMBOL_GROUPS": "0"},
            "SYMBOL_GROUPS is '0'.*greater than or equal to 1",
        ),
        (ServiceSettings, {"SYMBOL_GROUPS": "six"}, "SYMBOL_GROUPS is 'six'"),
        (ServiceSettings, {"LOG_LEVEL": "LOUD"}, "LOG_LEVEL is 'LOUD'.*'DEBUG', 'INFO'"),
        (ServiceSettings, {"INTERVAL": "7m"}, "INTERVAL is '7m'; choose one of 1m"),
        (ServiceSettings, {"TOPIC_PREFIX": "A B"}, "TOPIC_PREFIX is 'A B'"),
        (SimulatorSettings, {"EXCHANGE_PORT": "99999"}, "EXCHANGE_PORT is '99999'"),
        (SimulatorSettings, {"LOG_LEVEL": "LOUD"}, "^LOG_LEVEL is 'LOUD'"),
        (SimulatorSettings, {"INTERVAL": "7m"}, "^INTERVAL is '7m'"),
    ],
)
def test_a_refusal_names_the_variable_the_value_and_what_is_allowed(
    settings: type[EnvSettings], environ: dict[str, str], message: str
) -> None:
    with pytest.raises(BadSetting, match=message):
        settings.from_env(environ)


def test_every_wrong_setting_is_named_at_once() -> None:
    with pytest.raises(BadSetting, match=r"SYMBOL_GROUPS is '0'.*TOPIC_REPLICAS is 'x'"):
        ServiceSettings.from_env({"SYMBOL_GROUPS": "0", "TOPIC_REPLICAS": "x"})


@pytest.mark.parametrize(
    "url",
    ["http://user:secret@h:1", "http://:se/cret@h", "http://:secret", "secret@host", "secret"],
)
def test_a_password_is_in_no_message_and_no_repr(url: str) -> None:
    with pytest.raises(BadSetting) as refusal:
        PredictorSettings.from_env({"REDIS_URL": url})

    assert "REDIS_URL" in str(refusal.value)
    assert "redis|rediss" in str(refusal.value)
    assert "cret" not in str(refusal.value)
    assert refusal.value.__cause__ is None
    assert "secret" not in repr(PredictorSettings.from_env({"REDIS_URL": "redis://:secret@h:1/0"}))
