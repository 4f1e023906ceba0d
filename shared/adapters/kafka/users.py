"""Passwords and rights of Kafka's users, as an administrator sets them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, Final

from confluent_kafka import KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialAlteration,
    UserScramCredentialUpsertion,
)

from shared.adapters.kafka.admin_client import REQUEST_S, KafkaAdmin
from shared.adapters.kafka.connection import KafkaConnection
from shared.adapters.kafka.errors import to_app_error
from shared.adapters.kafka.rights import Right

_SCRAM: Final = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 8192)
_ALTER: Final = "Alter on the cluster"
_ANY_HOST: Final = "*"
_RESOURCES: Final = {
    "topic": ResourceType.TOPIC,
    "group": ResourceType.GROUP,
    "transactional-id": ResourceType.TRANSACTIONAL_ID,
}
_OPERATIONS: Final = {
    "Describe": AclOperation.DESCRIBE,
    "Read": AclOperation.READ,
    "Write": AclOperation.WRITE,
    "Create": AclOperation.CREATE,
    "DescribeConfigs": AclOperation.DESCRIBE_CONFIGS,
    "AlterConfigs": AclOperation.ALTER_CONFIGS,
}


def set_passwords(kafka: KafkaConnection, passwords: Mapping[str, str]) -> None:
    """Set the SCRAM-SHA-512 passwords of users; a user who is not there is created.

    Raises:
        NotAuthorized: this client is no administrator.
        Unavailable: Kafka does not answer.
        Incompatible: Kafka refuses it.
    """
    admin = KafkaAdmin(kafka).client
    changes: list[UserScramCredentialAlteration] = [
        UserScramCredentialUpsertion(user, _SCRAM, password.encode())
        for user, password in passwords.items()
    ]
    futures = admin.alter_user_scram_credentials(changes, request_timeout=REQUEST_S)
    for user, future in futures.items():
        try:
            future.result()
        except KafkaException as error:
            raise to_app_error(error, kafka, f"setting the password of {user}", _ALTER) from error


def set_rights(kafka: KafkaConnection, user: str, rights: Sequence[Right]) -> None:
    """Give a user these rights, and take away all others that name the user.

    Raises:
        NotAuthorized: this client is no administrator.
        Unavailable: Kafka does not answer.
        Incompatible: Kafka refuses it.
    """
    admin = KafkaAdmin(kafka).client
    principal = f"User:{user}"
    wanted = {binding for right in rights for binding in _bindings(principal, right)}
    try:
        found = set(admin.describe_acls(_all_of(principal), request_timeout=REQUEST_S).result())
        for future in (*_create(admin, wanted - found), *_delete(admin, found - wanted)):
            future.result()
    except KafkaException as error:
        raise to_app_error(error, kafka, f"setting the rights of {user}", _ALTER) from error


def _create(admin: AdminClient, bindings: set[AclBinding]) -> Iterable[Future[Any]]:
    if not bindings:
        return ()
    return admin.create_acls(list(bindings), request_timeout=REQUEST_S).values()


def _delete(admin: AdminClient, bindings: set[AclBinding]) -> Iterable[Future[Any]]:
    if not bindings:
        return ()
    filters = [_exactly(binding) for binding in bindings]
    return admin.delete_acls(filters, request_timeout=REQUEST_S).values()


def _bindings(principal: str, right: Right) -> Iterator[AclBinding]:
    pattern = ResourcePatternType.PREFIXED if right.is_prefix else ResourcePatternType.LITERAL
    for operation in right.operations:
        yield AclBinding(
            _RESOURCES[right.resource],
            right.name,
            pattern,
            principal,
            _ANY_HOST,
            _OPERATIONS[operation],
            AclPermissionType.ALLOW,
        )


def _all_of(principal: str) -> AclBindingFilter:
    return AclBindingFilter(
        ResourceType.ANY,
        None,  # type: ignore[arg-type]  # any name: the stub knows none
        ResourcePatternType.ANY,
        principal,
        None,  # type: ignore[arg-type]  # any host
        AclOperation.ANY,
        AclPermissionType.ANY,
    )


def _exactly(binding: AclBinding) -> AclBindingFilter:
    return AclBindingFilter(
        binding.restype,
        binding.name,
        binding.resource_pattern_type,
        binding.principal,
        binding.host,
        binding.operation,
        binding.permission_type,
    )
