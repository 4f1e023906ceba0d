"""Decide which symbols go on which socket. PURE.

A symbol stays where it is, so that following more or fewer symbols touches no other. New ones go to
the socket with the fewest, and to further sockets once all are full. Sockets that are hardly needed
any longer are emptied: their symbols are carried by others first.
"""

from collections.abc import Collection, Sequence
from heapq import heapify, heappop, heappush
from math import ceil
from typing import Final

# Of the capacity: below, one socket fewer is enough, and stays so if some symbols are added.
SPARE_SHARE: Final = 0.8


def assign_symbols(
    wanted: Collection[str], current: Sequence[Collection[str]], capacity: int
) -> list[list[str]]:
    """Return the symbols of each socket: first those there are, then further ones.

    Args:
        wanted: every symbol to carry.
        current: the symbols of each socket there is; no symbol is on two.
        capacity: the largest number of symbols of a socket.

    Returns:
        An empty list for a socket that is no longer needed.
    """
    wanted = dict.fromkeys(wanted)
    kept = [[each for each in symbols if each in wanted] for symbols in current]
    drained = _drain(kept, len(wanted), capacity)
    usable = [number for number in range(len(kept)) if number not in drained]
    while len(usable) < ceil(len(wanted) / capacity):
        usable.append(len(kept))
        kept.append([])
    known = {symbol for symbols in kept for symbol in symbols}
    _spread([each for each in wanted if each not in known], kept, usable)
    return kept


def _drain(kept: list[list[str]], total: int, capacity: int) -> set[int]:
    """Empty the smallest sockets while one fewer is enough; return their numbers."""
    by_size = sorted((number for number in range(len(kept))), key=lambda number: len(kept[number]))
    drained = set()
    while len(by_size) > 1 and total <= SPARE_SHARE * capacity * (len(by_size) - 1):
        kept[by_size[0]].clear()
        drained.add(by_size.pop(0))
    return drained


def _spread(symbols: Sequence[str], kept: list[list[str]], usable: Sequence[int]) -> None:
    """Add each symbol to the usable socket with the fewest."""
    loads = [(len(kept[number]), number) for number in usable]
    heapify(loads)
    for symbol in symbols:
        load, number = heappop(loads)
        kept[number].append(symbol)
        heappush(loads, (load + 1, number))
