"""Partition states in Redis: a view of the log that may lag it and never leads it."""

import logging
import zlib
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from typing import Final

import redis

from shared.adapters.redis_connection import RedisConnection, find_eviction_policy
from shared.core.errors import BadInput, Incompatible
from shared.core.online.partition import PartitionState
from shared.core.online.state import SymbolState
from shared.core.online.state_codec import MAX_STATE_BYTES, STATE_SCHEMA, decode_state, encode_state

log = logging.getLogger(__name__)

_NO_PARTITION: Final = -1
_PIPELINE: Final = 50  # symbols of one round trip


# KEYS: the symbol's hash. ARGV: offset, profile, checksum, state.
_PUT_SYMBOL: Final = """
-- Only an older state is replaced: a late write of a replica that lost the partition is harmless.
local stored = tonumber(redis.call('HGET', KEYS[1], 'offset') or '-1')
if stored > tonumber(ARGV[1]) then return 0 end
redis.call('HSET', KEYS[1],
  'offset', ARGV[1], 'profile', ARGV[2], 'crc', ARGV[3], 'state', ARGV[4])
return 1
"""
# KEYS: the partition's hash and its index, the offset of each symbol's state.
# ARGV: applied offset, profile, promotion, model, known_from, number of symbols, base offset
# (empty: none), names of the changed symbols.
_PUT_PARTITION: Final = """
local stored = tonumber(redis.call('HGET', KEYS[1], 'applied_offset') or '-1')
local applied, base = tonumber(ARGV[1]), tonumber(ARGV[7])
-- 1. A change is valid only on top of the offset that its writer stored before: a flushed or
--    restored Redis, or another replica's newer state, lacks what the change leaves out.
--    An equal offset is the same write once more, after a lost reply.
if base and stored ~= applied
  and (stored ~= base or redis.call('HGET', KEYS[1], 'profile') ~= ARGV[2]) then return 0 end
-- 2. Never go back: a newer state is kept, and the caller needs to do nothing.
if stored > applied then return 1 end
redis.call('HSET', KEYS[1], 'applied_offset', ARGV[1], 'profile', ARGV[2],
  'promotion', ARGV[3], 'model', ARGV[4], 'known_from', ARGV[5], 'symbols', ARGV[6])
-- 3. Without a base the names are all there are: forget symbols of an earlier state.
if not base then redis.call('DEL', KEYS[2]) end
-- 4. Note the offset of each changed symbol's state, so that a state restored from a backup is
--    recognised as too old.
for i = 8, #ARGV do redis.call('HSET', KEYS[2], ARGV[i], ARGV[1]) end
return 1
"""


class RedisStateStore:
    """States in Redis hashes: one for each symbol, two for each partition."""

    def __init__(self, url: str, namespace: str, password: str | None = None) -> None:
        """Take the address; connect on first use.

        Args:
            url: redis://, rediss:// or unix://.
            namespace: keeps deployments apart.
            password: None: the address has it, or Redis asks for none.

        Raises:
            BadSetting: the address is no Redis address.
        """
        self._connection = RedisConnection(url, password)
        self._put_symbol = self._connection.register_script(_PUT_SYMBOL)
        self._put_partition = self._connection.register_script(_PUT_PARTITION)
        self._namespace = f"ulstm:{STATE_SCHEMA}:{namespace}"

    def use_topic_id(self, topic_id: str) -> None:
        """Ignore states of another topic of the same name: one created again, another cluster's."""
        self._namespace = f"{self._namespace}:{topic_id}"

    def check(self) -> None:
        """Check that Redis answers, never evicts, and lets this user keep states.

        Raises:
            Unavailable: it does not answer.
            NotAuthorized: it refuses this user, or one of the commands.
            Incompatible: it may evict states.
        """
        try:
            for server in self._connection.servers():
                self._check_eviction(server)
            self._try_commands()
        except redis.RedisError as error:
            refusal = self._connection.refusal(error)
            raise refusal or self._connection.to_app_error(error) from error

    def _check_eviction(self, server: redis.Redis) -> None:
        policy = find_eviction_policy(server)
        if policy is None:
            log.warning(
                "Redis at %s does not tell its maxmemory-policy: it must be noeviction",
                self._connection.shown,
            )
        elif policy != "noeviction":
            place = f"Redis at {self._connection.shown}"
            raise Incompatible(f"{place} has maxmemory-policy {policy}; set it to noeviction")

    def _try_commands(self) -> None:
        """Store a symbol's state of no partition, read it, and delete it, as the commands do."""
        key = self._key(_NO_PARTITION, "probe")
        client = self._connection.client_for(key)
        self._put_symbol(keys=[key], args=[0, "", 0, ""], client=client)
        client.hgetall(key)
        client.hstrlen(key, "state")
        client.delete(key)

    def load_in_blocks(
        self, partition: int, profile: str
    ) -> Generator[None, None, PartitionState | None]:
        """Load a partition's state; yield after each round trip.

        One unusable symbol makes the whole partition unusable: the log rebuilds it.

        Args:
            partition: the partition.
            profile: the numeric profile that must have computed the state.

        Returns:
            The state, or None if there is none to use.

        Raises:
            Unavailable: Redis does not answer.
        """
        try:
            return (yield from self._load(partition, profile))
        except redis.RedisError as error:
            raise self._connection.to_app_error(error) from error
        except (BadInput, KeyError, ValueError):
            return None

    def save(
        self,
        partition: int,
        profile: str,
        state: PartitionState,
        changed: Iterable[str],
        base_offset: int | None,
    ) -> bool:
        """Store the changed symbols, then the applied offset; never replace newer by older.

        Args:
            partition: the partition.
            profile: the numeric profile that computed the state.
            state: the state to store.
            changed: the symbols that changed since `base_offset`.
            base_offset: the applied offset stored before; None: `changed` names every symbol.

        Returns:
            Whether `base_offset` was still stored. If not, the store lost it: store all symbols.

        Raises:
            Unavailable: Redis does not answer or is full; the log still has everything.
        """
        names = sorted(changed)
        try:
            # 1. The symbols first: after a crash here they are newer than the index says, so the
            #    partition is unusable until the next save or rebuilt from the log.
            for start in range(0, len(names), _PIPELINE):
                self._save_symbols(partition, profile, state, names[start : start + _PIPELINE])
            # 2. Then, in one script, the applied offset and the index that makes them valid.
            return self._save_partition(partition, profile, state, names, base_offset)
        except redis.RedisError as error:
            raise self._connection.to_app_error(error) from error

    def close(self) -> None:
        """Close the connections."""
        self._connection.close()

    def _load(self, partition: int, profile: str) -> Generator[None, None, PartitionState | None]:
        client = self._client_of(partition)
        # 1. The partition's hash says which state to expect.
        head: dict[bytes, bytes] = client.hgetall(self._key(partition))  # type: ignore[assignment]
        if not head or head[b"profile"].decode() != profile:
            return None
        applied_offset = int(head[b"applied_offset"])
        # 2. The index is read after it, in a request of its own: a save between the two shows in
        #    another number of symbols or in a later offset.
        index: dict[bytes, bytes] = client.hgetall(self._key(partition, "offsets"))  # type: ignore[assignment]
        offsets = {name.decode(): int(offset) for name, offset in sorted(index.items())}
        newest = max(offsets.values(), default=0)
        if len(offsets) != int(head[b"symbols"]) or newest > applied_offset:
            return None
        # 3. Each symbol's state must be of exactly the offset in the index.
        symbols: dict[str, SymbolState] = {}
        for block in self._load_symbols(client, partition, offsets, profile):
            symbols |= {state.symbol: state for state in block}
            yield
        promotion = head[b"promotion"].decode()
        return PartitionState(
            applied_offset,
            int(promotion) if promotion else None,
            head[b"model"].decode() or None,
            symbols,
            int(head[b"known_from"]),
            profile,
        )

    def _load_symbols(
        self, client: redis.Redis, partition: int, offsets: Mapping[str, int], profile: str
    ) -> Iterator[list[SymbolState]]:
        names = list(offsets)
        for start in range(0, len(names), _PIPELINE):
            block = names[start : start + _PIPELINE]
            keys = [self._key(partition, "symbol", name) for name in block]
            with client.pipeline(transaction=False) as pipeline:
                for key in keys:
                    pipeline.hstrlen(key, "state")
                _check_sizes(pipeline.execute())
                for key in keys:
                    pipeline.hgetall(key)
                found = zip(block, pipeline.execute(), strict=True)
            yield [_decode_symbol(fields, offsets[name], profile) for name, fields in found]

    def _save_symbols(
        self, partition: int, profile: str, state: PartitionState, names: Sequence[str]
    ) -> None:
        with self._client_of(partition).pipeline(transaction=False) as pipeline:
            for name in names:
                data = encode_state(state.symbols[name])
                self._put_symbol(
                    keys=[self._key(partition, "symbol", name)],
                    args=[state.next_offset, profile, zlib.crc32(data), data],
                    client=pipeline,
                )
            pipeline.execute()

    def _save_partition(
        self,
        partition: int,
        profile: str,
        state: PartitionState,
        names: Sequence[str],
        base_offset: int | None,
    ) -> bool:
        return bool(
            self._put_partition(
                keys=[self._key(partition), self._key(partition, "offsets")],
                args=[
                    state.next_offset,
                    profile,
                    "" if state.promotion_offset is None else state.promotion_offset,
                    state.model_version or "",
                    state.known_from,
                    len(state.symbols),
                    "" if base_offset is None else base_offset,
                    *names,
                ],
                client=self._client_of(partition),
            )
        )

    def _client_of(self, partition: int) -> redis.Redis:
        return self._connection.client_for(self._key(partition))

    def _key(self, partition: int, *names: str) -> str:
        # A cluster keeps keys with the same text in braces on one node, as a script needs them.
        return ":".join((f"{self._namespace}:{{partition:{partition}}}", *names))


def _check_sizes(sizes: Iterable[int]) -> None:
    """Check the sizes of states before they are read.

    Raises:
        BadInput: one is too large.
    """
    largest = max(sizes)
    if largest > MAX_STATE_BYTES:
        message = f"a state has {largest} bytes, at most {MAX_STATE_BYTES}"
        raise BadInput("bad_state", message)


def _decode_symbol(fields: Mapping[bytes, bytes], offset: int, profile: str) -> SymbolState:
    """Return the state of a symbol's hash.

    Raises:
        BadInput: it is damaged, or of another profile or offset.
        KeyError: a field is missing.
    """
    if int(fields[b"offset"]) != offset or fields[b"profile"].decode() != profile:
        message = "a state is not of the offset in its partition's index, or of another profile"
        raise BadInput("bad_state", message)
    data = fields[b"state"]
    if zlib.crc32(data) != int(fields[b"crc"]):
        raise BadInput("bad_state", "a state's checksum does not match")
    return decode_state(data)
