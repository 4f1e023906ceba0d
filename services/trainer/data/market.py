"""Chooses the baskets of a training, and fills in the market's moves that the log lacks."""

import logging
from collections.abc import Mapping
from typing import Final

from services.trainer.data.baskets import make_baskets
from services.trainer.data.preparation import split_sequences
from services.trainer.settings import TrainerSettings
from shared.core.arrays import Float64s
from shared.core.market import BasketDefinition
from shared.core.market_table import MarketSequences, with_market
from shared.core.sequence_mapping import own_columns
from shared.core.topics import interval_ms

log = logging.getLogger(__name__)

_DAY_MS: Final = 86_400_000


def add_market(
    settings: TrainerSettings,
    sequences: Mapping[str, Float64s],
    in_force: BasketDefinition | None,
) -> MarketSequences:
    """Return the wanted sequences with the market's moves of one definition of baskets.

    A move is the log's where it is of that definition. Else it is recomputed from the closes of the
    moment over all symbols of the archive: the log's own moves before the first definition, and
    those of an earlier one, know nothing of these baskets.

    Args:
        settings: of the training.
        sequences: of all symbols of the archive.
        in_force: the newest definition in the log; None if there is none.
    """
    until_ms = split_sequences(settings, sequences).training_until_ms
    is_kept = is_usable(in_force, until_ms, settings.baskets_max_age_days)
    baskets = in_force if is_kept else make_training_baskets(settings, sequences)
    step_ms = interval_ms(settings.interval)
    filled = with_market(sequences, settings.wanted_symbols, baskets, step_ms)
    log.info(
        "market: baskets %s, %.0f %% of the moves recomputed",
        "none" if baskets is None else f"{baskets.version} ({len(baskets.baskets)})",
        100 * filled.recomputed_share(),
    )
    return filled


def make_training_baskets(
    settings: TrainerSettings, sequences: Mapping[str, Float64s]
) -> BasketDefinition | None:
    """Make baskets of the training span of sequences by symbol; None if they are too few."""
    if not sequences:
        return None
    until_ms = split_sequences(settings, sequences).training_until_ms
    return make_baskets(own_columns(sequences), until_ms, interval_ms(settings.interval))


def is_usable(baskets: BasketDefinition | None, until_ms: int, max_age_days: float) -> bool:
    """Return whether a training may take a definition.

    Args:
        baskets: the definition; None if there is none.
        until_ms: the end of the training span: a definition of later candles looks ahead.
        max_age_days: the longest time from its candles to that end.
    """
    if baskets is None:
        return False
    return 0 <= until_ms - baskets.made_through_ms <= max_age_days * _DAY_MS
