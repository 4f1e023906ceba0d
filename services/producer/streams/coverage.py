"""Which shard carries each symbol, so that nobody asks for what was not missed. PURE.

While a connection is replaced, two carry its symbols. Nothing was missed as long as one of them
did all the time.
"""

from collections.abc import Collection, Hashable, Iterable, Mapping
from typing import Generic, TypeVar

Carrier = TypeVar("Carrier", bound=Hashable)


class Coverage(Generic[Carrier]):
    """The carriers of each symbol, the newest last."""

    def __init__(self) -> None:
        """Start with no symbol carried."""
        self._carriers: dict[str, list[Carrier]] = {}

    def __len__(self) -> int:
        """Return the number of symbols carried."""
        return len(self._carriers)

    def add(self, carrier: Carrier, symbols: Iterable[str]) -> tuple[list[str], list[str]]:
        """Add a carrier of symbols; return those that others carry too, and those that are new."""
        others: list[str] = []
        new: list[str] = []
        for symbol in symbols:
            carriers = self._carriers.setdefault(symbol, [])
            if carrier not in carriers:
                (others if carriers else new).append(symbol)
                carriers.append(carrier)
        return others, new

    def remove(
        self, carrier: Carrier, symbols: Iterable[str]
    ) -> tuple[list[str], Mapping[Carrier, list[str]]]:
        """Remove a carrier of symbols.

        Returns:
            The symbols that nothing carries any longer, and by carrier those that another one has
            to go on with.
        """
        lost: list[str] = []
        moved: dict[Carrier, list[str]] = {}
        for symbol in symbols:
            carriers = self._carriers.get(symbol, [])
            if carrier not in carriers:
                continue
            was_newest = carriers[-1] == carrier
            carriers.remove(carrier)
            if not carriers:
                del self._carriers[symbol]
                lost.append(symbol)
            elif was_newest:
                moved.setdefault(carriers[-1], []).append(symbol)
        return lost, moved

    def forget(self, symbols: Iterable[str]) -> None:
        """Forget symbols that are not wanted any longer."""
        for symbol in symbols:
            self._carriers.pop(symbol, None)

    def is_replaced(self, carrier: Carrier, symbols: Collection[str]) -> bool:
        """Return whether every one of the symbols has another carrier."""
        return all(
            any(each != carrier for each in self._carriers.get(symbol, ())) for symbol in symbols
        )
