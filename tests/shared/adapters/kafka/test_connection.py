import ast
from typing import Final

from shared.adapters.kafka.connection import KafkaConnection
from tests.support.imports import ROOT, source_files

FOLDER: Final = "shared/adapters/kafka"
OWNERS: Final = {f"{FOLDER}/connection.py", f"{FOLDER}/connection_settings.py"}
OF_THE_CONNECTION: Final = ("bootstrap.servers", "security.protocol", "sasl.", "ssl.")
SECRET: Final = KafkaConnection("kafka:9093", {"sasl.password": "hunter2"})


def test_a_clients_own_settings_stand_beside_those_of_the_connection() -> None:
    config = SECRET.client_config({"group.id": "readers"})

    assert config["bootstrap.servers"] == "kafka:9093"
    assert config["sasl.password"] == "hunter2"
    assert config["group.id"] == "readers"


def test_no_text_of_a_connection_has_its_password() -> None:
    assert str(SECRET) == f"{SECRET}" == "kafka:9093"
    assert "hunter2" not in repr(SECRET)


def test_nobody_else_says_how_kafka_is_reached() -> None:
    assert [
        f"{file}: {node.value}"
        for file in source_files("shared", "services")
        if str(file) not in OWNERS
        for node in ast.walk(ast.parse((ROOT / file).read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        if node.value.startswith(OF_THE_CONNECTION)
    ] == []
