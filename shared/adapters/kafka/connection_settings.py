"""Settings of how Kafka is reached; combinations that cannot work are refused at the start."""

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Final, Literal, Self

from pydantic import BaseModel, Field, SecretStr, model_validator

from shared.adapters.kafka.connection import Compression, KafkaConnection
from shared.adapters.secret_file import choose_secret
from shared.core.errors import BadSetting
from shared.core.topics import MESSAGE_MAX_BYTES

_LARGEST_MESSAGE_BYTES: Final = 1_000_000_000  # librdkafka's limit
_SASL_FIELDS: Final = ("sasl_username", "sasl_password", "sasl_password_file")
_FILE_FIELDS: Final = ("ssl_ca_location", "ssl_certificate_location", "ssl_key_location")
_SSL_FIELDS: Final = (*_FILE_FIELDS, "ssl_key_password", "ssl_key_password_file")
_OPTIONS: Final = {
    "ssl_ca_location": "ssl.ca.location",
    "ssl_certificate_location": "ssl.certificate.location",
    "ssl_key_location": "ssl.key.location",
}


class KafkaSettings(BaseModel):
    """Where Kafka is, who connects, and how both sides prove who they are."""

    kafka_bootstrap_servers: str = Field(
        default="127.0.0.1:9092", description="Kafka's brokers as host:port, comma-separated."
    )
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        default="PLAINTEXT", description="What the brokers' listener speaks."
    )
    kafka_sasl_mechanism: Literal["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"] = Field(
        default="SCRAM-SHA-512", description="How user and password are checked."
    )
    kafka_sasl_username: str | None = Field(default=None, description="Kafka's user.")
    kafka_sasl_password: SecretStr | None = Field(
        default=None, repr=False, description="The user's password; better in a file."
    )
    kafka_sasl_password_file: Path | None = Field(
        default=None, description="File with the user's password."
    )
    kafka_ssl_ca_location: Path | None = Field(
        default=None,
        description="PEM file of the authority that signed the brokers' certificates; default:"
        " those that this system trusts.",
    )
    kafka_ssl_certificate_location: Path | None = Field(
        default=None, description="PEM file of this client's certificate."
    )
    kafka_ssl_key_location: Path | None = Field(
        default=None, description="PEM file of the key to this client's certificate."
    )
    kafka_ssl_key_password: SecretStr | None = Field(
        default=None, repr=False, description="Password of the key; better in a file."
    )
    kafka_ssl_key_password_file: Path | None = Field(
        default=None, description="File with the password of the key."
    )
    kafka_ssl_check_hostname: bool = Field(
        default=True,
        description="Refuse a broker whose certificate is not for the name it is reached by.",
    )
    kafka_message_max_bytes: int = Field(
        default=MESSAGE_MAX_BYTES,
        ge=1_000_000,
        le=_LARGEST_MESSAGE_BYTES,
        description="Largest record that is written, bytes; brokers may allow less.",
    )

    kafka_compression: Compression = Field(
        default="lz4",
        description="Codec of the records that are written. Python clients read `none` and `gzip`"
        " without a further package.",
    )

    @cached_property
    def kafka(self) -> KafkaConnection:
        """How these settings reach Kafka; secrets in files are read once."""
        return KafkaConnection(
            self.kafka_bootstrap_servers,
            dict(self._options()),
            self.kafka_message_max_bytes,
            self.kafka_compression,
        )

    @model_validator(mode="after")
    def _check_connection(self) -> Self:
        protocol = self.kafka_security_protocol
        self._refuse(_SASL_FIELDS, unless="SASL" in protocol, use="SASL_SSL")
        self._refuse(_SSL_FIELDS, unless="SSL" in protocol.split("_"), use="SASL_SSL, or SSL")
        self._check_pairs()
        self._check_files()
        try:
            _ = self.kafka  # reads the secrets
        except BadSetting as error:
            raise ValueError(str(error)) from None
        return self

    def _refuse(self, names: tuple[str, ...], *, unless: bool, use: str) -> None:
        given = [] if unless else [name for name in names if self._value(name) is not None]
        if given:
            raise ValueError(
                f"{_variable(given[0])} is set, but KAFKA_SECURITY_PROTOCOL is"
                f" {self.kafka_security_protocol}, which has no use for it: set the protocol to"
                f" {use}, or leave {_variable(given[0])} out"
            )

    def _check_pairs(self) -> None:
        if "SASL" in self.kafka_security_protocol:
            self._require("sasl_username", "SASL needs a user")
            if self._value("sasl_password_file") is None:
                self._require("sasl_password", "SASL needs a password; or name its file in"
                              " KAFKA_SASL_PASSWORD_FILE")  # fmt: skip
        if self._value("ssl_key_location") is not None:
            self._require("ssl_certificate_location", "a key is of no use without its certificate")
        if self._value("ssl_certificate_location") is not None:
            self._require("ssl_key_location", "a certificate is of no use without its key")

    def _require(self, name: str, why: str) -> None:
        if self._value(name) is None:
            raise ValueError(f"{_variable(name)} is not set: {why}")

    def _check_files(self) -> None:
        for name in _FILE_FIELDS:
            path = self._value(name)
            if not isinstance(path, Path):
                continue
            try:
                path.open("rb").close()
            except OSError as error:
                text = f"{_variable(name)} is {str(path)!r}: the file cannot be read"
                raise ValueError(f"{text} ({error.strerror})") from None

    def _options(self) -> Iterator[tuple[str, str]]:
        if self.kafka_security_protocol == "PLAINTEXT":
            return
        yield "security.protocol", self.kafka_security_protocol
        if "SASL" in self.kafka_security_protocol:
            yield "sasl.mechanism", self.kafka_sasl_mechanism
            yield "sasl.username", self.kafka_sasl_username or ""
            yield "sasl.password", self._secret("sasl_password") or ""
        for name, option in _OPTIONS.items():
            if self._value(name) is not None:
                yield option, str(self._value(name))
        if (password := self._secret("ssl_key_password")) is not None:
            yield "ssl.key.password", password
        if not self.kafka_ssl_check_hostname:
            yield "ssl.endpoint.identification.algorithm", "none"

    def _secret(self, name: str) -> str | None:
        value, path = self._value(name), self._value(f"{name}_file")
        text = value.get_secret_value() if isinstance(value, SecretStr) else None
        return choose_secret(text, path if isinstance(path, Path) else None, _variable(name))

    def _value(self, name: str) -> object:
        return getattr(self, f"kafka_{name}")


def _variable(name: str) -> str:
    return f"KAFKA_{name.upper()}"
