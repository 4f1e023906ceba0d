"""From the records of a symbol group to predictions and dead letters. Decides; whoever calls it does.

Live prediction, recovery and replay fold bytes with this, so they cannot differ.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from shared.adapters.kafka.reader import Received
from shared.adapters.messages import DeadLetter, KlineCodec
from shared.core.candle import Amendment, Candle, Promotion, Record
from shared.core.errors import BadInput
from shared.core.fold import Deployment, GroupState, Model, fold, passed_over
from shared.core.prediction import Prediction

Models = Callable[[str, str], Model]
"""(version, SHA-256 of its bundle) -> model; BadInput if it is none, Unavailable if it is not there yet."""


class Unseen(Exception):
    """Raised when a symbol comes up whose past may lie before what this group was rebuilt from."""


@dataclass(slots=True)
class Folded:
    """A group after a batch, and what the batch led to."""

    group: GroupState
    predictions: list[Prediction] = field(default_factory=list)
    dead_letters: list[DeadLetter] = field(default_factory=list)
    changed: set[str] = field(default_factory=set)
    candles: int = 0


@dataclass(frozen=True, slots=True)
class Folder:
    """Folds records of the klines topic."""

    topic: str
    codec: KlineCodec
    deployment: Deployment
    models: Models

    def fold(self, folded: Folded, record: Received) -> None:
        """Fold one record into what the batch has led to so far; on an exception nothing of it is.

        Raises:
            Unavailable: its model is not there yet.
            Unseen: its symbol's past is not known here.
        """
        try:
            value = self.codec.decode(record.value, record.partition)
            self._check_known(folded.group, value)
            group, prediction = self._folded(folded.group, value, record.offset)
        except BadInput as error:
            folded.dead_letters.append(_dead_letter(self.topic, record, error))
            folded.group = passed_over(folded.group, record.offset)
            return
        folded.group = group
        folded.candles += isinstance(value, Candle)
        folded.changed.update(_touched(value, group))
        if prediction is not None:
            folded.predictions.append(prediction)

    def model_of(self, group: GroupState) -> Model | None:
        """Return the group's current model."""
        return None if group.model_version is None else self.models(group.model_version, "")

    def _folded(self, group: GroupState, value: Record, offset: int) -> tuple[GroupState, Prediction | None]:
        if isinstance(value, Promotion):
            model: Model | None = self.models(value.model_version, value.bundle_sha256)
        else:
            model = self.model_of(group)
        return fold(group, value, offset, model, self.deployment)

    @staticmethod
    def _check_known(group: GroupState, value: Record) -> None:
        symbol = _symbol(value)
        if symbol is not None and group.known_from > 0 and symbol not in group.symbols:
            raise Unseen(symbol)


def _touched(value: Record, group: GroupState) -> set[str]:
    if isinstance(value, Promotion):
        return set(group.symbols)
    symbol = _symbol(value)
    return set() if symbol is None else {symbol}


def _symbol(value: Record) -> str | None:
    """Return the symbol whose state a record changes; None for one that changes all, or none."""
    if isinstance(value, Amendment):
        return value.candle.symbol
    return value.symbol if isinstance(value, Candle) else None


def _dead_letter(topic: str, record: Received, error: BadInput) -> DeadLetter:
    return DeadLetter(topic, record.partition, record.offset, record.key, record.value, error.reason, str(error))
