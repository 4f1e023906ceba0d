"""How many candles a training has memory for."""

from typing import Final

from services.trainer.settings import TrainerSettings
from shared.core.features.registry import feature_set
from shared.core.sequence import OPEN_TIME
from shared.log.archived_sequences import ArchivedSequences

_MB: Final = 1_000_000
# Bytes, measured (docs/explanation/sizing.md). Of the process without candles: TensorFlow and the
# other libraries, and what a scoring keeps of its symbols.
_PROCESS: Final = 1_000 * _MB
_FEATURE: Final = 4  # of a candle's row, as the network takes it
# Of a candle, its row aside: its numbers as the log has them (87), its label and that upside down,
# and the windows that end with it, in their order and in that of an epoch's draw.
_CANDLE: Final = 136


def candles_in_memory(settings: TrainerSettings) -> int:
    """Return how many candles of all symbols together TRAINING_MEMORY_MB has room for."""
    of_a_candle = _CANDLE + _FEATURE * feature_set(settings.feature_set).columns
    return (settings.training_memory_mb * _MB - _PROCESS) // of_a_candle


def with_one_span(sequences: ArchivedSequences, total: int, step_ms: int) -> ArchivedSequences:
    """Return sequences that share a total, all from the same time on; as they are if all fitted.

    Args:
        sequences: the newest candles of each symbol.
        total: how many candles of all symbols together were kept.
        step_ms: the interval.
    """
    own, share = sequences.own, total // max(len(sequences), 1)
    if max(map(len, own.values()), default=0) < share:
        return sequences
    newest_ms = max(int(candles[-1, OPEN_TIME]) for candles in own.values())
    return sequences.since(newest_ms - (share - 1) * step_ms)
