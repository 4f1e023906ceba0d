"""Tells whether the log still fills with the past of the symbols that are followed."""

from collections.abc import Collection, Iterable, Mapping
from math import inf
from typing import Final

from services.trainer.data.preparation import NotEnoughCandles
from services.trainer.settings import TrainerSettings
from shared.core.topics import interval_ms
from shared.log.control_topic import ControlTopic
from shared.log.positions import read_positions

_LATE_CANDLES: Final = 2  # behind the newest symbol
_MOST_BEHIND: Final = 0.1  # of the symbols: some are halted, or have just been listed


class BackfillWatch:
    """Compares the positions of the followed symbols in the log."""

    def __init__(self, settings: TrainerSettings) -> None:
        """Take the settings; connect at the first look."""
        self._settings = settings
        self._control = ControlTopic(settings.kafka, settings.topics, "trainer")

    def check(self) -> None:
        """Check that a training would see the past of nearly all symbols.

        Raises:
            NotEnoughCandles: the back-fill goes on.
            Unavailable: Kafka does not answer.
        """
        s = self._settings
        members = self._control.refresh().members
        positions = read_positions(s.kafka, s.topics, s.codec, members)
        behind = symbols_behind(members, positions, _LATE_CANDLES * interval_ms(s.interval))
        if len(behind) > _MOST_BEHIND * len(members):
            raise NotEnoughCandles(
                f"the back-fill of {len(behind)} of {len(members)} symbols goes on"
            )


def symbols_behind(
    members: Iterable[str], next_open_times_ms: Mapping[str, int], late_ms: int
) -> Collection[str]:
    """Return the symbols that are further behind the newest one than `late_ms`, or have no candle.

    Args:
        members: the symbols that are followed.
        next_open_times_ms: by symbol, open time of the candle that must come next.
        late_ms: milliseconds behind the newest symbol that are no reason to wait.
    """
    late_before_ms = max(next_open_times_ms.values(), default=0) - late_ms
    return [s for s in members if next_open_times_ms.get(s, -inf) < late_before_ms]
