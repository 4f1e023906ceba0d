"""What a stream's silence about a symbol proves. PURE: it has no clock and does no I/O.

Each symbol is carried by one of several connections. As long as it is carried without interruption,
on one connection or handed over from one to the next, and its connection tells of other symbols, a
symbol that is not heard of has not moved.
"""

from dataclasses import dataclass, field
from typing import Final

NO_SPELL: Final = 0  # of a price that was not heard on a connection


@dataclass(frozen=True, slots=True)
class StreamCarries:
    """A connection carries these symbols from now on.

    `continues` says that another one did until now, so that nothing was missed.
    """

    connection: int
    symbols: tuple[str, ...]
    continues: bool


@dataclass(frozen=True, slots=True)
class StreamInterrupted:
    """No connection carries these symbols any longer: silence until now proves nothing."""

    symbols: tuple[str, ...]


@dataclass(slots=True)
class _Link:
    newest_event_ms: int = 0
    unheard: list["_Spell"] = field(default_factory=list)  # nothing was heard since they began


@dataclass(slots=True)
class _Spell:
    """A time in which a symbol is carried without interruption; `from_ms` is its first candle."""

    number: int
    connection: _Link
    from_ms: int | None = None


class CarriedSymbols:
    """The spell of each symbol that is carried now. A spell has a number, which prices keep."""

    def __init__(self) -> None:
        """Start with no symbol carried."""
        self._spells: dict[str, _Spell] = {}
        self._connections: dict[int, _Link] = {}
        self._last_number = NO_SPELL

    def take(self, event: StreamCarries | StreamInterrupted) -> None:
        """Take what the stream told of its connections."""
        if isinstance(event, StreamInterrupted):
            for symbol in event.symbols:
                self._spells.pop(symbol, None)
            return
        connection = self._connection(event.connection)
        for symbol in event.symbols:
            spell = self._spells.get(symbol)
            if spell is not None and event.continues:
                spell.connection = connection
            else:
                self._last_number += 1
                self._spells[symbol] = new = _Spell(self._last_number, connection)
                connection.unheard.append(new)

    def hear(self, symbol: str, open_ms: int, event_ms: int) -> int:
        """Take the time of a message about a symbol; return the number of the symbol's spell."""
        spell = self._spells.get(symbol)
        if spell is None:
            return NO_SPELL
        connection = spell.connection
        connection.newest_event_ms = max(connection.newest_event_ms, event_ms)
        if connection.unheard:
            for each in connection.unheard:
                each.from_ms = open_ms
            connection.unheard.clear()
        return spell.number

    def spell_at(self, symbol: str, open_ms: int) -> int:
        """Return the number of a symbol's spell if a candle is of it, else `NO_SPELL`."""
        spell = self._spells.get(symbol)
        if spell is None or spell.from_ms is None or open_ms < spell.from_ms:
            return NO_SPELL
        return spell.number

    def proven_ms(self, symbol: str, number: int) -> int | None:
        """Return until when a symbol's silence is proven since its spell with that number.

        Returns:
            None if that spell has ended.
        """
        spell = self._spells.get(symbol)
        is_same = spell is not None and number == spell.number
        return spell.connection.newest_event_ms if spell is not None and is_same else None

    def _connection(self, number: int) -> _Link:
        """Return the connection with a number; forget those that carry nothing any longer."""
        if number not in self._connections:
            in_use = {id(spell.connection) for spell in self._spells.values()}
            self._connections = {n: c for n, c in self._connections.items() if id(c) in in_use}
            self._connections[number] = _Link()
        return self._connections[number]
