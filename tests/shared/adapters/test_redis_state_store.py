import uuid
from collections.abc import Iterator
from dataclasses import replace

import pytest
import redis

from services.predictor.ports import StateStore
from shared.adapters.redis_state_store import RedisStateStore
from shared.core.errors import BadSetting, Incompatible, Unavailable
from shared.core.online.partition import PartitionState
from shared.core.online.state_codec import state_digest
from tests.support.builders import a_model, a_promotion, a_walk, candles, fold_all
from tests.support.fakes import FakeStateStore

MODEL = a_model()
PROFILE = "1-abc"


@pytest.fixture
def namespace() -> str:
    return uuid.uuid4().hex


@pytest.fixture(params=["fake", pytest.param("redis", marks=pytest.mark.integration)])
def states(request: pytest.FixtureRequest, namespace: str) -> Iterator[StateStore]:
    """Run every test on the fake and on Redis: the fake must not drift."""
    if request.param == "fake":
        yield FakeStateStore()
        return
    store = RedisStateStore(request.getfixturevalue("redis_url"), namespace)
    yield store
    store.close()


def a_partition_state(n: int = 20) -> PartitionState:
    records = [a_promotion(MODEL), *candles(a_walk(n)), *candles(a_walk(n, seed=2), "ETHUSDT")]
    return fold_all(records, {MODEL.version: MODEL})[0]


def test_what_was_saved_is_loaded(states: StateStore) -> None:
    state = a_partition_state()

    states.save(3, PROFILE, state, state.symbols, None)
    saved = states.load(3, PROFILE)

    assert saved is not None
    assert (saved.next_offset, saved.promotion_offset, saved.model_version) == (
        state.next_offset,
        state.promotion_offset,
        state.model_version,
    )
    assert {s: state_digest(v) for s, v in saved.symbols.items()} == {
        s: state_digest(v) for s, v in state.symbols.items()
    }


def test_nothing_saved_is_nothing_loaded(states: StateStore) -> None:
    assert states.load(0, PROFILE) is None


def test_states_of_another_profile_are_not_used(states: StateStore) -> None:
    state = a_partition_state()
    states.save(0, PROFILE, state, state.symbols, None)

    assert states.load(0, "2-def") is None


def test_partitions_are_kept_apart(states: StateStore) -> None:
    state = a_partition_state()
    states.save(0, PROFILE, state, state.symbols, None)

    assert states.load(1, PROFILE) is None


def test_an_older_state_never_replaces_a_newer_one(states: StateStore) -> None:
    older, newer = a_partition_state(18), a_partition_state(20)
    states.save(0, PROFILE, newer, newer.symbols, None)

    states.save(0, PROFILE, older, older.symbols, None)
    saved = states.load(0, PROFILE)

    assert saved is not None
    assert saved.next_offset == newer.next_offset
    assert state_digest(saved.symbols["BTCUSDT"]) == state_digest(newer.symbols["BTCUSDT"])


def test_saving_twice_is_saving_once(states: StateStore) -> None:
    state = a_partition_state()

    states.save(0, PROFILE, state, state.symbols, None)
    states.save(0, PROFILE, state, state.symbols, None)

    saved = states.load(0, PROFILE)
    assert saved is not None
    assert saved.next_offset == state.next_offset


def test_a_change_is_stored_on_top_of_its_base_offset(states: StateStore) -> None:
    older, newer = a_partition_state(18), a_partition_state(20)
    states.save(0, PROFILE, older, older.symbols, None)

    assert states.save(0, PROFILE, newer, newer.symbols, older.next_offset)
    assert states.save(
        0, PROFILE, newer, newer.symbols, older.next_offset
    )  # once more, after a lost reply

    saved = states.load(0, PROFILE)
    assert saved is not None
    assert saved.next_offset == newer.next_offset


@pytest.mark.parametrize("there", [None, 17])
def test_a_change_on_top_of_another_offset_is_refused_and_the_partition_unusable(
    states: StateStore, there: int | None
) -> None:
    older, newer = a_partition_state(18), a_partition_state(20)
    if there is not None:
        first = a_partition_state(there)
        states.save(0, PROFILE, first, first.symbols, None)

    assert not states.save(0, PROFILE, newer, ["BTCUSDT"], older.next_offset)

    assert states.load(0, PROFILE) is None
    assert states.save(0, PROFILE, newer, newer.symbols, None)
    assert states.load(0, PROFILE) is not None


def test_a_state_restored_from_a_backup_is_not_used(
    states: StateStore,
) -> None:
    older, newer = a_partition_state(18), a_partition_state(20)
    states.save(0, PROFILE, older, older.symbols, None)

    states.save(0, PROFILE, newer, ["BTCUSDT"], None)

    assert states.load(0, PROFILE) is None  # ETHUSDT is missing from the index


def test_a_state_ahead_of_its_applied_offset_makes_the_partition_unusable(
    states: StateStore,
) -> None:
    state = a_partition_state()
    states.save(0, PROFILE, state, state.symbols, None)

    states.save(1, PROFILE, replace(state, next_offset=state.next_offset + 5), ["BTCUSDT"], None)

    saved = states.load(0, PROFILE)
    assert saved is None or "BTCUSDT" not in saved.symbols


@pytest.mark.integration
@pytest.mark.parametrize("damage", [b"", b"{}\n", b"x" * 100])
def test_a_damaged_state_makes_the_partition_unusable(
    redis_url: str, namespace: str, damage: bytes
) -> None:
    store, state = RedisStateStore(redis_url, namespace), a_partition_state()
    store.save(0, PROFILE, state, state.symbols, None)
    client = redis.Redis.from_url(redis_url)
    [key] = client.scan_iter(f"*{namespace}*symbol:BTCUSDT")
    client.hset(key, "state", damage)
    client.close()

    assert store.load(0, PROFILE) is None
    store.close()


@pytest.mark.integration
def test_states_newer_than_the_applied_offset_that_was_read_are_not_used(
    redis_url: str, namespace: str
) -> None:
    store, state = RedisStateStore(redis_url, namespace), a_partition_state()
    store.save(0, PROFILE, state, state.symbols, None)
    client = redis.Redis.from_url(redis_url)
    [key] = client.scan_iter(f"*{namespace}*partition:0")
    client.hset(
        key, "applied_offset", state.next_offset - 1
    )  # as if a save came between reading this and the states
    client.close()

    assert store.load(0, PROFILE) is None
    store.close()


@pytest.mark.integration
def test_states_of_another_topic_of_the_same_name_are_not_used(
    redis_url: str, namespace: str
) -> None:
    state, stores = a_partition_state(), [RedisStateStore(redis_url, namespace) for _ in range(2)]
    for store, log in zip(stores, ("one", "another"), strict=True):
        store.use_topic_id(log)

    stores[0].save(0, PROFILE, state, state.symbols, None)

    assert stores[0].load(0, PROFILE) is not None
    assert stores[1].load(0, PROFILE) is None
    for store in stores:
        store.close()


@pytest.mark.integration
def test_a_redis_that_may_evict_is_refused(redis_url: str) -> None:
    store, client = RedisStateStore(redis_url, "x"), redis.Redis.from_url(redis_url)
    store.check()
    client.config_set("maxmemory-policy", "allkeys-lru")
    try:
        with pytest.raises(
            Incompatible, match="maxmemory-policy allkeys-lru; set it to noeviction"
        ):
            store.check()
    finally:
        client.config_set("maxmemory-policy", "noeviction")
        client.close()
        store.close()


def test_a_missing_redis_is_named() -> None:
    store = RedisStateStore("redis://127.0.0.1:1/0", "x")

    with pytest.raises(Unavailable, match=r"127\.0\.0\.1:1"):
        store.check()
    store.close()


def test_a_bad_address_is_a_bad_setting() -> None:
    with pytest.raises(BadSetting, match="REDIS_URL"):
        RedisStateStore("http://127.0.0.1", "x")


def test_a_password_is_in_no_message() -> None:
    with pytest.raises(BadSetting) as refusal:
        RedisStateStore("redis://:sec/ret@127.0.0.1:1", "x")
    store = RedisStateStore("redis://:secret@127.0.0.1:1/0", "x")
    with pytest.raises(Unavailable) as outage:
        store.check()
    store.close()

    assert "sec" not in str(refusal.value)
    assert "secret" not in str(outage.value)
