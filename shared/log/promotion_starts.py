"""Compute the starts of a promotion's symbols ahead of it, some symbols at a time."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final, Self

from shared.adapters.kafka.reader import ConsumerRecord
from shared.core.errors import BadInput
from shared.core.online.context import FoldContext
from shared.core.online.model import Model
from shared.core.online.partition import PartitionState
from shared.core.online.start import prepare_start
from shared.core.online.state import SymbolState
from shared.core.records import Promotion
from shared.log.record_processor import RecordProcessor

SYMBOLS_AT_ONCE: Final = 8  # some 10 ms with a start that training has just left
_PROMOTION: Final = b'"type":"promotion"'


@dataclass(slots=True)
class PromotionStarts:
    """Computes the starts of a promotion's symbols; the promotion finds them afterwards.

    Folding thousands of symbols from their starts takes seconds, in which nothing else is done if
    it is one step. No value depends on whether this was done.
    """

    offset: int  # of the promotion
    _model: Model
    _context: FoldContext
    _symbols: Iterator[SymbolState] | None = None

    @classmethod
    def of_record(
        cls, processor: RecordProcessor, state: PartitionState, record: ConsumerRecord
    ) -> Self | None:
        """Return the starts of a record; None if there is nothing to prepare for it.

        Args:
            processor: processes the record afterwards.
            state: the state at some record before it.
            record: the next record.

        Raises:
            Unavailable: its model is not there yet.
        """
        if not state.symbols or _PROMOTION not in (record.value or b""):
            return None
        try:
            value = processor.codec.decode(record.value, record.partition)
            model = processor.model_for_record(state, value)
        except BadInput:  # a dead letter
            return None
        if not isinstance(value, Promotion) or model is None:
            return None
        return cls(record.offset, model, processor.context)

    def prepare_next(self, state: PartitionState) -> bool:
        """Compute the starts of some more symbols.

        Args:
            state: the state before the promotion, the same each time.

        Returns:
            Whether there were any more.
        """
        if self._symbols is None:
            self._symbols = (each for each in state.symbols.values() if len(each.sequence))
        symbols = tuple(islice(self._symbols, SYMBOLS_AT_ONCE))
        for symbol in symbols:
            prepare_start(symbol, self._model.version, self.offset, self._model, self._context)
        return bool(symbols)
