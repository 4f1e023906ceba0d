"""The confinement that docker-compose.yml promises, read from the file itself."""

from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
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
def test_a_container_has_a_health_check_and_may_be_scaled(name: str) -> None:
    service = SERVICES[name]

    assert service["healthcheck"]["test"]
    assert "container_name" not in service


@pytest.mark.parametrize("name", sorted(set(SERVICES) - {"kafka", "redis", "exchange-simulator"}))
def test_a_service_waits_for_healthy_servers(name: str) -> None:
    conditions = {needed: how["condition"] for needed, how in SERVICES[name]["depends_on"].items()}

    assert conditions["kafka"] == "service_healthy"
    assert set(conditions.values()) == {"service_healthy"}


def test_nothing_but_the_live_producer_has_a_way_out() -> None:
    ways_out = {
        name for name, network in COMPOSE["networks"].items() if not (network or {}).get("internal")
    }
    out = {name for name, service in SERVICES.items() if ways_out & set(service["networks"])}

    assert out == {
        "producer",
        "kafka",
        "dashboard",
    }  # the network of Kafka and the page carries their loopback ports, and does not masquerade
    assert (
        COMPOSE["networks"]["published"]["driver_opts"][
            "com.docker.network.bridge.enable_ip_masquerade"
        ]
        == "false"
    )


def test_every_image_is_named_by_a_version() -> None:
    images = [service["image"] for service in SERVICES.values() if "image" in service]

    assert images
    assert all(":" in image and not image.endswith(":latest") for image in images)
