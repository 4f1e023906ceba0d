"""From the records of a symbol group to predictions and dead letters. Decides; whoever calls it does.

Live prediction, recovery and replay fold bytes with this, so they cannot differ.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from shared.adapters.kafka.reader import Received
from shared.adapters.messages import DeadLetter, KlineCodec
from shared.core.candle import Amendment, Candle, Promotion, Record
from shared.core.errors import BadInput, Unavailable
from shared.core.fold import REPLAY, Beside, Deployment, GroupState, Model, fold, passed_over, refused
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

    def add(self, later: "Folded") -> None:
        """Take in what came after."""
        self.group = later.group
        self.predictions += later.predictions
        self.dead_letters += later.dead_letters
        self.changed |= later.changed
        self.candles += later.candles


@dataclass(frozen=True, slots=True)
class Folder:
    """Folds records of the klines topic."""

    topic: str
    codec: KlineCodec
    deployment: Deployment
    models: Models

    def fold(self, folded: Folded, record: Received, *, publishing: bool = False, beside: Beside = REPLAY) -> None:
        """Fold one record into what the batch has led to so far; on an exception nothing of it is.

        Args:
            folded: what the batch has led to; the record is added.
            record: the next record of the group.
            publishing: what comes of it is to be published, so this profile must be the one that predicts from here.
            beside: what to compute beside its prediction.

        Raises:
            Unavailable: its model is not there yet, or another numeric profile has to publish from here on.
            Unseen: its symbol's past is not known here.
        """
        step = self._step(folded.group, record, beside)
        if publishing:
            self._check_profile(step.group, record)
        folded.add(step)

    def model_of(self, group: GroupState) -> Model | None:
        """Return the group's current model; None as well where another numeric profile predicts."""
        if group.model_version is None or not self.deployment.predicts(group.numeric_profile):
            return None
        return self.models(group.model_version, "")

    def _step(self, group: GroupState, record: Received, beside: Beside) -> Folded:
        """Return what one record leads to."""
        value: Record | None = None
        try:
            value = self.codec.decode(record.value, record.partition)
            self._check_known(group, value)
            after, prediction = self._folded(group, value, record.offset, beside)
        except BadInput as error:
            return _refused(group, value, record, _dead_letter(self.topic, record, error))
        predictions = [] if prediction is None else [prediction]
        return Folded(after, predictions, [], _touched(value, after), isinstance(value, Candle))

    def _folded(
        self, group: GroupState, value: Record, offset: int, beside: Beside
    ) -> tuple[GroupState, Prediction | None]:
        model = self._promoted(group, value) if isinstance(value, Promotion) else self.model_of(group)
        return fold(group, value, offset, model, self.deployment, beside)

    def _promoted(self, group: GroupState, promotion: Promotion) -> Model | None:
        if not self.deployment.predicts(promotion.numeric_profile or group.numeric_profile):
            return None
        return self.models(promotion.model_version, promotion.bundle_sha256)

    def _check_profile(self, group: GroupState, record: Received) -> None:
        if self.deployment.predicts(group.numeric_profile):
            return
        message = (
            f"symbol group {record.partition}: from offset {record.offset} on numeric profile {group.numeric_profile}"
            f" predicts, this is {self.deployment.numeric_profile}: start the version that has it"
        )
        raise Unavailable(message)

    @staticmethod
    def _check_known(group: GroupState, value: Record) -> None:
        symbol = _symbol(value)
        if symbol is not None and group.known_from > 0 and symbol not in group.symbols:
            raise Unseen(symbol)


def _refused(group: GroupState, value: Record | None, record: Received, letter: DeadLetter) -> Folded:
    if not isinstance(value, Promotion):
        return Folded(passed_over(group, record.offset), dead_letters=[letter])
    after = refused(group, value, record.offset)
    changed = {symbol for symbol, state in after.symbols.items() if state is not group.symbols[symbol]}
    return Folded(after, dead_letters=[letter], changed=changed)


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
