"""What every state store must do, the fake of the other tests included."""

import uuid
from collections.abc import Iterator
from dataclasses import replace

import pytest

from services.predictor.ports import StateStore
from shared.adapters.redis_state_store import RedisStateStore
from shared.core.online.partition import PartitionState
from shared.core.online.state_digest import state_digest
from tests.support.builders import a_partition_state
from tests.support.fakes import FakeStateStore
from tests.support.states import load_state

PROFILE = "1-abc"


@pytest.fixture(params=["fake", pytest.param("redis", marks=pytest.mark.integration)])
def states(request: pytest.FixtureRequest) -> Iterator[StateStore]:
    """Run every test on each store; the fake must behave like the others."""
    if request.param == "fake":
        yield FakeStateStore()
        return
    store = RedisStateStore(request.getfixturevalue("redis_url"), uuid.uuid4().hex)
    yield store
    store.close()


def digests(state: PartitionState) -> dict[str, str]:
    return {name: state_digest(symbol) for name, symbol in state.symbols.items()}


def test_what_was_saved_is_loaded(states: StateStore) -> None:
    state = a_partition_state()

    states.save(3, PROFILE, state, state.symbols, None)
    saved = load_state(states, 3, PROFILE)

    assert saved is not None
    assert (saved.next_offset, saved.promotion_offset, saved.model_version) == (
        state.next_offset,
        state.promotion_offset,
        state.model_version,
    )
    assert digests(saved) == digests(state)


def test_nothing_saved_is_nothing_loaded(states: StateStore) -> None:
    assert load_state(states, 0, PROFILE) is None


def test_states_of_another_profile_are_not_used(states: StateStore) -> None:
    state = a_partition_state()
    states.save(0, PROFILE, state, state.symbols, None)

    assert load_state(states, 0, "2-def") is None


def test_partitions_are_kept_apart(states: StateStore) -> None:
    state = a_partition_state()
    states.save(0, PROFILE, state, state.symbols, None)

    assert load_state(states, 1, PROFILE) is None


def test_an_older_state_never_replaces_a_newer_one(states: StateStore) -> None:
    older, newer = a_partition_state(18), a_partition_state(20)
    states.save(0, PROFILE, newer, newer.symbols, None)

    states.save(0, PROFILE, older, older.symbols, None)
    saved = load_state(states, 0, PROFILE)

    assert saved is not None
    assert saved.next_offset == newer.next_offset
    assert state_digest(saved.symbols["BTCUSDT"]) == state_digest(newer.symbols["BTCUSDT"])


def test_saving_twice_is_saving_once(states: StateStore) -> None:
    state = a_partition_state()

    states.save(0, PROFILE, state, state.symbols, None)
    states.save(0, PROFILE, state, state.symbols, None)

    saved = load_state(states, 0, PROFILE)
    assert saved is not None
    assert saved.next_offset == state.next_offset


def test_a_change_is_stored_on_top_of_its_base_offset(states: StateStore) -> None:
    older, newer = a_partition_state(18), a_partition_state(20)
    states.save(0, PROFILE, older, older.symbols, None)

    assert states.save(0, PROFILE, newer, newer.symbols, older.next_offset)
    assert states.save(
        0, PROFILE, newer, newer.symbols, older.next_offset
    )  # once more, after a lost reply

    saved = load_state(states, 0, PROFILE)
    assert saved is not None
    assert saved.next_offset == newer.next_offset


@pytest.mark.parametrize("there", [None, 17])
def test_a_change_on_top_of_another_offset_is_refused_and_leaves_no_half_of_it(
    states: StateStore, there: int | None
) -> None:
    older, newer = a_partition_state(18), a_partition_state(20)
    first = None if there is None else a_partition_state(there)
    if first is not None:
        states.save(0, PROFILE, first, first.symbols, None)

    assert not states.save(0, PROFILE, newer, ["BTCUSDT"], older.next_offset)

    # A store with transactions may keep the state before; Redis has overwritten a part of it.
    saved = load_state(states, 0, PROFILE)
    assert saved is None or (first is not None and digests(saved) == digests(first))
    assert states.save(0, PROFILE, newer, newer.symbols, None)
    saved = load_state(states, 0, PROFILE)
    assert saved is not None
    assert digests(saved) == digests(newer)


def test_a_state_restored_from_a_backup_is_not_used(
    states: StateStore,
) -> None:
    older, newer = a_partition_state(18), a_partition_state(20)
    states.save(0, PROFILE, older, older.symbols, None)

    states.save(0, PROFILE, newer, ["BTCUSDT"], None)

    assert load_state(states, 0, PROFILE) is None  # ETHUSDT is missing from the index


def test_a_state_ahead_of_its_applied_offset_makes_the_partition_unusable(
    states: StateStore,
) -> None:
    state = a_partition_state()
    states.save(0, PROFILE, state, state.symbols, None)

    states.save(1, PROFILE, replace(state, next_offset=state.next_offset + 5), ["BTCUSDT"], None)

    # A store may keep the symbols of a partition apart from those of the others.
    saved = load_state(states, 0, PROFILE)
    assert saved is None or digests(saved) == digests(state)
