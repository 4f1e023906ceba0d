"""Definitions of baskets on a real Kafka, among the bundles."""

from dataclasses import replace

import pytest

from shared.adapters.bundle_codec import version_of
from shared.adapters.kafka.producer import ProducerRecord
from shared.adapters.schemas.baskets import baskets_to_json
from shared.core.market import BasketDefinition, define_baskets
from shared.log.basket_store import BasketStore
from tests.support.builders import START_MS, a_card, bundle_bytes
from tests.support.deployment import Deployment
from tests.support.waiting import eventually

pytestmark = pytest.mark.integration

COINS = define_baskets([["AAAUSDT", "BBBUSDT"], ["CCCUSDT"]], START_MS, START_MS + 5)
MEMES = define_baskets([["DDDUSDT"]], START_MS, START_MS + 9)


def store(deployment: Deployment) -> BasketStore:
    return BasketStore(deployment.kafka, deployment.topics)


def write(deployment: Deployment, key: bytes, value: bytes) -> None:
    topic = deployment.topics.models
    deployment.write([ProducerRecord(topic, 0, key, value, START_MS)])


def becomes_newest(reader: BasketStore, definition: BasketDefinition) -> None:
    eventually(lambda: reader.newest() == definition)


def test_a_log_without_a_definition_has_no_baskets(deployment: Deployment) -> None:
    assert store(deployment).newest() is None
    assert store(deployment).all() == []


def test_the_newest_definition_is_in_force_and_the_others_are_kept(deployment: Deployment) -> None:
    for definition in (COINS, MEMES, COINS):
        store(deployment).publish(definition)

    assert store(deployment).newest() == COINS
    assert store(deployment).all() == [COINS, MEMES, COINS]


def test_a_definition_in_force_is_not_written_again(deployment: Deployment) -> None:
    for _ in range(2):
        store(deployment).publish(COINS)

    assert store(deployment).all() == [COINS]


def test_a_reader_sees_what_was_published_since(deployment: Deployment) -> None:
    reader = store(deployment)
    assert reader.newest() is None

    store(deployment).publish(COINS)
    becomes_newest(reader, COINS)
    store(deployment).publish(MEMES)

    becomes_newest(reader, MEMES)


def test_a_damaged_definition_is_passed_over(deployment: Deployment) -> None:
    store(deployment).publish(COINS)
    write(deployment, b"baskets:00000000", b"{}")
    write(deployment, b"baskets:11111111", b'{"schema":1,"type":"baskets"}')
    eventually(lambda: len(deployment.read(deployment.topics.models, [0])) == 3)

    assert store(deployment).newest() == COINS


def test_bundles_and_definitions_do_not_see_each_other(deployment: Deployment) -> None:
    write(deployment, b"v1", bundle_bytes(1))
    store(deployment).publish(COINS)
    write(deployment, b"v2", bundle_bytes(2))
    eventually(lambda: deployment.registry.bundles.versions() == ["v1", "v2"])

    assert store(deployment).newest() == COINS
    assert [bundle.version for bundle in deployment.registry.bundles.load_all()] == ["v1", "v2"]


def release(deployment: Deployment, seed: int, baskets: BasketDefinition | None) -> str:
    card = a_card()
    if baskets is not None:
        training = {"baskets": baskets_to_json(baskets)}
        card = replace(card, baskets=baskets.version, training=training)
    data = bundle_bytes(seed, card)
    version = version_of(card, data)
    deployment.registry.release(data, version, START_MS, promote=True)
    return version


def test_a_promotion_puts_the_baskets_of_its_model_in_force(deployment: Deployment) -> None:
    release(deployment, 1, COINS)
    release(deployment, 2, COINS)
    release(deployment, 3, None)
    assert store(deployment).all() == [COINS]

    release(deployment, 4, MEMES)

    assert store(deployment).newest() == MEMES


def test_a_rollback_puts_the_baskets_of_that_model_in_force_again(deployment: Deployment) -> None:
    first = release(deployment, 1, COINS)
    release(deployment, 2, MEMES)

    assert deployment.registry.rollback() == first
    assert store(deployment).newest() == COINS


def test_a_model_that_does_not_define_its_baskets_is_promoted_without_them(
    deployment: Deployment,
) -> None:
    card = replace(a_card(), baskets=COINS.version)
    data = bundle_bytes(1, card)

    deployment.registry.release(data, "v1", START_MS, promote=True)

    eventually(lambda: deployment.registry.promotions.current() is not None)
    assert store(deployment).newest() is None
