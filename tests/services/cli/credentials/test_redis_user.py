"""The user of Redis that the credentials have, on a real Redis."""

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import redis

from services.cli.credentials.creation import ServerHosts, create_credentials
from services.cli.credentials.folder import SecretFolder
from services.predictor.settings import PredictorSettings
from shared.adapters.redis_state_store import RedisStateStore
from tests.support.builders import a_partition_state
from tests.support.states import load_state

PROFILE = "1-abc"

pytestmark = pytest.mark.integration


def execute(client: redis.Redis, *words: str) -> None:
    client.execute_command(*words)  # type: ignore[no-untyped-call]


@pytest.fixture
def settings(redis_url: str, tmp_path: Path) -> Iterator[PredictorSettings]:
    """Yield the settings of a predictor whose user the test's Redis has."""
    create_credentials(
        SecretFolder(tmp_path, group_reads=False),
        ServerHosts(["kafka"], ["redis"]),
        datetime.now(UTC),
    )
    users = (tmp_path / "redis/users.acl").read_text().splitlines()
    [rights] = [line.split()[2:] for line in users if line.startswith("user predictor ")]
    administrator = redis.Redis.from_url(redis_url)
    execute(administrator, "ACL", "SETUSER", "predictor", "reset", *rights)
    yield PredictorSettings.from_env(
        {
            "REDIS_URL": redis_url.replace("://", "://predictor@"),
            "REDIS_PASSWORD_FILE": str(tmp_path / "predictor/redis-password"),
        }
    )
    administrator.acl_deluser("predictor")
    administrator.close()


def test_a_predictor_keeps_its_states_with_the_rights_of_its_user(
    settings: PredictorSettings,
) -> None:
    store = RedisStateStore(settings.redis_url, uuid.uuid4().hex, settings.redis_secret)
    state = a_partition_state()
    store.check()

    assert store.save(0, PROFILE, state, state.symbols, None)
    loaded = load_state(store, 0, PROFILE)
    assert loaded is not None
    assert loaded.symbols.keys() == state.symbols.keys()
    store.close()


@pytest.mark.parametrize(
    "command", ["KEYS *", "FLUSHALL", "GET other", "HGETALL other", "CONFIG SET maxmemory 1"]
)
def test_a_predictor_may_do_nothing_else(settings: PredictorSettings, command: str) -> None:
    client = redis.Redis.from_url(settings.redis_url, password=settings.redis_secret)

    with pytest.raises(redis.exceptions.NoPermissionError):
        execute(client, *command.split())
    client.close()
