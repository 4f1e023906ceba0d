"""What is saved to Redis, when, and what happens after a failure."""

from collections.abc import Iterable
from dataclasses import replace

import pytest

from services.predictor.checkpointer import MAX_LAG_S, PAUSE_S, StateCheckpointer
from services.predictor.metrics import PredictorMetrics
from shared.adapters.prometheus import Telemetry
from shared.adapters.schemas.klines import encode_record
from shared.core.errors import Unavailable
from shared.core.online.partition import PartitionState
from tests.services.predictor.task_harness import PROMOTION, SYMBOLS, TaskHarness
from tests.support.builders import CONTEXT, candle_bytes
from tests.support.fakes import FakeStateStore
from tests.support.states import load_state

PROFILE = CONTEXT.numeric_profile


class RecordingStore(FakeStateStore):
    """Notes each save: its symbols and the offset it builds on."""

    def __init__(self) -> None:
        super().__init__()
        self.saves: list[tuple[list[str], int | None]] = []
        self.is_away = False

    def save(
        self,
        partition: int,
        profile: str,
        state: PartitionState,
        changed: Iterable[str],
        base_offset: int | None,
    ) -> bool:
        if self.is_away:
            raise Unavailable("Redis does not answer")
        changed = sorted(changed)
        self.saves.append((changed, base_offset))
        return super().save(partition, profile, state, changed, base_offset)


class Setup:
    """A checkpointer and a running task with one candle of each symbol."""

    def __init__(self, profile: str = PROFILE) -> None:
        self.harness, self.store, self.telemetry = TaskHarness(), RecordingStore(), Telemetry("t")
        self.task = self.harness.task
        self.task.restore_next_block()
        for symbol in SYMBOLS:
            self.harness.commit(candle_bytes(0, symbol))
        self.checkpointer = StateCheckpointer(
            self.store,
            replace(CONTEXT, numeric_profile=profile),
            PredictorMetrics(self.telemetry),
            lambda: self.harness.now_s,
        )

    def save(self) -> None:
        self.checkpointer.save([self.task])

    def redis_up(self) -> bool:
        return b"ulstm_t_redis_up 1.0" in self.telemetry.answer("/metrics")[2]


@pytest.fixture
def setup() -> Setup:
    return Setup()


def test_after_the_first_save_only_changed_symbols_are_saved_on_top_of_it(setup: Setup) -> None:
    setup.save()
    setup.harness.commit(candle_bytes(1, SYMBOLS[1]))
    setup.save()
    setup.save()

    assert setup.store.saves == [(list(SYMBOLS), None), ([SYMBOLS[1]], 2)]
    assert setup.redis_up()
    snapshot = load_state(setup.store, 0, PROFILE)
    assert snapshot is not None
    assert snapshot.next_offset == 3


def test_a_redis_that_lost_the_state_gets_every_symbol_again(setup: Setup) -> None:
    setup.save()
    setup.store.__init__()  # type: ignore[misc]
    setup.harness.commit(candle_bytes(1, SYMBOLS[1]))

    setup.save()

    assert setup.store.saves == [([SYMBOLS[1]], 2), (list(SYMBOLS), None)]
    snapshot = load_state(setup.store, 0, PROFILE)
    assert snapshot is not None
    assert snapshot.next_offset == 3


def test_after_a_failure_saving_pauses_and_nothing_is_forgotten(setup: Setup) -> None:
    setup.store.is_away = True
    setup.save()
    assert not setup.redis_up()

    setup.store.is_away = False
    assert not setup.checkpointer.has_work([setup.task])
    setup.save()
    assert setup.store.saves == []

    setup.harness.now_s += PAUSE_S
    assert setup.checkpointer.has_work([setup.task])
    setup.save()

    assert setup.store.saves == [(list(SYMBOLS), None)]
    assert setup.redis_up()


def test_a_save_is_due_when_the_last_one_is_too_long_ago(setup: Setup) -> None:
    setup.checkpointer.save_if_due([setup.task])
    assert setup.store.saves == []

    setup.harness.now_s += MAX_LAG_S
    setup.checkpointer.save_if_due([setup.task])
    setup.harness.commit(candle_bytes(1, SYMBOLS[1]))
    setup.checkpointer.save_if_due([setup.task])

    assert len(setup.store.saves) == 1


def test_a_state_that_another_profile_computed_is_not_saved_under_ours() -> None:
    setup = Setup(profile="2-other")
    setup.harness.commit(encode_record(PROMOTION))

    setup.save()

    assert setup.store.saves == []
    assert not setup.checkpointer.has_work([setup.task])


def test_a_task_that_is_not_restored_yet_has_nothing_to_save(setup: Setup) -> None:
    restoring = TaskHarness().task

    setup.checkpointer.save([restoring])

    assert setup.store.saves == []
