"""Symbols on sockets: none lost, none twice, none moved without need."""

from math import ceil

from hypothesis import given
from hypothesis import strategies as st

from services.producer.streams.assignment import assign_symbols

CAPACITY = 10
symbols = st.sets(st.integers(0, 60).map(str), max_size=60)


@given(st.lists(symbols, min_size=1, max_size=8))
def test_every_symbol_is_on_one_socket_and_none_is_too_full(changes: list[set[str]]) -> None:
    sockets: list[list[str]] = []
    for wanted in changes:
        before, sockets = sockets, assign_symbols(wanted, sockets, CAPACITY)

        assert len(sockets) >= len(before)
        assert sorted(each for socket in sockets for each in socket) == sorted(wanted)
        assert all(len(socket) <= CAPACITY for socket in sockets)
        used = sum(map(bool, sockets))
        assert ceil(len(wanted) / CAPACITY) <= used
        assert not wanted or len(wanted) > 0.8 * CAPACITY * (used - 1)
        sockets = [socket for socket in sockets if socket]


@given(symbols, symbols)
def test_following_more_symbols_moves_none(wanted: set[str], more: set[str]) -> None:
    before = [each for each in assign_symbols(wanted, [], CAPACITY) if each]

    after = assign_symbols(wanted | more, before, CAPACITY)

    for old, new in zip(before, after, strict=False):
        assert not new or new[: len(old)] == old


def test_three_thousand_symbols_are_spread_evenly_over_three_sockets() -> None:
    names = [f"S{number}USDT" for number in range(3000)]

    assert [len(each) for each in assign_symbols(names, [], 1000)] == [1000, 1000, 1000]
    assert [len(each) for each in assign_symbols(names[:1001], [], 1000)] == [501, 500]


def test_a_socket_that_is_hardly_needed_is_emptied() -> None:
    full, half = [f"A{n}" for n in range(7)], [f"B{n}" for n in range(2)]

    assert assign_symbols([*full, "B1"], [full, half], CAPACITY) == [[*full, "B1"], []]
    assert assign_symbols([], [full], CAPACITY) == [[]]
