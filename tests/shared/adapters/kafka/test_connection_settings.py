import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from shared.adapters.env_settings import ServiceSettings
from shared.core.errors import BadSetting

USER = {"KAFKA_SECURITY_PROTOCOL": "SASL_SSL", "KAFKA_SASL_USERNAME": "predictor"}
PASSWORD = {"KAFKA_SASL_PASSWORD": "hunter2"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("ca.pem", "client.crt", "client.key", "empty"):
        (tmp_path / name).write_text("" if name == "empty" else "-----BEGIN")
    (tmp_path / "password").write_text("hunter2\n")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    (tmp_path / "long").write_text("x" * 5000)
    return tmp_path


def refusal_of(environ: Mapping[str, str]) -> str:
    with pytest.raises(BadSetting) as refusal:
        ServiceSettings.from_env(environ)
    assert "hunter2" not in str(refusal.value)
    return str(refusal.value)


def test_without_settings_kafka_is_reached_without_password() -> None:
    kafka = ServiceSettings.from_env({}).kafka

    assert (kafka.protocol, kafka.options) == ("PLAINTEXT", {})


def test_a_user_with_a_password_in_a_file_and_an_authority_of_ones_own(folder: Path) -> None:
    files = {
        "KAFKA_SASL_PASSWORD_FILE": str(folder / "password"),
        "KAFKA_SSL_CA_LOCATION": str(folder / "ca.pem"),
    }

    settings = ServiceSettings.from_env(USER | files)

    assert settings.kafka.options == {
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": "predictor",
        "sasl.password": "hunter2",
        "ssl.ca.location": str(folder / "ca.pem"),
    }
    assert "hunter2" not in f"{settings!r} {settings} {settings.kafka!r} {settings.kafka}"


def test_a_client_that_shows_a_certificate(folder: Path) -> None:
    environ = {
        "KAFKA_SECURITY_PROTOCOL": "SSL",
        "KAFKA_SSL_CERTIFICATE_LOCATION": str(folder / "client.crt"),
        "KAFKA_SSL_KEY_LOCATION": str(folder / "client.key"),
        "KAFKA_SSL_KEY_PASSWORD_FILE": str(folder / "password"),
        "KAFKA_SSL_CHECK_HOSTNAME": "false",
    }

    options = ServiceSettings.from_env(environ).kafka.options

    assert options["ssl.key.password"] == "hunter2"
    assert options["ssl.endpoint.identification.algorithm"] == "none"
    assert "client.crt" in ServiceSettings.from_env(environ).kafka.user


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        (USER, "KAFKA_SASL_PASSWORD is not set.*KAFKA_SASL_PASSWORD_FILE"),
        ({"KAFKA_SECURITY_PROTOCOL": "SASL_SSL"} | PASSWORD, "KAFKA_SASL_USERNAME is not set"),
        (PASSWORD, "KAFKA_SASL_PASSWORD is set, but KAFKA_SECURITY_PROTOCOL is PLAINTEXT"),
        ({"KAFKA_SASL_USERNAME": "me"}, "KAFKA_SASL_USERNAME is set.*set the protocol to SASL_SSL"),
        (USER | PASSWORD | {"KAFKA_SASL_MECHANISM": "GSSAPI"}, "KAFKA_SASL_MECHANISM is 'GSSAPI'"),
        ({"KAFKA_SECURITY_PROTOCOL": "TLS"}, "KAFKA_SECURITY_PROTOCOL is 'TLS'.*'SASL_SSL'"),
        ({"KAFKA_MESSAGE_MAX_BYTES": "10"}, "KAFKA_MESSAGE_MAX_BYTES is '10'.*1000000"),
    ],
)
def test_a_combination_that_cannot_work_is_refused_at_the_start(
    environ: dict[str, str], message: str
) -> None:
    assert re.search(message, refusal_of(environ))


@pytest.mark.parametrize(
    ("name", "file", "message"),
    [
        ("KAFKA_SASL_PASSWORD_FILE", "absent", "cannot be read (No such file or directory)"),
        ("KAFKA_SASL_PASSWORD_FILE", "empty", "the file is empty"),
        ("KAFKA_SASL_PASSWORD_FILE", "binary", "it is no text in UTF-8"),
        ("KAFKA_SASL_PASSWORD_FILE", "long", "has more than 4096 bytes"),
        ("KAFKA_SSL_CA_LOCATION", "absent", "cannot be read (No such file or directory)"),
        ("KAFKA_SSL_CERTIFICATE_LOCATION", "client.crt", "KAFKA_SSL_KEY_LOCATION is not set"),
        ("KAFKA_SSL_KEY_LOCATION", "client.key", "KAFKA_SSL_CERTIFICATE_LOCATION is not set"),
    ],
)
def test_a_file_that_does_not_serve_is_named_with_its_variable(
    folder: Path, name: str, file: str, message: str
) -> None:
    password = {} if name == "KAFKA_SASL_PASSWORD_FILE" else PASSWORD

    refusal = refusal_of(USER | password | {name: str(folder / file)})

    assert message in refusal
    assert "KAFKA_" in refusal


def test_a_password_is_given_once(folder: Path) -> None:
    twice = USER | PASSWORD | {"KAFKA_SASL_PASSWORD_FILE": str(folder / "password")}

    assert "KAFKA_SASL_PASSWORD and KAFKA_SASL_PASSWORD_FILE are set" in refusal_of(twice)


def test_larger_records_are_let_through_by_every_client() -> None:
    large = ServiceSettings.from_env({"KAFKA_MESSAGE_MAX_BYTES": "200000000"})

    assert large.kafka.client_config()["receive.message.max.bytes"] > 200_000_000
    partitions, config = large.topics.specifications()[large.topics.models]
    assert (partitions, config["max.message.bytes"]) == (1, "200000000")
