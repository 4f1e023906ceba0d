"""Symbol states in Redis: a view of the log that may lag it and never leads it."""

import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import redis
from redis.backoff import ExponentialWithJitterBackoff
from redis.retry import Retry

from shared.core.errors import BadInput, BadSetting, Incompatible, Unavailable
from shared.core.online.partition import PartitionState
from shared.core.online.state import STATE_SCHEMA, SymbolState, decode_state, encode_state

ANSWER_S: Final = 2.0
_PIPELINE: Final = 50


@dataclass(frozen=True, slots=True)
class StateSnapshot:
    """A group as Redis holds it: every state in it is the fold up to `applied_offset`, the next offset to apply."""

    applied_offset: int
    promotion_offset: int | None
    model_version: str | None
    symbols: Mapping[str, SymbolState]
    known_from: int


# One symbol's state and the offset it is the fold up to. Replacing only what is older makes a late write harmless.
_PUT: Final = """
local stored = tonumber(redis.call('HGET', KEYS[1], 'offset') or '-1')
if stored > tonumber(ARGV[1]) then return 0 end
redis.call('HSET', KEYS[1], 'offset', ARGV[1], 'profile', ARGV[2], 'crc', ARGV[3], 'state', ARGV[4])
return 1
"""
# The applied_offset, and of each symbol the offset that its state must have, so that a state which came back from a backup
# is not taken for one of now. A change builds on the applied_offset that its writer wrote before, or on nothing.
_MARK: Final = """
local stored = tonumber(redis.call('HGET', KEYS[1], 'applied_offset') or '-1')
local new, since = tonumber(ARGV[1]), tonumber(ARGV[7])
if since and stored ~= new and (stored ~= since or redis.call('HGET', KEYS[1], 'profile') ~= ARGV[2]) then return 0 end
if stored > new then return 1 end
redis.call('HSET', KEYS[1], 'applied_offset', ARGV[1], 'profile', ARGV[2], 'promotion', ARGV[3], 'model', ARGV[4],
  'known_from', ARGV[5], 'symbols', ARGV[6])
if not since then redis.call('DEL', KEYS[2]) end
for i = 8, #ARGV do redis.call('HSET', KEYS[2], ARGV[i], ARGV[1]) end
return 1
"""


class RedisStateStore:
    """States in Redis hashes: one per symbol, one per group with its applied_offset."""

    def __init__(self, url: str, namespace: str) -> None:
        """Prepare; connects on first use. The namespace keeps deployments apart.

        Raises:
            BadSetting: the address is none.
        """
        self._where = url
        self._namespace = f"ulstm:{STATE_SCHEMA}:{namespace}"
        try:
            self._client = redis.Redis.from_url(
                url,
                socket_timeout=ANSWER_S,
                socket_connect_timeout=ANSWER_S,
                retry=Retry(ExponentialWithJitterBackoff(cap=0.2, base=0.05), 2),
                decode_responses=False,
            )
        except ValueError as error:
            message = f"REDIS_URL is {url!r}: {error}"
            raise BadSetting(message) from error
        self._put = self._client.register_script(_PUT)
        self._mark = self._client.register_script(_MARK)

    def of_log(self, topic_id: str) -> None:
        """Keep apart from the states of other logs under the same names: a topic made anew, another cluster."""
        self._namespace = f"{self._namespace}:{topic_id}"

    def check(self) -> None:
        """Make sure that Redis answers and never evicts.

        Raises:
            Unavailable: it does not answer.
            Incompatible: it may evict.
        """
        try:
            policy = self._client.config_get("maxmemory-policy").get(
                "maxmemory-policy", "noeviction"
            )
        except redis.RedisError as error:
            raise self._unavailable(error) from error
        if policy != "noeviction":
            message = f"Redis at {self._where} has maxmemory-policy {policy}; set it to noeviction"
            raise Incompatible(message)

    def load(self, group: int, profile: str) -> StateSnapshot | None:
        """Return a group's states, or None if there are none or they are of another profile.

        A state that is damaged, or not of the offset that its group names, makes the whole group unusable: the log
        rebuilds it.

        Raises:
            Unavailable: Redis does not answer.
        """
        try:
            head: dict[bytes, bytes] = self._client.hgetall(self._group_key(group))  # type: ignore[assignment]
            if not head or head.get(b"profile", b"").decode() != profile:
                return None
            applied_offset = int(head[b"applied_offset"])
            index: dict[bytes, bytes] = self._client.hgetall(self._index_key(group))  # type: ignore[assignment]
            if len(index) != int(head[b"symbols"]):
                return None
            offsets = {name.decode(): int(offset) for name, offset in sorted(index.items())}
            if any(offset > applied_offset for offset in offsets.values()):
                return None  # a save came between the two answers
            symbols = {state.symbol: state for state in self._states(offsets, profile)}
        except redis.RedisError as error:
            raise self._unavailable(error) from error
        except (BadInput, KeyError, ValueError):
            return None
        promotion, model = head[b"promotion"].decode(), head[b"model"].decode()
        return StateSnapshot(
            applied_offset,
            int(promotion) if promotion else None,
            model or None,
            symbols,
            int(head[b"known_from"]),
        )

    def save(
        self,
        group: int,
        profile: str,
        after: PartitionState,
        changed: Iterable[str],
        since: int | None,
    ) -> bool:
        """Store the changed states, then the applied_offset; older ones never replace newer ones.

        Args:
            group: the symbol group.
            profile: the numeric profile of its states.
            after: the group to store.
            changed: the symbols that changed since the applied_offset `since`.
            since: the applied_offset stored before; None: `changed` are all symbols.

        Returns:
            Whether that applied_offset was still there. If not, the store was emptied or set back: store all symbols.

        Raises:
            Unavailable: Redis does not answer or is full; the log still has everything.
        """
        names = sorted(changed)
        try:
            for start in range(0, len(names), _PIPELINE):
                self._put_states(profile, after, names[start : start + _PIPELINE])
            return bool(
                self._mark(
                    keys=[self._group_key(group), self._index_key(group)],
                    args=[
                        after.next_offset,
                        profile,
                        "" if after.promotion_offset is None else after.promotion_offset,
                        after.model_version or "",
                        after.known_from,
                        len(after.symbols),
                        "" if since is None else since,
                        *names,
                    ],
                )
            )
        except redis.RedisError as error:
            raise self._unavailable(error) from error

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _put_states(self, profile: str, after: PartitionState, names: Sequence[str]) -> None:
        with self._client.pipeline(transaction=False) as pipeline:
            for name in names:
                data = encode_state(after.symbols[name])
                self._put(
                    keys=[self._symbol_key(name)],
                    args=[after.next_offset, profile, zlib.crc32(data), data],
                    client=pipeline,
                )
            pipeline.execute()

    def _states(self, offsets: Mapping[str, int], profile: str) -> Iterable[SymbolState]:
        names = list(offsets)
        for start in range(0, len(names), _PIPELINE):
            block = names[start : start + _PIPELINE]
            with self._client.pipeline(transaction=False) as pipeline:
                for name in block:
                    pipeline.hgetall(self._symbol_key(name))
                for name, fields in zip(block, pipeline.execute(), strict=True):
                    yield _usable(fields, offsets[name], profile)

    def _group_key(self, group: int) -> str:
        return f"{self._namespace}:applied_offset:{group}"

    def _index_key(self, group: int) -> str:
        return f"{self._namespace}:offsets:{group}"

    def _symbol_key(self, symbol: str) -> str:
        return f"{self._namespace}:symbol:{symbol}"

    def _unavailable(self, error: redis.RedisError) -> Unavailable:
        return Unavailable(f"Redis at {self._where}: {error}")


def _usable(fields: Mapping[bytes, bytes], offset: int, profile: str) -> SymbolState:
    """Return the state of a symbol's hash.

    Raises:
        BadInput: it is damaged, of another profile, or not of the offset that its group names.
    """
    if int(fields[b"offset"]) != offset or fields[b"profile"].decode() != profile:
        message = "a state is not of the offset that its group names, or of another profile"
        raise BadInput("bad_state", message)
    data = fields[b"state"]
    if zlib.crc32(data) != int(fields[b"crc"]):
        message = "a state's checksum does not match"
        raise BadInput("bad_state", message)
    return decode_state(data)
