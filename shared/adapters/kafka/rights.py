"""The rights (ACLs) that each service needs, and no more."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal

from shared.adapters.kafka.connection import READER_GROUP
from shared.core.topics import Topics

Resource = Literal["topic", "group", "transactional-id"]
Operation = Literal["Describe", "Read", "Write", "Create", "DescribeConfigs", "AlterConfigs"]


class Principal(StrEnum):
    """Who connects to Kafka: the services, a person at the command line, and a reader outside."""

    PRODUCER = "producer"
    PREDICTOR = "predictor"
    TRAINER = "trainer"
    DASHBOARD = "dashboard"
    OPERATOR = "operator"
    CONSUMER = "consumer"


@dataclass(frozen=True, slots=True)
class Right:
    """A right on one resource, or on all whose names begin alike.

    Attributes:
        resource: what it is of, as `kafka-acls` calls it.
        name: of the resource.
        operations: what is allowed. Kafka counts Describe as part of Read and of Write.
        is_prefix: whether the name is the beginning of many.
    """

    resource: Resource
    name: str
    operations: tuple[Operation, ...]
    is_prefix: bool = False


# What each reads (R) and writes (W) of the topics; D: it only looks whether the topic fits.
_TOPICS: Final[dict[Principal, dict[str, str]]] = {
    Principal.PRODUCER: {
        "klines": "RW", "predictions": "D", "models": "R", "dead_letters": "W", "control": "RW",
    },
    Principal.PREDICTOR: {
        "klines": "R", "predictions": "RW", "models": "R", "dead_letters": "RW", "control": "R",
    },
    Principal.TRAINER: {
        "klines": "RW", "predictions": "R", "models": "RW", "dead_letters": "D", "control": "R",
    },
    Principal.DASHBOARD: {
        "klines": "R", "predictions": "R", "models": "R", "dead_letters": "R", "control": "R",
    },
    Principal.OPERATOR: {
        "klines": "RW", "predictions": "R", "models": "RW", "dead_letters": "R", "control": "RW",
    },
    Principal.CONSUMER: {"predictions": "R"},
}  # fmt: skip
_OPERATIONS: Final[dict[str, tuple[Operation, ...]]] = {
    "D": ("Describe",),
    "R": ("Read",),
    "W": ("Write",),
    "RW": ("Read", "Write"),
}
_CHECKS: Final[tuple[Operation, ...]] = ("DescribeConfigs",)
_CREATES: Final[tuple[Operation, ...]] = ("Create", "DescribeConfigs", "AlterConfigs")
# Those that look, as they start, whether the topics have the settings that the log needs.
_CHECKING: Final = {Principal.PRODUCER, Principal.PREDICTOR, Principal.TRAINER}
_LOOKING_AT_PREDICTORS: Final = {Principal.DASHBOARD, Principal.OPERATOR}
_ANY_PREDICTOR: Final = "predictor-"  # a new id for each process


def rights_of(principal: Principal, topics: Topics, consumer_group: str) -> list[Right]:
    """Return the rights that a principal needs.

    Args:
        principal: who connects.
        topics: the deployment's topics.
        consumer_group: CONSUMER_GROUP of the predictors; of a consumer, its own group's id.
    """
    return [
        *_topic_rights(principal, topics),
        *_group_rights(principal, topics, consumer_group),
        *_transaction_rights(principal, topics),
    ]


def _topic_rights(principal: Principal, topics: Topics) -> list[Right]:
    more: tuple[Operation, ...] = ()
    if principal in _CHECKING:
        more = _CHECKS
    elif principal is Principal.OPERATOR:
        more = _CREATES
    return [
        Right("topic", getattr(topics, name), _OPERATIONS[access] + more)
        for name, access in _TOPICS[principal].items()
    ]


def _group_rights(principal: Principal, topics: Topics, consumer_group: str) -> list[Right]:
    if principal is Principal.CONSUMER:
        return [Right("group", consumer_group, ("Read",))]
    group = topics.consumer_group(consumer_group)
    rights = [Right("group", READER_GROUP, ("Describe",))]
    if principal is Principal.PREDICTOR:
        rights.append(Right("group", group, ("Read",)))
    elif principal in _LOOKING_AT_PREDICTORS:
        rights.append(Right("group", group, ("Describe",)))
    return rights


def _transaction_rights(principal: Principal, topics: Topics) -> list[Right]:
    if principal is Principal.PREDICTOR:
        prefix = topics.transactional_id(_ANY_PREDICTOR)
        return [Right("transactional-id", prefix, ("Write",), is_prefix=True)]
    return [
        Right("transactional-id", topics.transactional_id(writer), ("Write",))
        for writer in _writers(principal, topics.interval)
    ]


def _writers(principal: Principal, interval: str) -> tuple[str, ...]:
    candles = f"producer-{interval}"
    match principal:
        case Principal.PRODUCER:
            return candles, f"control-producer-{interval}", f"control-bans-{interval}"
        case Principal.TRAINER:
            return "trainer", "baskets"
        case Principal.OPERATOR:
            # It imports and redrives candles in the producer's place, promotes in the trainer's.
            return candles, "trainer", "baskets", "control-cli"
        case _:
            return ()
