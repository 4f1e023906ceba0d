"""The confinement that docker-compose.yml promises, read from the file itself."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

# Another image, as one by its digest, is a setting: scripts/image_digests.sh.
IMAGE = re.compile(r"\$\{[A-Z]+_IMAGE:-[a-z/]+:v?[0-9][0-9a-z.-]*\}")
ROOT = Path(__file__).parents[1]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
NEED_NOTHING = {"kafka", "redis", "exchange-simulator", "prometheus"}
OBSERVERS = {"prometheus", "grafana"}
COMMANDS = {"cli"}  # run and gone, by `docker compose run --rm`
each_service = pytest.mark.parametrize("name", sorted(SERVICES))


@each_service
def test_a_container_is_confined(name: str) -> None:
    service = SERVICES[name]

    assert service["user"].split(":")[0] not in {"", "0", "root"}
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert service["pids_limit"]
    assert service["mem_limit"]
    assert "privileged" not in service
    assert not any("docker.sock" in volume for volume in service.get("volumes", []))


@each_service
def test_a_port_is_published_on_the_loopback_interface_only(name: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name].get("ports", []))


@each_service
def test_a_container_may_be_scaled(name: str) -> None:
    assert "container_name" not in SERVICES[name]


@pytest.mark.parametrize("name", sorted(set(SERVICES) - COMMANDS))
def test_a_container_has_a_health_check(name: str) -> None:
    assert SERVICES[name]["healthcheck"]["test"]


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_a_command_starts_nothing_beside_it_and_is_not_started_itself(name: str) -> None:
    service = SERVICES[name]

    assert service["profiles"] == [name]
    assert service["restart"] == "no"
    assert "depends_on" not in service


@pytest.mark.parametrize("name", sorted(set(SERVICES) - NEED_NOTHING - COMMANDS))
def test_a_service_waits_for_healthy_servers(name: str) -> None:
    conditions = {needed: how["condition"] for needed, how in SERVICES[name]["depends_on"].items()}

    assert name in OBSERVERS or conditions["kafka"] == "service_healthy"
    assert set(conditions.values()) == {"service_healthy"}


def test_nothing_but_the_live_producer_has_a_way_out() -> None:
    ways_out = {
        name for name, network in COMPOSE["networks"].items() if not (network or {}).get("internal")
    }
    out = {name for name, service in SERVICES.items() if ways_out & set(service["networks"])}

    # The network of those with a loopback port does not masquerade.
    assert out == {"producer", "kafka", "dashboard", *OBSERVERS}
    assert (
        COMPOSE["networks"]["published"]["driver_opts"][
            "com.docker.network.bridge.enable_ip_masquerade"
        ]
        == "false"
    )


def test_an_image_has_a_version_or_the_digest_that_is_set() -> None:
    images = [service["image"] for service in SERVICES.values() if "image" in service]

    assert images
    assert all(IMAGE.fullmatch(image) for image in images)


def test_prometheus_asks_every_service_that_serves_metrics() -> None:
    config = yaml.safe_load((ROOT / "observability/prometheus/prometheus.yml").read_text())
    asked = {
        name
        for job in config["scrape_configs"]
        for found in job.get("dns_sd_configs", [])
        for name in found["names"]
    }
    serving = {name for name, each in SERVICES.items() if "METRICS_PORT" in str(each)}

    assert asked >= serving
    assert serving


def test_nobody_can_log_in_to_grafana() -> None:
    environment = SERVICES["grafana"]["environment"]

    assert environment["GF_AUTH_ANONYMOUS_ORG_ROLE"] == "Viewer"
    assert environment["GF_AUTH_BASIC_ENABLED"] == "false"
    assert environment["GF_AUTH_DISABLE_LOGIN_FORM"] == "true"
    assert environment["GF_SECURITY_DISABLE_INITIAL_ADMIN_CREATION"] == "true"
    assert not any("PASSWORD" in name for name in environment)
