"""Sequences of many symbols that are built when they are asked for, to save memory."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence

from shared.core.arrays import Float64s


class SequenceMapping(Mapping[str, Float64s]):
    """Sequences (n, columns) by symbol, oldest candle first.

    Each is built anew when it is asked for, so take one after the other; where the symbol's own
    columns are enough, look at `own`, which costs nothing.
    """

    @property
    @abstractmethod
    def own(self) -> Mapping[str, Float64s]:
        """The columns before the market's (n, 9) by symbol."""


def own_columns(sequences: Mapping[str, Float64s]) -> Mapping[str, Float64s]:
    """Return sequences, or their columns before the market's if the whole ones must be built."""
    return sequences.own if isinstance(sequences, SequenceMapping) else sequences


class SelectedSequences(SequenceMapping):
    """Some of the symbols of sequences."""

    def __init__(self, sequences: Mapping[str, Float64s], symbols: Sequence[str]) -> None:
        """Take the sequences and the symbols wanted of them."""
        self._sequences, self._symbols = sequences, symbols

    @property
    def own(self) -> Mapping[str, Float64s]:
        """The columns before the market's (n, 9), or the sequences if they are there anyway."""
        own = own_columns(self._sequences)
        return {symbol: own[symbol] for symbol in self._symbols}

    def __getitem__(self, symbol: str) -> Float64s:
        """Return a symbol's sequence (n, columns)."""
        if symbol not in self._symbols:
            raise KeyError(symbol)
        return self._sequences[symbol]

    def __iter__(self) -> Iterator[str]:
        """Yield the symbols in their order."""
        return iter(self._symbols)

    def __len__(self) -> int:
        """Return the number of symbols."""
        return len(self._symbols)
