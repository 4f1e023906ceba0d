"""Partition states in Redis: a view of the log that may lag it and never leads it."""

import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

import redis
from redis.backoff import ExponentialWithJitterBackoff
from redis.retry import Retry

from shared.adapters.passwords import shown_address
from shared.core.errors import BadInput, BadSetting, Incompatible, Unavailable
from shared.core.online.partition import PartitionState
from shared.core.online.state import SymbolState
from shared.core.online.state_codec import STATE_SCHEMA, decode_state, encode_state

REQUEST_S: Final = 2.0
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
        self._url = shown_address(url)
        self._namespace = f"ulstm:{STATE_SCHEMA}:{namespace}"
        try:
            self._client = redis.Redis.from_url(
                url,
                password=password,
                socket_timeout=REQUEST_S,
                socket_connect_timeout=REQUEST_S,
                retry=Retry(ExponentialWithJitterBackoff(cap=0.2, base=0.05), 2),
                decode_responses=False,
            )
        except ValueError:
            # Neither the cause nor the address is shown: both may have the password.
            message = "REDIS_URL is no address; give one such as redis://127.0.0.1:6379/0"
            raise BadSetting(message) from None
        self._put_symbol = self._client.register_script(_PUT_SYMBOL)
        self._put_partition = self._client.register_script(_PUT_PARTITION)

    def use_topic_id(self, topic_id: str) -> None:
        """Ignore states of another topic of the same name: one created again, another cluster's."""
        self._namespace = f"{self._namespace}:{topic_id}"

    def check(self) -> None:
        """Check that Redis answers and never evicts.

        Raises:
            Unavailable: it does not answer.
            Incompatible: it may evict states.
        """
        try:
            settings = self._client.config_get("maxmemory-policy")
        except redis.RedisError as error:
            raise self._unavailable(error) from error
        policy = settings.get("maxmemory-policy", "noeviction")
        if policy != "noeviction":
            message = f"Redis at {self._url} has maxmemory-policy {policy}; set it to noeviction"
            raise Incompatible(message)

    def load(self, partition: int, profile: str) -> PartitionState | None:
        """Return a partition's state, or None if there is none to use.

        One unusable symbol makes the whole partition unusable: the log rebuilds it.

        Args:
            partition: the partition.
            profile: the numeric profile that must have computed the state.

        Raises:
            Unavailable: Redis does not answer.
        """
        try:
            return self._load(partition, profile)
        except redis.RedisError as error:
            raise self._unavailable(error) from error
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
                self._save_symbols(profile, state, names[start : start + _PIPELINE])
            # 2. Then, in one script, the applied offset and the index that makes them valid.
            return self._save_partition(partition, profile, state, names, base_offset)
        except redis.RedisError as error:
            raise self._unavailable(error) from error

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _load(self, partition: int, profile: str) -> PartitionState | None:
        # 1. The partition's hash says which state to expect.
        head: dict[bytes, bytes] = self._client.hgetall(self._key("partition", partition))  # type: ignore[assignment]
        if not head or head[b"profile"].decode() != profile:
            return None
        applied_offset = int(head[b"applied_offset"])
        # 2. The index is read after it, in a request of its own: a save between the two shows in
        #    another number of symbols or in a later offset.
        index: dict[bytes, bytes] = self._client.hgetall(self._key("offsets", partition))  # type: ignore[assignment]
        offsets = {name.decode(): int(offset) for name, offset in sorted(index.items())}
        newest = max(offsets.values(), default=0)
        if len(offsets) != int(head[b"symbols"]) or newest > applied_offset:
            return None
        # 3. Each symbol's state must be of exactly the offset in the index.
        symbols = {state.symbol: state for state in self._load_symbols(offsets, profile)}
        promotion = head[b"promotion"].decode()
        return PartitionState(
            applied_offset,
            int(promotion) if promotion else None,
            head[b"model"].decode() or None,
            symbols,
            int(head[b"known_from"]),
            profile,
        )

    def _load_symbols(self, offsets: Mapping[str, int], profile: str) -> Iterator[SymbolState]:
        names = list(offsets)
        for start in range(0, len(names), _PIPELINE):
            block = names[start : start + _PIPELINE]
            with self._client.pipeline(transaction=False) as pipeline:
                for name in block:
                    pipeline.hgetall(self._key("symbol", name))
                for name, fields in zip(block, pipeline.execute(), strict=True):
                    yield _decode_symbol(fields, offsets[name], profile)

    def _save_symbols(self, profile: str, state: PartitionState, names: Sequence[str]) -> None:
        with self._client.pipeline(transaction=False) as pipeline:
            for name in names:
                data = encode_state(state.symbols[name])
                self._put_symbol(
                    keys=[self._key("symbol", name)],
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
                keys=[self._key("partition", partition), self._key("offsets", partition)],
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
            )
        )

    def _key(self, kind: str, name: str | int) -> str:
        return f"{self._namespace}:{kind}:{name}"

    def _unavailable(self, error: redis.RedisError) -> Unavailable:
        return Unavailable(f"Redis at {self._url}: {error}")


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
