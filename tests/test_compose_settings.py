"""Every setting of every service can be set where docker-compose.yml runs it."""

import re
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from services.dashboard.settings import DashboardSettings
from services.exchange_simulator.settings import SimulatorSettings
from services.predictor.settings import PredictorSettings
from services.producer.settings import ProducerSettings
from services.trainer.settings import TrainerSettings
from shared.adapters.env_settings import EnvSettings, PredictorGroupSettings
from shared.adapters.kafka.connection_settings import KafkaSettings

ROOT: Final = Path(__file__).parents[1]
SERVICES: Final[dict[str, dict[str, Any]]] = yaml.safe_load(
    (ROOT / "docker-compose.yml").read_text()
)["services"]
SETTINGS: Final[dict[str, type[EnvSettings]]] = {
    "predictor": PredictorSettings,
    "producer": ProducerSettings,
    "producer-offline": ProducerSettings,
    "trainer": TrainerSettings,
    "trainer-offline": TrainerSettings,
    "dashboard": DashboardSettings,
    "exchange-simulator": SimulatorSettings,
    "cli": PredictorGroupSettings,
}
# What the container decides: addresses inside it, and servers that are containers as well.
FIXED: Final = {
    "KAFKA_BOOTSTRAP_SERVERS",
    "REDIS_URL",
    "METRICS_HOST",
    "METRICS_PORT",
    "METRICS_URLS",
    "DASHBOARD_HOST",
    "DASHBOARD_PORT",
    "EXCHANGE_HOST",
    "EXCHANGE_PORT",
    "CHECKPOINTS",
    "TMPDIR",
}
# Files for who started the process, who does not look into a container; the command line has no
# metrics.
UNSET: Final = {
    "DASHBOARD_PORT_FILE": "dashboard",
    "EXCHANGE_PORT_FILE": "exchange-simulator",
    "METRICS_HOST": "cli",
    "METRICS_PORT": "cli",
}
REDIS_SECRETS: Final = {"REDIS_PASSWORD", "REDIS_PASSWORD_FILE"}
# How to get into Kafka and Redis is set where they are: tests/test_compose_overrides.py.
CONNECTION: Final = {
    *(field.upper() for field in KafkaSettings.model_fields),
    *REDIS_SECRETS,
} - {"KAFKA_BOOTSTRAP_SERVERS", "KAFKA_COMPRESSION", "KAFKA_MESSAGE_MAX_BYTES"}
RENAMED: Final = {("trainer", "SYMBOLS"): "TRAIN_SYMBOLS"}  # SYMBOLS is the producer's
REFERENCE: Final = re.compile(r"\$\{([A-Z_]+)(?::?[-?]([^}]*))?\}")
EXAMPLES: Final = dict(
    line.split("=", 1)
    for line in (ROOT / ".env.example").read_text().splitlines()
    if line and not line.startswith("#")
)
COMPOSE: Final = {"COMPOSE_PROFILES", "COMPOSE_FILE"}  # Compose itself reads them
each_service = pytest.mark.parametrize("name", SETTINGS)


def variables_of(settings: type[EnvSettings]) -> set[str]:
    return {settings.variable_of(field) for field in settings.model_fields}


def defaults() -> dict[str, str]:
    """Return the default of each setting, as the code and then as the compose file have it."""
    found = {
        settings.variable_of(name): str(field.default)
        for settings in SETTINGS.values()
        for name, field in settings.model_fields.items()
    }
    text = (ROOT / "docker-compose.yml").read_text()
    return found | {name: default for name, default in REFERENCE.findall(text) if default}


@each_service
def test_a_service_has_every_setting_of_it_in_its_environment(name: str) -> None:
    unset = {variable for variable, service in UNSET.items() if service == name}

    wanted = variables_of(SETTINGS[name]) - CONNECTION

    assert set(SERVICES[name]["environment"]) | unset >= wanted
    assert not CONNECTION & set(SERVICES[name]["environment"])


@each_service
def test_a_setting_is_passed_on_under_its_own_name(name: str) -> None:
    offline = name.endswith("-offline")  # its settings make the short demonstration
    for variable, value in SERVICES[name]["environment"].items():
        if variable in FIXED or value is None or (offline and "$" not in value):
            continue
        reference = REFERENCE.fullmatch(value)
        assert reference is not None, f"{variable} is {value}, which cannot be changed"
        service = name.removesuffix("-offline")
        assert reference[1] == RENAMED.get((service, variable), variable)


@each_service
def test_a_service_is_given_nothing_that_it_does_not_know(name: str) -> None:
    more = {"TMPDIR"} if name == "cli" else set()

    assert set(SERVICES[name]["environment"]) - variables_of(SETTINGS[name]) == more


@pytest.mark.parametrize("name", sorted(set(EXAMPLES) - COMPOSE))
def test_the_example_of_an_env_file_shows_the_default(name: str) -> None:
    renamed = {value: variable for (_, variable), value in RENAMED.items()}

    assert same_value(EXAMPLES[name], defaults()[name] if name not in renamed else "")


def same_value(left: str, right: str) -> bool:
    try:
        return float(left) == float(right)
    except ValueError:
        return left == right
