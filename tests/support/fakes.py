"""Hand-written fakes, held to the real thing by the tests they share."""

import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Self

from shared.adapters.kafka.reader import ConsumerRecord
from shared.core.online.partition import PartitionState
from shared.core.online.state import SymbolState
from shared.core.online.state_codec import decode_state, encode_state


class FakeStateStore:
    """States in a dict: what RedisStates promises, without a server."""

    def __init__(self) -> None:
        self._heads: dict[
            int, tuple[str, PartitionState, dict[str, int]]
        ] = {}  # profile, group, offset of each symbol
        self._states: dict[str, tuple[int, str, bytes]] = {}  # offset, profile, state

    def copy(self) -> Self:
        other = type(self)()
        other._heads, other._states = dict(self._heads), dict(self._states)
        return other

    def save(
        self,
        group: int,
        profile: str,
        after: PartitionState,
        changed: Iterable[str],
        since: int | None,
    ) -> bool:
        names = sorted(changed)
        for name in names:
            self.put(profile, after, name)
        return self.mark(group, profile, after, names, since)

    def put(self, profile: str, after: PartitionState, name: str) -> None:
        if self._states.get(name, (-1,))[0] <= after.next_offset:
            self._states[name] = (after.next_offset, profile, encode_state(after.symbols[name]))

    def mark(
        self,
        group: int,
        profile: str,
        after: PartitionState,
        names: Iterable[str],
        since: int | None,
    ) -> bool:
        of_profile, stored, offsets = self._heads.get(
            group, ("", PartitionState(next_offset=-1), {})
        )
        there, new = stored.next_offset, after.next_offset
        if since is not None and there != new and (there != since or of_profile != profile):
            return False
        if there <= new:
            kept = {} if since is None else offsets
            self._heads[group] = (profile, after.copy(), {**kept, **dict.fromkeys(names, new)})
        return True

    def load(self, group: int, profile: str) -> PartitionState | None:
        if group not in self._heads or self._heads[group][0] != profile:
            return None
        _, head, offsets = self._heads[group]
        if len(offsets) != len(head.symbols):
            return None
        symbols: dict[str, SymbolState] = {}
        for name, wanted in offsets.items():
            offset, of_profile, data = self._states.get(name, (-1, "", b""))
            if offset != wanted or of_profile != profile:
                return None
            symbols[name] = decode_state(data)
        return replace(head, symbols=symbols, numeric_profile=profile)


class FakeTopicHistory:
    """A topic as a list: what Reader promises, without a broker."""

    def __init__(
        self, records: Sequence[ConsumerRecord], end: int | None = None, first: int = 0
    ) -> None:
        self.records = [r for r in records if r.offset >= first]
        self.first = first
        self.settled = True
        self.end = len(records) if end is None else end
        self.first_read: int | None = None  # the lowest offset that was asked for

    def ends(self, partition: int) -> tuple[int, int]:
        return self.first, self.end

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
    """A stop signal that comes after some looks at it."""

    def __init__(self, looks: int) -> None:
        super().__init__()
        self.looks = looks

    def is_set(self) -> bool:
        self.looks -= 1
        return self.looks < 0
