"""Hand-written fakes, held to the real thing by the tests they share."""

import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Self

from services.predictor.ports import StateLoading
from shared.adapters.kafka.reader import ConsumerRecord
from shared.core.online.partition import PartitionState
from shared.core.online.state import SymbolState
from shared.core.online.state_codec import decode_state, encode_state


class FakeStateStore:
    """The behaviour of RedisStateStore in a dict, without a server."""

    def __init__(self) -> None:
        # By partition: numeric profile, state, and the offset of each symbol's state.
        self._heads: dict[int, tuple[str, PartitionState, dict[str, int]]] = {}
        # By symbol: offset, numeric profile, encoded state.
        self._states: dict[str, tuple[int, str, bytes]] = {}

    def copy(self) -> Self:
        other = type(self)()
        other._heads, other._states = dict(self._heads), dict(self._states)
        return other

    def save(
        self,
        partition: int,
        profile: str,
        state: PartitionState,
        changed: Iterable[str],
        base_offset: int | None,
    ) -> bool:
        names = sorted(changed)
        for name in names:
            self.put(profile, state, name)
        return self.mark(partition, profile, state, names, base_offset)

    def put(self, profile: str, state: PartitionState, name: str) -> None:
        if self._states.get(name, (-1,))[0] <= state.next_offset:
            self._states[name] = (state.next_offset, profile, encode_state(state.symbols[name]))

    def mark(
        self,
        partition: int,
        profile: str,
        state: PartitionState,
        names: Iterable[str],
        base_offset: int | None,
    ) -> bool:
        stored_profile, stored, offsets = self._heads.get(
            partition, ("", PartitionState(next_offset=-1), {})
        )
        there, new = stored.next_offset, state.next_offset
        if (
            base_offset is not None
            and there != new
            and (there != base_offset or stored_profile != profile)
        ):
            return False
        if there <= new:
            kept = {} if base_offset is None else offsets
            self._heads[partition] = (profile, state.copy(), {**kept, **dict.fromkeys(names, new)})
        return True

    def load_in_blocks(self, partition: int, profile: str) -> StateLoading:
        if partition not in self._heads or self._heads[partition][0] != profile:
            return None
        _, head, offsets = self._heads[partition]
        if len(offsets) != len(head.symbols):
            return None
        symbols: dict[str, SymbolState] = {}
        for name, wanted in offsets.items():
            offset, stored_profile, data = self._states.get(name, (-1, "", b""))
            if offset != wanted or stored_profile != profile:
                return None
            symbols[name] = decode_state(data)
            yield
        return replace(head, symbols=symbols, numeric_profile=profile)


class FakeTopicHistory:
    """The behaviour of Reader on a list of records, without a broker."""

    def __init__(
        self, records: Sequence[ConsumerRecord], end: int | None = None, first: int = 0
    ) -> None:
        self.records = [r for r in records if r.offset >= first]
        self.first = first
        self.settled = True
        self.open_record: ConsumerRecord | None = None  # first of an open transaction
        self.end = len(records) if end is None else end
        self.first_read: int | None = None  # the lowest offset that was read

    def ends(self, partition: int) -> tuple[int, int]:
        return self.first, self.end

    def first_open_record(self, partition: int) -> ConsumerRecord | None:
        return self.open_record

    def is_settled(self, partition: int) -> bool:
        return self.settled

    def offset_at(self, partition: int, time_ms: int) -> int:
        return next((r.offset for r in self.records if r.timestamp_ms >= time_ms), self.end)

    def read(
        self, partition: int, start: int, end: int | None = None
    ) -> Iterator[list[ConsumerRecord]]:
        self.first_read = start if self.first_read is None else min(start, self.first_read)
        wanted = [r for r in self.records if start <= r.offset < (self.end if end is None else end)]
        for at in range(0, len(wanted), 50):
            yield wanted[at : at + 50]


class SetAfter(threading.Event):
    """A stop signal that is set after it was checked some times."""

    def __init__(self, checks: int) -> None:
        super().__init__()
        self.checks = checks

    def is_set(self) -> bool:
        self.checks -= 1
        return self.checks < 0
