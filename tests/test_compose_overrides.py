"""What docker-compose.secure.yml and docker-compose.elsewhere.yml change of docker-compose.yml."""

import re
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from services.cli.credentials.creation import ADMIN, CA, KAFKA_PASSWORD, REDIS_PASSWORD
from shared.adapters.kafka.rights import Principal
from tests.test_compose_settings import CONNECTION, REDIS_SECRETS

ROOT: Final = Path(__file__).parents[1]
CLIENTS: Final = {
    "producer": Principal.PRODUCER,
    "producer-offline": Principal.PRODUCER,
    "predictor": Principal.PREDICTOR,
    "trainer": Principal.TRAINER,
    "trainer-offline": Principal.TRAINER,
    "dashboard": Principal.DASHBOARD,
    "cli": Principal.OPERATOR,
}
MOUNT: Final = "/run/credentials"
each_client = pytest.mark.parametrize("name", sorted(CLIENTS))


class ComposeLoader(yaml.SafeLoader):
    """Reads Compose's own tags too."""


ComposeLoader.add_constructor("!reset", lambda _loader, _node: None)


def read_services(name: str) -> dict[str, dict[str, Any]]:
    text = (ROOT / name).read_text()
    services: dict[str, dict[str, Any]] = yaml.load(text, ComposeLoader)["services"]
    return services


BASE: Final = read_services("docker-compose.yml")
SECURE: Final = read_services("docker-compose.secure.yml")
ELSEWHERE: Final = read_services("docker-compose.elsewhere.yml")


@each_client
def test_a_client_proves_who_it_is_over_tls(name: str) -> None:
    environment = SECURE[name]["environment"]

    assert environment["KAFKA_SECURITY_PROTOCOL"] == "SASL_SSL"
    assert environment["KAFKA_SASL_USERNAME"] == CLIENTS[name]
    assert environment["KAFKA_SASL_PASSWORD_FILE"] == f"{MOUNT}/{KAFKA_PASSWORD}"
    assert environment["KAFKA_SSL_CA_LOCATION"] == f"{MOUNT}/{CA}"


@each_client
def test_a_client_sees_its_own_credentials_alone(name: str) -> None:
    assert SECURE[name]["volumes"] == [f"credentials-{CLIENTS[name]}:{MOUNT}:ro"]


@pytest.mark.parametrize("name", sorted(set(CLIENTS) - {"cli"}))
def test_a_service_starts_once_its_rights_are_set(name: str) -> None:
    needed = SECURE[name]["depends_on"]["kafka-users"]["condition"]

    assert needed == "service_completed_successfully"


def test_the_state_store_is_reached_with_a_password_over_tls() -> None:
    environment = SECURE["predictor"]["environment"]

    assert environment["REDIS_URL"].startswith("rediss://predictor@redis:6379")
    assert environment["REDIS_PASSWORD_FILE"] == f"{MOUNT}/{REDIS_PASSWORD}"


def test_redis_speaks_nothing_but_tls_and_keeps_its_other_settings() -> None:
    command = SECURE["redis"]["command"]
    options = dict(zip(command[1::2], command[2::2], strict=True))
    before = BASE["redis"]["command"]
    kept = dict(zip(before[1::2], before[2::2], strict=True))
    del kept["--protected-mode"]  # users take its place

    assert options["--port"] == "0"
    assert options["--aclfile"] == f"{MOUNT}/users.acl"
    assert options.items() >= kept.items()


def test_kafka_denies_what_no_right_allows() -> None:
    environment = SECURE["kafka"]["environment"]
    protocols = dict(
        pair.split(":") for pair in environment["KAFKA_LISTENER_SECURITY_PROTOCOL_MAP"].split(",")
    )
    listeners = environment["KAFKA_LISTENERS"].split(",")

    assert environment["KAFKA_AUTHORIZER_CLASS_NAME"].endswith(".StandardAuthorizer")
    assert "KAFKA_ALLOW_EVERYONE_IF_NO_ACL_FOUND" not in environment
    assert environment["KAFKA_SUPER_USERS"] == f"User:{ADMIN};User:CN=kafka"
    # What does not ask for a password is within the container.
    for listener in listeners:
        name, address = listener.split("://")
        assert protocols[name] == "SASL_SSL" or address.startswith("localhost:")


def test_the_folders_of_credentials_are_the_same_everywhere() -> None:
    names = {"authority", "kafka", "redis", ADMIN, *Principal}
    mounted = {volume.split(":")[1] for volume in SECURE["credentials"]["volumes"]}
    made = re.search(r"for name in ([^;]*);", (ROOT / "Dockerfile").read_text())

    assert mounted == {f"/credentials/{name}" for name in names}
    assert made is not None
    assert set(made[1].replace("\\\n", " ").split()) == names


def test_nobody_but_who_makes_them_sees_the_authority() -> None:
    seeing = {name for name, service in SECURE.items() if "credentials-authority" in str(service)}

    assert seeing == {"credentials"}


@each_client
def test_with_servers_elsewhere_a_client_has_a_way_out_and_waits_for_none(name: str) -> None:
    service = ELSEWHERE[name]

    assert service["networks"] == ["egress"]
    unused = set[str]() if name == "predictor" else REDIS_SECRETS
    assert service["environment"].keys() >= {"KAFKA_BOOTSTRAP_SERVERS", *CONNECTION} - unused
    needed = service.get("depends_on", {})
    assert set(needed) == set(BASE[name].get("depends_on", {})) - {"exchange-simulator"}
    assert not any(one["required"] for one in needed.values())


@pytest.mark.parametrize("server", ["kafka", "redis"])
def test_servers_that_are_elsewhere_are_not_started_here(server: str) -> None:
    assert ELSEWHERE[server] == {"profiles": ["servers"]}
