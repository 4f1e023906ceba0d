"""Process records that no model predicts from: a symbol's candles are only remembered."""

from collections.abc import Sequence

from shared.adapters.kafka.reader import ConsumerRecord
from shared.core.errors import BadInput
from shared.core.online.sequence_collector import SequenceCollector
from shared.core.records import Amendment, Candle, Fill, Promotion, Record, SymbolStatus
from shared.log.record_processor import BatchResult, RecordProcessor


class UnpredictedRecords:
    """Processes the records before a promotion, as RecordProcessor does and several times faster.

    For whoever drops the dead letters: here they are none.
    """

    def __init__(self, processor: RecordProcessor) -> None:
        """Begin with nothing collected; `processor` does the rest of the records."""
        self._processor, self._collector = processor, SequenceCollector()

    def process(
        self, result: BatchResult, records: Sequence[ConsumerRecord]
    ) -> Sequence[ConsumerRecord]:
        """Process records up to the next promotion; return the rest, at most all of them.

        The sequences of `result` are complete where a rest is returned, and after `finish`.

        Raises:
            Unavailable: the model cannot be read now.
        """
        for at, record in enumerate(records):
            if not self._can_collect(result) or not self._process(result, record):
                self.finish(result)
                return records[at:]
        return ()

    def finish(self, result: BatchResult) -> None:
        """Move the collected candles into the state."""
        self._collector.flush_all(result.state)

    def _can_collect(self, result: BatchResult) -> bool:
        # Where symbols may be unknown, the processor must look at each candle.
        is_known = result.state.known_from == 0
        return is_known and self._processor.model_for(result.state) is None

    def _process(self, result: BatchResult, record: ConsumerRecord) -> bool:
        """Process a record; return False for a promotion, which is not processed."""
        try:
            value = self._processor.codec.decode(record.value, record.partition)
            if isinstance(value, Promotion):
                return False
            if isinstance(value, Candle):
                self._collector.add(result.state, value)
            else:
                self._process_other(result, record, value)
        except BadInput:  # it changes no symbol
            pass
        result.state.next_offset = record.offset + 1
        return True

    def _process_other(self, result: BatchResult, record: ConsumerRecord, value: Record) -> None:
        """Process a correction, a gap or a status on top of its symbol's collected candles."""
        if isinstance(value, Amendment | Fill):
            self._collector.flush(result.state, value.candle.symbol)
        elif isinstance(value, SymbolStatus):
            self._collector.flush(result.state, value.symbol)
        self._processor.process(result, record)
