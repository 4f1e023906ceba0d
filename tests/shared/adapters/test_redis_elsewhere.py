"""Redis as others run it: a cluster, closed commands, few rights, options of an address."""

import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import pytest
import redis

from shared.adapters.redis_connection import OPTIONS, TLS_OPTIONS
from shared.adapters.redis_state_store import RedisStateStore
from shared.core.errors import BadSetting, Incompatible, NotAuthorized, Unavailable
from shared.core.online.state_digest import state_digest
from shared.local_servers import programs
from tests.support.builders import a_partition_state
from tests.support.servers import ServerProcess, reserve_port
from tests.support.states import load_state
from tests.support.waiting import eventually

PROFILE = "1-abc"
SLOTS = 16_384
PARTITIONS = range(8)


def keeps_states(store: RedisStateStore, partition: int) -> bool:
    """Save and load a partition's state."""
    state = a_partition_state(20)
    assert store.save(partition, PROFILE, state, state.symbols, None)
    loaded = load_state(store, partition, PROFILE)
    assert loaded is not None
    found = {name: state_digest(one) for name, one in loaded.symbols.items()}
    return found == {name: state_digest(one) for name, one in state.symbols.items()}


@contextmanager
def servers(folder: Path, count: int, *options: str) -> Iterator[list[redis.Redis]]:
    """Run Redis servers; yield a client of each."""
    with ExitStack() as stack:
        clients = []
        for number in range(count):
            place, port = folder / str(number), reserve_port()
            place.mkdir()

            def command(place: Path = place, port: int = port) -> list[str]:
                return [*programs.redis_command(place, port), *options]

            process = ServerProcess("redis", place, port, command, programs.is_redis_ready)
            stack.enter_context(process)
            clients.append(stack.enter_context(redis.Redis(port=port)))
        yield clients


def port_of(client: redis.Redis) -> int:
    return int(client.connection_pool.connection_kwargs["port"])


def url_of(client: redis.Redis) -> str:
    return f"redis://127.0.0.1:{port_of(client)}/0"


def execute(client: redis.Redis, *words: object) -> object:
    return client.execute_command(*words)  # type: ignore[no-untyped-call]


@pytest.mark.integration
def test_states_are_kept_in_a_cluster_also_after_slots_have_moved(tmp_path: Path) -> None:
    with servers(tmp_path, 2, "--cluster-enabled", "yes") as (first, second):
        execute(first, "CLUSTER", "ADDSLOTS", *range(SLOTS // 2))
        execute(second, "CLUSTER", "ADDSLOTS", *range(SLOTS // 2, SLOTS))
        execute(first, "CLUSTER", "MEET", "127.0.0.1", port_of(second))
        for client in (first, second):
            eventually(partial(is_whole, client), 20.0)
        store = RedisStateStore(url_of(first), "x")

        store.check()
        assert all(keeps_states(store, partition) for partition in PARTITIONS)
        assert first.dbsize() > 0 < second.dbsize()

        move_partitions(second, first)
        with pytest.raises(Unavailable, match="a key has moved to another node"):
            [load_state(store, partition, PROFILE) for partition in PARTITIONS]
        assert all(keeps_states(store, partition) for partition in PARTITIONS)
        store.close()


@pytest.mark.integration
def test_in_a_cluster_a_missing_right_is_named_too(tmp_path: Path) -> None:
    with servers(tmp_path, 1, "--cluster-enabled", "yes") as (client,):
        execute(client, "CLUSTER", "ADDSLOTS", *range(SLOTS))
        eventually(partial(is_whole, client), 20.0)
        execute(client, "ACL", "SETUSER", "p", "on", ">secret", "~*", "+@all", "-cluster")
        store = RedisStateStore(url_of(client).replace("://", "://p:secret@"), "x")

        with pytest.raises(NotAuthorized, match="no permissions to run the 'cluster"):
            store.check()
        store.close()


@pytest.mark.integration
def test_a_cluster_without_all_its_slots_is_unavailable(tmp_path: Path) -> None:
    with servers(tmp_path, 1, "--cluster-enabled", "yes") as (client,):
        store = RedisStateStore(url_of(client), "x")

        with pytest.raises(Unavailable):
            store.check()
        store.close()


def is_whole(client: redis.Redis) -> bool:
    found = execute(client, "CLUSTER", "INFO")
    return "cluster_state:ok" in str(found) or "'cluster_state': 'ok'" in str(found)


def move_partitions(source: redis.Redis, target: redis.Redis) -> None:
    """Give the slots of all partitions to a node; the states of the other are lost."""
    source.flushall()
    name = bytes(execute(target, "CLUSTER", "MYID")).decode()  # type: ignore[call-overload]
    slots = [execute(target, "CLUSTER", "KEYSLOT", f"{{partition:{at}}}") for at in PARTITIONS]
    for client in (source, target):
        for slot in slots:
            execute(client, "CLUSTER", "SETSLOT", slot, "NODE", name)


@pytest.mark.integration
def test_where_config_is_closed_the_eviction_policy_is_read_from_info(tmp_path: Path) -> None:
    closed = ("--rename-command", "CONFIG", "", "--maxmemory-policy", "allkeys-lru")
    with servers(tmp_path, 1, *closed) as (client,):
        store = RedisStateStore(url_of(client), "x")

        with pytest.raises(Incompatible, match="maxmemory-policy allkeys-lru"):
            store.check()
        store.close()


@pytest.fixture
def user(redis_url: str) -> Iterator[str]:
    """Yield the address of a user who may do everything but INFO and CONFIG."""
    name, client = f"u{uuid.uuid4().hex}", redis.Redis.from_url(redis_url)
    execute(client, "ACL", "SETUSER", name, "on", ">secret", "~*", "+@all", "-info", "-config")
    yield redis_url.replace("://", f"://{name}:secret@")
    execute(client, "ACL", "DELUSER", name)
    client.close()


@pytest.mark.integration
def test_a_policy_that_nobody_tells_is_a_warning_and_no_refusal(
    user: str, caplog: pytest.LogCaptureFixture
) -> None:
    store = RedisStateStore(user, uuid.uuid4().hex)

    store.check()

    assert keeps_states(store, 0)
    assert "does not tell its maxmemory-policy" in caplog.text
    store.close()


@pytest.mark.integration
@pytest.mark.parametrize("right", ["-evalsha", "-hgetall", "-hset", "-hstrlen", "resetkeys"])
def test_a_missing_right_ends_the_start_with_its_name(
    user: str, redis_url: str, right: str
) -> None:
    name = user.split("://")[1].split(":")[0]
    with redis.Redis.from_url(redis_url) as client:
        execute(client, "ACL", "SETUSER", name, right)
    store = RedisStateStore(user, uuid.uuid4().hex)

    with pytest.raises(NotAuthorized, match=r"this user.*(permission|can't run)") as refusal:
        store.check()

    assert "secret" not in str(refusal.value)
    store.close()


@pytest.mark.integration
def test_a_wrong_password_ends_the_start_without_it(user: str) -> None:
    store = RedisStateStore(user.replace("secret", "hunter2"), "x")

    with pytest.raises(NotAuthorized, match="refuses this user") as refusal:
        store.check()

    assert "hunter2" not in str(refusal.value)
    store.close()


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("redis://h?timeout=1", "unknown option 'timeout'; known: db, username"),
        ("redis://h?host=other", "unknown option 'host'"),
        ("redis://h?db=1&decode_responses=1", "unknown option 'decode_responses'"),
        ("redis://h?ssl_ca_certs=/etc/hosts", "ssl_ca_certs, for TLS: begin it with rediss://"),
        ("rediss://h?ssl_ca_certs=/no/such", "ssl_ca_certs='/no/such', which does not exist"),
        ("rediss://h?ssl_cert_reqs=perhaps", "wrong value"),
        ("redis://h?db=one", "wrong value"),
        ("redis://h?protocol=9", "wrong value"),
        ("redis://[::1", "no address"),
        ("redis://h:port", "no address"),
    ],
)
def test_an_option_that_is_unknown_or_wrong_is_a_bad_setting(url: str, why: str) -> None:
    with pytest.raises(BadSetting, match="REDIS_URL") as refusal:
        RedisStateStore(url, "x")

    assert why in str(refusal.value)


@pytest.mark.parametrize(
    "options", ["db=1", "socket_timeout=5", "client_name=a", "health_check_interval=30"]
)
def test_the_options_of_the_documentation_are_taken(options: str) -> None:
    assert options.split("=")[0] in OPTIONS
    RedisStateStore(f"redis://h?{options}", "x").close()


def test_the_tls_options_are_taken_where_the_address_is_of_tls(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").touch()

    RedisStateStore(
        f"rediss://h?ssl_ca_certs={tmp_path}/ca.pem&ssl_cert_reqs=required", "x"
    ).close()

    assert "ssl_ca_certs" in TLS_OPTIONS
