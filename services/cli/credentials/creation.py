"""Certificates and passwords of a deployment with secured servers.

authority/  ca.pem  ca.key                       signs the servers' certificates
kafka/      ca.pem  server.pem  server.key  keystore.pem  admin-password
redis/      ca.pem  server.pem  server.key  users.acl
admin/      ca.pem  kafka-password               may do all in Kafka: sets rights and passwords
predictor/  ca.pem  kafka-password  redis-password
...         ca.pem  kafka-password               each other user of Kafka
"""

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from services.cli.credentials.folder import SecretFolder
from shared.adapters.certificates import Authority, KeyPair
from shared.adapters.kafka.rights import Principal

ADMIN: Final = "admin"
CA: Final = "ca.pem"
KAFKA_PASSWORD: Final = "kafka-password"  # a file's name
REDIS_PASSWORD: Final = "redis-password"  # likewise
_AUTHORITY_YEARS: Final = 20
_SERVER_YEARS: Final = 10
# What the state store does, on its own keys alone. INFO tells whether Redis evicts.
PREDICTOR_COMMANDS: Final = (
    "+hget +hgetall +hset +hstrlen +del +evalsha +eval +script|load +script|exists"
    " +info +config|get +ping +select +hello +client|setinfo +client|setname"
)


@dataclass(frozen=True, slots=True)
class ServerHosts:
    """Names and addresses by which clients reach the servers."""

    kafka: Sequence[str]
    redis: Sequence[str]


def create_credentials(
    folder: SecretFolder, hosts: ServerHosts, now: datetime, *, renew: bool = False
) -> None:
    """Create the missing credentials.

    Args:
        folder: keeps them.
        hosts: stand in the servers' certificates.
        now: from when the certificates are valid, with a time zone.
        renew: issue the servers' certificates anew.

    Raises:
        OSError: a file can be neither read nor written.
        BadInput: the authority's files are damaged.
    """
    # 1. A new authority makes what an earlier one signed worthless.
    renew = renew or not folder.has("authority/ca.key")
    authority = _load_authority(folder, now)
    # 2. The servers: names and keys.
    for server, names in (("kafka", hosts.kafka), ("redis", hosts.redis)):
        _issue_certificate(folder, authority, server, names, now, renew=renew)
    # 3. The users, and what each server has to know of them.
    ca = authority.key_pair.certificate
    for user in (ADMIN, *Principal):
        folder.write(f"{user}/{CA}", ca)
        folder.read_or_create(f"{user}/{KAFKA_PASSWORD}", _new_password)
    admin_password = folder.read_or_create(f"{ADMIN}/{KAFKA_PASSWORD}", _new_password)
    folder.write("kafka/admin-password", admin_password)
    folder.write("redis/users.acl", _redis_users(folder))


def _load_authority(folder: SecretFolder, now: datetime) -> Authority:
    if not folder.has("authority/ca.key"):
        until = now + timedelta(days=365 * _AUTHORITY_YEARS)
        created = Authority.create("ulstm authority", now, until).key_pair
        # The key comes last: with it the authority is complete.
        folder.write(f"authority/{CA}", created.certificate)
        folder.write("authority/ca.key", created.key)
    read = folder.read_or_create
    return Authority(KeyPair(read(f"authority/{CA}", bytes), read("authority/ca.key", bytes)))


def _issue_certificate(
    folder: SecretFolder,
    authority: Authority,
    server: str,
    hosts: Sequence[str],
    now: datetime,
    *,
    renew: bool,
) -> None:
    ca = authority.key_pair.certificate
    if renew or not folder.has(f"{server}/server.key"):
        until = now + timedelta(days=365 * _SERVER_YEARS)
        issued = authority.issue(server, hosts, now, until)
        folder.write(f"{server}/server.pem", issued.certificate)
        if server == "kafka":  # it wants all in one file
            folder.write("kafka/keystore.pem", issued.key + issued.certificate + ca)
        folder.write(f"{server}/server.key", issued.key)
    folder.write(f"{server}/{CA}", ca)


def _redis_users(folder: SecretFolder) -> bytes:
    """Return Redis's list of users; it has the passwords' digests only."""
    password = folder.read_or_create(f"{Principal.PREDICTOR}/{REDIS_PASSWORD}", _new_password)
    digest = hashlib.sha256(password.strip()).hexdigest()
    lines = (
        "user default off",
        "user health on nopass -@all +ping",
        f"user predictor on #{digest} ~ulstm:* resetchannels -@all {PREDICTOR_COMMANDS}",
    )
    return "".join(f"{line}\n" for line in lines).encode()


def _new_password() -> bytes:
    return f"{secrets.token_urlsafe(32)}\n".encode()
