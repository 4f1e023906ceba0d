"""Compares what the replicas publish and store with the fold of the log."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Final

from shared.core.online.state_digest import state_digest
from tests.simulation.broker import Broker
from tests.simulation.log import PROFILE, TOPICS, ExpectedOutput
from tests.simulation.store import SimulatedRedis
from tests.support.states import load_state

FOREIGN_KEY: Final = b"foreign"  # of records that no replica has written


class PromiseBroken(Exception):
    """Raised when the output differs from the fold, or the run is stuck."""


class OutputChecker:
    """Reads the output with `read_committed` during the faults and compares it with the fold."""

    def __init__(self, broker: Broker, expected: ExpectedOutput, partitions: Sequence[int]) -> None:
        self._broker, self._expected, self._partitions = broker, expected, partitions
        self._at = dict.fromkeys(partitions, 0)
        self._seen: dict[int, int] = defaultdict(int)
        self._dead_letters_at = 0
        self._dead_letters: dict[int, list[int]] = defaultdict(list)

    def check(self) -> None:
        """Read new output; each prediction must be the next one that the fold gives."""
        for number in self._partitions:
            self._check_partition(number)
        self._read_dead_letters()

    def _check_partition(self, number: int) -> None:
        partition = self._broker.partition((TOPICS.predictions, number))
        expected = self._expected.predictions[number]
        while self._at[number] < partition.last_stable:
            data = partition.visible(self._at[number])
            self._at[number] += 1
            if data is None or data.key == FOREIGN_KEY:
                continue
            place = f"{TOPICS.predictions}/{number} prediction {self._seen[number]}"
            if self._seen[number] >= len(expected):
                raise PromiseBroken(f"{place}: one too many: {data.value!r}")
            if (data.key, data.value) != expected[self._seen[number]]:
                raise PromiseBroken(
                    f"{place}: {data.value!r} instead of {expected[self._seen[number]][1]!r}"
                )
            self._seen[number] += 1

    def _read_dead_letters(self) -> None:
        partition = self._broker.partition((TOPICS.dead_letters, 0))
        while self._dead_letters_at < partition.last_stable:
            data = partition.visible(self._dead_letters_at)
            self._dead_letters_at += 1
            if data is not None:
                place = {name: value.decode() for name, value in data.headers}
                self._dead_letters[int(place["partition"])].append(int(place["offset"]))

    def is_at_end(self) -> bool:
        partitions = self._partitions
        return all(self._seen[g] >= len(self._expected.predictions[g]) for g in partitions) and all(
            len(self._dead_letters[g]) >= len(self._expected.dead_letters[g]) for g in partitions
        )

    def check_end(self) -> None:
        self.check()
        for number in self._partitions:
            expected = self._expected.predictions[number]
            if self._seen[number] != len(expected):
                raise PromiseBroken(
                    f"{TOPICS.predictions}/{number}:"
                    f" {self._seen[number]} predictions instead of {len(expected)}"
                )
            if self._dead_letters[number] != list(self._expected.dead_letters[number]):
                raise PromiseBroken(
                    f"dead letters of partition {number}:"
                    f" {self._dead_letters[number]}, not {self._expected.dead_letters[number]}"
                )

    def check_redis(self, redis: SimulatedRedis) -> None:
        """Compare the states in Redis with the fold at their applied offset."""
        for number, digests in enumerate(self._expected.digests):
            saved = load_state(redis.states, number, PROFILE)
            if saved is None:
                continue
            expected = digests.get(saved.next_offset)
            found = {name: state_digest(state) for name, state in saved.symbols.items()}
            if expected != found:
                raise PromiseBroken(
                    f"Redis holds for partition {number} at {saved.next_offset}:"
                    f" {found} instead of {expected}"
                )
