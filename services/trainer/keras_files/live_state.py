"""Reads what a symbol's weights have become: its state at the end of the log."""

from shared.adapters.env_settings import ServiceSettings
from shared.adapters.kafka.reader import ConsumerRecord, Reader
from shared.core.errors import BadInput, Unknown
from shared.core.online.context import FoldContext, FoldOptions
from shared.core.online.model import Model
from shared.core.online.partition import PartitionState
from shared.core.online.state import SymbolState
from shared.core.records import Amendment, Candle, Fill, Promotion, SymbolStatus
from shared.core.topics import partition_for
from shared.log.model_cache import LoadBundle, ModelCache
from shared.log.record_processor import BatchResult, RecordProcessor
from shared.reporting.progress import track_count


def read_live_state(
    settings: ServiceSettings, symbol: str, load: LoadBundle
) -> tuple[SymbolState, Model]:
    """Fold a symbol's records again; return its state at the end of the log, and its model.

    Raises:
        Unknown: the log has no candle of the symbol, or none of its promotions is of this numeric
            profile.
        Incompatible: this machine does not compute the golden bits.
        Unavailable: Kafka does not answer.
    """
    topic = settings.topics.klines
    context = FoldContext.of_this_machine(settings.interval)
    processor = RecordProcessor(topic, settings.codec, context, ModelCache(load))
    partition = _fold_symbol(processor, settings, symbol)
    state, model = partition.symbols.get(symbol), processor.model_for(partition)
    if state is None or model is None:
        raise Unknown(
            f"{symbol} has no weights: it takes candles on {topic} and a promotion by a version of"
            f" numeric profile {context.numeric_profile} (`ulstm models promote`)"
        )
    return state, model


def _fold_symbol(
    processor: RecordProcessor, settings: ServiceSettings, symbol: str
) -> PartitionState:
    """Fold the records of a symbol's partition without the other symbols' candles."""
    batch, options = BatchResult(PartitionState()), FoldOptions(jacobian=True, digest=False)
    number = partition_for(symbol, settings.symbol_groups)
    with (
        Reader(settings.kafka, settings.topics.klines) as klines,
        track_count("folding", klines.ends(number)[1]) as advance,
    ):
        for block in klines.read(number, 0):
            for record in block:
                if _concerns(symbol, record, processor):
                    processor.process(batch, record, options=options)
            advance(len(block))
            batch.clear_output()
    return batch.state


def _concerns(symbol: str, record: ConsumerRecord, processor: RecordProcessor) -> bool:
    """Return whether a record may change the symbol's state: no symbol depends on another."""
    try:
        value = processor.codec.decode(record.value, record.partition)
    except BadInput:
        return False
    candle = value.candle if isinstance(value, Amendment | Fill) else value
    is_own = isinstance(candle, Candle | SymbolStatus) and candle.symbol == symbol
    return isinstance(value, Promotion) or is_own
