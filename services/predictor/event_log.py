"""Log what matters about a committed batch; its predictions are on their topic."""

import logging
from typing import Final

from shared.log.record_processor import BatchResult

log = logging.getLogger(__name__)

_LONGEST_REASON: Final = 200  # characters of a dead letter's message, which may quote the record


def log_events(partition: int, result: BatchResult) -> None:
    """Log the dead letters of a committed batch, and symbols that were reset."""
    for rejected in result.dead_letters:
        place = f"{partition}/{rejected.offset}"
        log.warning("dead letter: klines %s: %s", place, rejected.message[:_LONGEST_REASON])
    for each in result.predictions:
        if each.was_reset:
            log.warning("%s: a step was not finite: back at the model's weights", each.symbol)
