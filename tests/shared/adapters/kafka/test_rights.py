import pytest

from shared.adapters.kafka.connection import READER_GROUP
from shared.adapters.kafka.rights import Principal, Right, rights_of
from shared.core.topics import Topics

TOPICS = Topics("5m", 6, "live.")


def names(principal: Principal, operation: str) -> set[str]:
    return {
        right.name
        for right in rights_of(principal, TOPICS, "ulstm-predictor")
        if right.resource == "topic" and operation in right.operations
    }


def test_only_who_makes_records_may_write_them() -> None:
    writers = {
        topic: {each for each in Principal if topic in names(each, "Write")}
        for topic in TOPICS.specifications()
    }

    assert writers == {
        TOPICS.klines: {Principal.PRODUCER, Principal.TRAINER, Principal.OPERATOR},
        TOPICS.predictions: {Principal.PREDICTOR},
        TOPICS.models: {Principal.TRAINER, Principal.OPERATOR},
        TOPICS.dead_letters: {Principal.PRODUCER, Principal.PREDICTOR},
        TOPICS.control: {Principal.PRODUCER, Principal.OPERATOR},
    }


def test_only_the_operator_may_create_and_alter_topics() -> None:
    assert {each for each in Principal if names(each, "Create")} == {Principal.OPERATOR}
    assert {each for each in Principal if names(each, "AlterConfigs")} == {Principal.OPERATOR}


@pytest.mark.parametrize("principal", Principal)
def test_no_right_reaches_beyond_the_deployment(principal: Principal) -> None:
    rights = rights_of(principal, TOPICS, "mine")
    beyond = [right for right in rights if not right.name.startswith(("live.", "mine"))]

    # Nobody joins that group: the client asks for its coordinator.
    assert set(beyond) <= {Right("group", READER_GROUP, ("Describe",))}


def test_a_predictors_transactions_have_a_name_of_their_own_each() -> None:
    rights = rights_of(Principal.PREDICTOR, TOPICS, "ulstm-predictor")

    assert Right("transactional-id", "live.ulstm-predictor-", ("Write",), is_prefix=True) in rights
    assert Right("group", "live.ulstm-predictor-5m", ("Read",)) in rights
