import uuid

import pytest
import redis

from shared.adapters.redis_state_store import RedisStateStore
from shared.core.errors import BadSetting, Incompatible, Unavailable
from shared.core.online.partition import fold
from shared.core.records import SymbolStatus
from tests.support.builders import CONTEXT, START_MS, STEP_MS, a_partition_state, applied
from tests.support.states import load_state

PROFILE = "1-abc"


@pytest.fixture
def namespace() -> str:
    return uuid.uuid4().hex


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

    assert load_state(store, 0, PROFILE) is None
    store.close()


@pytest.mark.integration
def test_states_newer_than_the_applied_offset_that_was_read_are_not_used(
    redis_url: str, namespace: str
) -> None:
    store, state = RedisStateStore(redis_url, namespace), a_partition_state()
    store.save(0, PROFILE, state, state.symbols, None)
    client = redis.Redis.from_url(redis_url)
    [key] = client.scan_iter(f"*{namespace}*partition:0}}")
    client.hset(
        key, "applied_offset", state.next_offset - 1
    )  # as if a save came between reading this and the states
    client.close()

    assert load_state(store, 0, PROFILE) is None
    store.close()


@pytest.mark.integration
def test_states_of_another_topic_of_the_same_name_are_not_used(
    redis_url: str, namespace: str
) -> None:
    state, stores = a_partition_state(), [RedisStateStore(redis_url, namespace) for _ in range(2)]
    for store, log in zip(stores, ("one", "another"), strict=True):
        store.use_topic_id(log)

    stores[0].save(0, PROFILE, state, state.symbols, None)

    assert load_state(stores[0], 0, PROFILE) is not None
    assert load_state(stores[1], 0, PROFILE) is None
    for store in stores:
        store.close()


@pytest.mark.integration
def test_a_symbol_that_has_ended_takes_hardly_any_memory(redis_url: str, namespace: str) -> None:
    store, state = RedisStateStore(redis_url, namespace), a_partition_state(n=200)
    client = redis.Redis.from_url(redis_url)

    def bytes_of_the_symbol() -> int:
        [key] = client.scan_iter(f"*{namespace}*symbol:BTCUSDT")
        return int(client.memory_usage(key) or 0)

    store.save(0, PROFILE, state, state.symbols, None)
    before, base = bytes_of_the_symbol(), state.next_offset
    status = SymbolStatus("BTCUSDT", START_MS + 200 * STEP_MS, "removed", "by the user")
    ended = applied(state, fold(state, status, base, None, CONTEXT))
    store.save(0, PROFILE, ended, ["BTCUSDT"], base)

    assert before > 30_000
    assert bytes_of_the_symbol() < 1_500
    loaded = load_state(store, 0, PROFILE)
    assert loaded is not None
    assert loaded.symbols["BTCUSDT"].begins_ms == status.time_ms
    assert len(loaded.symbols["BTCUSDT"].sequence) == 0
    client.close()
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

    assert "sec" not in str(refusal.value)


@pytest.mark.parametrize(
    "url",
    [
        "redis://:secret@127.0.0.1:1/0",
        "redis://:a secret@127.0.0.1:1/0",
        "redis://:a@secret@127.0.0.1:1/0",
        "redis://127.0.0.1:1/0?password=secret",
        "redis://127.0.0.1:1/0?password=a@secret",
    ],
)
def test_a_redis_that_does_not_answer_is_named_without_its_password(url: str) -> None:
    store = RedisStateStore(url, "x")
    with pytest.raises(Unavailable) as outage:
        store.check()
    store.close()

    assert "redis://" in str(outage.value)
    assert "secret" not in str(outage.value)
