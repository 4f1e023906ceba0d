"""A broker that lets nobody in without a password, and nobody do what was not granted."""

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from shared.adapters.certificates import Authority
from shared.adapters.env_settings import ServiceSettings
from shared.adapters.kafka.connection import KafkaConnection
from shared.adapters.kafka.rights import Principal, rights_of
from shared.adapters.kafka.users import set_passwords, set_rights
from shared.core.topics import Topics
from shared.local_servers import programs
from shared.local_servers.programs import HOST, free_port
from tests.support.deployment import Deployment
from tests.support.servers import ServerProcess

CONSUMER_GROUP: Final = "ulstm-predictor"
STRANGER: Final = "stranger"  # has a password, and no right
_SCRAM: Final = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
_AUTHORITY: Final = "ca.pem"
_BROKER: Final = "broker.pem"
_CLIENT: Final = ("client.crt", "client.key")


@dataclass(frozen=True)
class SecuredKafka:
    """Its listeners, and the folder with the authority's certificate and everyone's password.

    The unsecured listener is the administrators': who connects there may do everything.
    """

    folder: Path
    unsecured_port: int
    sasl_ssl_port: int
    ssl_port: int  # wants a certificate of the client
    sasl_plaintext_port: int

    @property
    def administrators(self) -> KafkaConnection:
        return KafkaConnection(f"{HOST}:{self.unsecured_port}")

    @property
    def authority(self) -> Path:
        return self.folder / _AUTHORITY

    @property
    def client_certificate(self) -> tuple[Path, Path]:
        certificate, key = _CLIENT
        return self.folder / certificate, self.folder / key

    def password_file(self, user: str) -> Path:
        return self.folder / f"{user}.password"

    def environ(self, user: str) -> dict[str, str]:
        """Return the settings of a user."""
        return {
            "KAFKA_BOOTSTRAP_SERVERS": f"{HOST}:{self.sasl_ssl_port}",
            "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
            "KAFKA_SASL_USERNAME": user,
            "KAFKA_SASL_PASSWORD_FILE": str(self.password_file(user)),
            "KAFKA_SSL_CA_LOCATION": str(self.authority),
        }

    def connection(self, user: str) -> KafkaConnection:
        return ServiceSettings.from_env(self.environ(user)).kafka

    def add_user(self, user: str) -> None:
        """Give a user a password."""
        password = f"secret-of-{user}"
        self.password_file(user).write_text(f"{password}\n")
        set_passwords(self.administrators, {user: password})

    def deployment(self, user: str, topics: Topics, redis_url: str, folder: Path) -> Deployment:
        """Return a deployment whose processes connect as this user."""
        environ = self.environ(user)
        return SecuredDeployment(
            self.connection(user),
            redis_url,
            topics.prefix,
            folder,
            topics.partitions,
            user_environ=environ,
        )

    def grant(self, deployments: Iterable[Topics]) -> None:
        """Give everyone the rights that the table has for these deployments, and no others."""
        deployments = list(deployments)
        for principal in Principal:
            rights = [
                right
                for topics in deployments
                for right in rights_of(principal, topics, CONSUMER_GROUP)
            ]
            set_rights(self.administrators, principal.value, rights)


@dataclass
class SecuredDeployment(Deployment):
    """A deployment as one of Kafka's users sees it."""

    user_environ: Mapping[str, str] = field(default_factory=dict)

    @property
    def environ(self) -> dict[str, str]:
        return {**super().environ, **self.user_environ}


@contextlib.contextmanager
def secured_kafka(folder: Path) -> Iterator[SecuredKafka]:
    """Run a broker whose users have passwords, and no rights yet."""
    folder.mkdir(parents=True, exist_ok=True)
    kafka = SecuredKafka(folder, *(free_port() for _ in range(4)))
    _write_certificates(kafka)
    with ServerProcess(
        "kafka",
        folder / "kafka-server",
        kafka.unsecured_port,
        lambda: programs.kafka_command(
            folder / "kafka-server", kafka.unsecured_port, _settings(kafka)
        ),
        programs.is_kafka_ready,
    ):
        for user in (*Principal, STRANGER):
            kafka.add_user(user)
        yield kafka


def _write_certificates(kafka: SecuredKafka) -> None:
    now = datetime.now(UTC)
    times = now - timedelta(minutes=5), now + timedelta(days=1)
    authority = Authority.create("Test authority", *times)
    broker = authority.issue("broker", [HOST], *times)
    client = authority.issue("client", [HOST], *times)
    kafka.authority.write_bytes(authority.key_pair.certificate)
    (kafka.folder / _BROKER).write_bytes(broker.key + broker.certificate)
    certificate, key = kafka.client_certificate
    certificate.write_bytes(client.certificate)
    key.write_bytes(client.key)


def _settings(kafka: SecuredKafka) -> dict[str, object]:
    listeners = {
        "PLAINTEXT": kafka.unsecured_port,
        "SASL_SSL": kafka.sasl_ssl_port,
        "SSL": kafka.ssl_port,
        "SASL_PLAINTEXT": kafka.sasl_plaintext_port,
    }
    addresses = ",".join(f"{name}://{HOST}:{port}" for name, port in listeners.items())
    scram = "scram-sha-512.sasl.jaas.config"
    controller_port = free_port()
    return {
        "controller.quorum.voters": f"1@{HOST}:{controller_port}",
        "listeners": f"{addresses},CONTROLLER://{HOST}:{controller_port}",
        "advertised.listeners": addresses,
        "listener.security.protocol.map": ",".join(
            [f"{name}:{name}" for name in listeners] + ["CONTROLLER:PLAINTEXT"]
        ),
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS",  # those of the unsecured listeners
        "sasl.enabled.mechanisms": "SCRAM-SHA-512",
        f"listener.name.sasl_ssl.{scram}": _SCRAM,
        f"listener.name.sasl_plaintext.{scram}": _SCRAM,
        "listener.name.ssl.ssl.client.auth": "required",
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": f"../{_BROKER}",
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": f"../{_AUTHORITY}",
    }
