"""Where Redis is: one server, or a cluster of which each key has its node."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import redis
from redis.backoff import ExponentialWithJitterBackoff
from redis.commands.core import Script
from redis.exceptions import (
    AskError,
    AuthenticationError,
    ClusterCrossSlotError,
    MovedError,
    NoPermissionError,
    RedisClusterException,
)
from redis.retry import Retry

from shared.adapters.passwords import shown_address
from shared.core.errors import BadSetting, NotAuthorized, Unavailable

REQUEST_S: Final = 2.0
OPTIONS: Final = (
    *("db", "username", "password", "client_name", "protocol"),
    *("socket_timeout", "socket_connect_timeout", "socket_keepalive", "health_check_interval"),
)
TLS_OPTIONS: Final = (
    *("ssl_ca_certs", "ssl_ca_path", "ssl_certfile", "ssl_keyfile", "ssl_password"),
    *("ssl_cert_reqs", "ssl_check_hostname"),
)
_TLS_PATHS: Final = ("ssl_ca_certs", "ssl_ca_path", "ssl_certfile", "ssl_keyfile")
_FINAL: Final = (AuthenticationError, NoPermissionError)
# As Redis 6 and 7 say it of a command in a script.
_REFUSED_IN_SCRIPT: Final = re.compile(r"executing the script can't|ACL failure in script")
_OF_A_CLUSTER: Final = (MovedError, AskError, ClusterCrossSlotError)


class RedisConnection:
    """Clients of the server or of a cluster's nodes; they connect with their first command."""

    def __init__(self, url: str, password: str | None) -> None:
        """Check the address.

        Args:
            url: redis://, rediss:// or unix://, options after a question mark.
            password: None: the address has it, or Redis asks for none.

        Raises:
            BadSetting: the address is none, or an option of it is unknown or wrong.
        """
        self.shown, self._url = shown_address(url), url
        self._arguments: dict[str, Any] = {
            "password": password,
            "socket_timeout": REQUEST_S,
            "socket_connect_timeout": REQUEST_S,
        }
        _check_options(url)
        self._client = self._open()
        self._is_cluster: bool | None = None  # None: not known yet
        self._cluster: redis.RedisCluster | None = None

    def register_script(self, script: str) -> Script:
        """Return a script, to be called with a client."""
        return self._client.register_script(script)

    def client_for(self, key: str) -> redis.Redis:
        """Return the client of the node that has a key.

        Raises:
            redis.RedisError: no server answers.
        """
        with _to_redis_error():
            cluster = self._find_cluster()
            if cluster is None:
                return self._client
            node = cluster.get_node_from_key(key)  # type: ignore[no-untyped-call]
            return cluster.get_redis_connection(node)

    def servers(self) -> list[redis.Redis]:
        """Return a client of each server that takes writes.

        Raises:
            redis.RedisError: no server answers.
        """
        with _to_redis_error():
            cluster = self._find_cluster()
            if cluster is None:
                return [self._client]
            nodes = cluster.get_primaries()  # type: ignore[no-untyped-call]
            return [cluster.get_redis_connection(node) for node in nodes]

    def to_app_error(self, error: redis.RedisError) -> Unavailable:
        """Return the error of a command that failed; the next one looks where the nodes are."""
        self._is_cluster = isinstance(error, _OF_A_CLUSTER) or self._is_cluster
        self._close_cluster()
        moved = "a key has moved to another node: " if isinstance(error, _OF_A_CLUSTER) else ""
        return Unavailable(f"Redis at {self.shown}: {moved}{error}")

    def refusal(self, error: redis.RedisError) -> NotAuthorized | None:
        """Return the error of a start that Redis refuses for good; None if it may pass."""
        if not isinstance(error, _FINAL) and not _REFUSED_IN_SCRIPT.search(str(error)):
            return None
        text = f"Redis at {self.shown} refuses this user: {error}"
        return NotAuthorized(
            f"{text}; correct REDIS_URL, REDIS_PASSWORD(_FILE) or the user's rights"
        )

    def close(self) -> None:
        """Close the connections."""
        self._close_cluster()
        self._client.close()

    def _open(self) -> redis.Redis:
        """Return the client of the address.

        Raises:
            BadSetting: redis-py refuses it. Neither its cause nor the address is shown: both may
                have the password.
        """
        retry = Retry(ExponentialWithJitterBackoff(cap=0.2, base=0.05), 2)
        try:
            client = redis.Redis.from_url(self._url, **self._arguments, retry=retry)
            client.connection_pool.make_connection()
        except (ValueError, TypeError, redis.RedisError):
            text = "REDIS_URL is no address, or an option of it has a wrong value"
            message = f"{text}; give one such as redis://127.0.0.1:6379/0"
            raise BadSetting(message) from None
        return client

    def _find_cluster(self) -> redis.RedisCluster | None:
        """Return the client of the cluster; None if the server is none."""
        if self._is_cluster is None:
            self._is_cluster = _is_cluster(self._client)
        if self._is_cluster and self._cluster is None:
            # The client of a cluster does not tell a missing right from a server that is none.
            self._client.execute_command("CLUSTER SLOTS")  # type: ignore[no-untyped-call]
            self._cluster = redis.RedisCluster.from_url(self._url, **self._arguments)
        return self._cluster

    def _close_cluster(self) -> None:
        if self._cluster is not None:
            self._cluster.close()
            self._cluster = None


@contextmanager
def _to_redis_error() -> Iterator[None]:
    """Raise the errors of a cluster's client as the other errors of redis-py."""
    try:
        yield
    except RedisClusterException as error:
        raise redis.ConnectionError(str(error)) from error


def find_eviction_policy(client: redis.Redis) -> str | None:
    """Return a server's maxmemory-policy; None if it does not tell.

    Managed servers close CONFIG, and a user may lack the right to INFO.
    """
    asks = (
        lambda: client.info("memory").get("maxmemory_policy"),
        lambda: client.config_get("maxmemory-policy").get("maxmemory-policy"),
    )
    for ask in asks:
        try:
            policy = ask()
        except redis.ResponseError:
            continue
        if policy:
            return str(policy)
    return None


def _is_cluster(client: redis.Redis) -> bool:
    """Say whether a server is a node of a cluster; it is none if it does not tell."""
    try:
        found: Mapping[str, Any] = client.info("cluster")
    except redis.ResponseError:
        return False
    return bool(int(found.get("cluster_enabled", 0)))


def _check_options(url: str) -> None:
    """Check the options of an address: their names, and the files that they name.

    Raises:
        BadSetting: one is unknown, or a file is missing.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        raise BadSetting("REDIS_URL is no address, such as redis://127.0.0.1:6379/0") from None
    allowed = (*OPTIONS, *TLS_OPTIONS) if parts.scheme == "rediss" else OPTIONS
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if name in TLS_OPTIONS and name not in allowed:
            raise BadSetting(f"REDIS_URL has the option {name}, for TLS: begin it with rediss://")
        if name not in allowed:
            known = ", ".join(allowed)
            raise BadSetting(f"REDIS_URL has the unknown option {name[:40]!r}; known: {known}")
        if name in _TLS_PATHS and not Path(value).exists():
            raise BadSetting(f"REDIS_URL has {name}={value[:200]!r}, which does not exist")
