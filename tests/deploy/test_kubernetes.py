"""What deploy/kubernetes promises: valid manifests, confined pods, settings that exist."""

from typing import Any

import kubernetes_validate
import pytest
import yaml

from scripts.write_kafka_users import USERS, render_users
from services.cli.credentials.creation import PREDICTOR_COMMANDS
from services.dashboard.settings import DashboardSettings
from services.predictor.settings import PredictorSettings
from services.producer.settings import ProducerSettings
from services.trainer.settings import TrainerSettings
from shared.adapters.env_settings import PredictorGroupSettings, ServiceSettings
from shared.core.topics import Topics
from tests.deploy.manifests import KUBERNETES, documents, environment, files

KUBERNETES_VERSIONS = ["1.31", "1.37"]
SETTINGS: dict[str, type[ServiceSettings]] = {
    "producer": ProducerSettings,
    "predictor": PredictorSettings,
    "trainer": TrainerSettings,
    "dashboard": DashboardSettings,
    "cli": PredictorGroupSettings,
}
SERVICES = sorted(set(SETTINGS) - {"cli"})
OURS = documents(KUBERNETES)
SERVERS = documents(KUBERNETES / "servers")
CONFIG: dict[str, Any] = next(d for d in OURS if d["kind"] == "ConfigMap")
DEPLOYMENTS = {d["metadata"]["name"]: d for d in OURS if d["kind"] == "Deployment"}
each_deployment = pytest.mark.parametrize("name", sorted(DEPLOYMENTS))


def of_kind(manifests: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [each for each in manifests if each["kind"] == kind]


def pod_of(name: str) -> dict[str, Any]:
    pod: dict[str, Any] = DEPLOYMENTS[name]["spec"]["template"]["spec"]
    return pod


@pytest.mark.slow
@pytest.mark.parametrize("version", KUBERNETES_VERSIONS)
def test_every_manifest_is_valid_and_has_no_unknown_field(version: str) -> None:
    for manifest in OURS:
        kubernetes_validate.validate(manifest, version, strict=True)


@pytest.mark.slow
def test_a_misspelt_field_would_be_found() -> None:
    wrong = {**DEPLOYMENTS["producer"], "spek": {}}

    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, KUBERNETES_VERSIONS[-1], strict=True)


def test_users_have_the_rights_of_their_service_and_no_more() -> None:
    assert USERS.read_text(encoding="utf-8") == render_users(), "run `make reference`"


def test_predictors_may_do_in_redis_what_they_need_and_no_more() -> None:
    values = yaml.safe_load((KUBERNETES / "servers" / "valkey-values.yaml").read_text())
    users = values["auth"]["aclUsers"]

    assert values["auth"]["enabled"] is True
    assert users["ulstm-predictor"]["permissions"] == (
        f"~ulstm:* resetchannels -@all {PREDICTOR_COMMANDS}"
    )
    assert "-@all" in users["default"]["permissions"]
    assert "maxmemory-policy noeviction" in values["valkeyConfig"]


def test_the_topics_are_those_that_services_would_create() -> None:
    groups = int(CONFIG["data"]["SYMBOL_GROUPS"])
    made = {
        topic["metadata"]["name"]: (
            topic["spec"]["partitions"],
            {key: str(value) for key, value in topic["spec"]["config"].items()},
        )
        for topic in of_kind(SERVERS, "KafkaTopic")
    }

    assert made == Topics(CONFIG["data"]["INTERVAL"], groups).specifications()


def test_one_broker_may_fail_and_no_record_is_lost() -> None:
    (brokers,) = of_kind(SERVERS, "KafkaNodePool")
    (kafka,) = of_kind(SERVERS, "Kafka")
    config = kafka["spec"]["kafka"]["config"]

    assert brokers["spec"]["replicas"] == 3
    assert (config["default.replication.factor"], config["min.insync.replicas"]) == (3, 2)
    assert config["unclean.leader.election.enable"] is False
    assert config["offsets.retention.minutes"] == 2**31 - 1
    assert all(topic["spec"]["replicas"] == 3 for topic in of_kind(SERVERS, "KafkaTopic"))


def test_every_service_is_there_and_every_file_is_named() -> None:
    assert set(DEPLOYMENTS) == set(SETTINGS)
    for file in files():
        kustomization = (file.parent / "kustomization.yaml").read_text(encoding="utf-8")
        assert file.name == "kustomization.yaml" or f"- {file.name}" in kustomization


@each_deployment
def test_a_pod_is_confined(name: str) -> None:
    pod = pod_of(name)
    container = pod["containers"][0]
    security = container["securityContext"]

    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert security["readOnlyRootFilesystem"] is True
    assert security["allowPrivilegeEscalation"] is False
    assert security["capabilities"] == {"drop": ["ALL"]}
    assert container["resources"]["limits"]["memory"]
    assert set(container["resources"]["requests"]) == {"cpu", "memory"}


@pytest.mark.parametrize("name", SERVICES)
def test_liveness_and_readiness_are_asked_where_metrics_are_served(name: str) -> None:
    container = pod_of(name)["containers"][0]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}

    assert ports["metrics"] == int(CONFIG["data"]["METRICS_PORT"])
    asked = {probe: container[f"{probe}Probe"]["httpGet"] for probe in ("liveness", "readiness")}
    assert asked["liveness"] == {"path": "/health/live", "port": "metrics"}
    assert asked["readiness"] == {"path": "/health/ready", "port": "metrics"}


@each_deployment
def test_the_variables_are_settings_of_the_service_and_are_accepted(name: str) -> None:
    variables = environment(DEPLOYMENTS[name], CONFIG)
    settings = SETTINGS[name]
    known = {settings.variable_of(field) for field in settings.model_fields}

    assert set(variables) <= known
    # A Service's name would become a variable too, such as DASHBOARD_PORT=tcp://10.0.0.1:8070.
    assert pod_of(name)["enableServiceLinks"] is False


@each_deployment
def test_secrets_are_files_and_come_from_what_the_operator_makes(name: str) -> None:
    pod = pod_of(name)
    mounted = {mount["name"]: mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]}
    secrets = {v["name"]: v["secret"]["secretName"] for v in pod["volumes"] if "secret" in v}
    variables = environment(DEPLOYMENTS[name], CONFIG)

    assert secrets["kafka-user"] == variables["KAFKA_SASL_USERNAME"]
    assert variables["KAFKA_SASL_PASSWORD_FILE"] == f"{mounted['kafka-user']}/password"
    assert variables["KAFKA_SSL_CA_LOCATION"] == f"{mounted['kafka-ca']}/ca.crt"
    assert secrets["kafka-user"] in {u["metadata"]["name"] for u in of_kind(SERVERS, "KafkaUser")}


@pytest.mark.parametrize("name", ["producer", "trainer"])
def test_who_must_be_alone_is_stopped_before_its_successor_starts(name: str) -> None:
    assert DEPLOYMENTS[name]["spec"]["replicas"] == 1
    assert DEPLOYMENTS[name]["spec"]["strategy"] == {"type": "Recreate"}


def test_a_replica_at_a_time_is_taken_from_the_predictors() -> None:
    budgets = of_kind(OURS, "PodDisruptionBudget")

    assert [budget["spec"]["maxUnavailable"] for budget in budgets] == [1]
    assert budgets[0]["spec"]["selector"]["matchLabels"].items() <= (
        DEPLOYMENTS["predictor"]["metadata"]["labels"].items()
    )
    assert DEPLOYMENTS["predictor"]["spec"]["replicas"] <= int(CONFIG["data"]["SYMBOL_GROUPS"]) + 1


def test_the_network_is_closed_and_only_the_producer_has_a_way_out() -> None:
    policies = of_kind(OURS, "NetworkPolicy")
    closed = [p for p in policies if not {"ingress", "egress"} & set(p["spec"])]
    out = [
        p["spec"]["podSelector"]["matchLabels"]["app.kubernetes.io/name"]
        for p in policies
        for rule in p["spec"].get("egress", [])
        for peer in rule["to"]
        if "ipBlock" in peer
    ]

    assert [p["spec"]["policyTypes"] for p in closed] == [["Ingress", "Egress"]]
    assert out == ["producer"]
    labels = closed[0]["spec"]["podSelector"]["matchLabels"].items()
    for deployment in DEPLOYMENTS.values():
        assert labels <= deployment["spec"]["template"]["metadata"]["labels"].items()


def test_the_live_page_finds_the_metrics_of_every_pod() -> None:
    addresses = environment(DEPLOYMENTS["dashboard"], CONFIG)["METRICS_URLS"].split(",")
    headless = {s["metadata"]["name"] for s in of_kind(OURS, "Service") if "clusterIP" in s["spec"]}

    assert {address.removeprefix("http://") for address in addresses} == {
        f"{name}:9100" for name in headless
    }
