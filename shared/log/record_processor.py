"""From the records of a symbol group to predictions and dead letters. Decides; whoever calls it does.

Live prediction, recovery and replay fold bytes with this, so they cannot differ.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from shared.adapters.kafka.reader import ConsumerRecord
from shared.adapters.schemas import DeadLetter, KlineCodec
from shared.core.errors import BadInput, Unavailable
from shared.core.online.model import REPLAY, FoldContext, FoldOptions, Model
from shared.core.online.partition import PartitionState, fold, reject_promotion, skip_record
from shared.core.online.prediction import Prediction
from shared.core.records import Amendment, Candle, Promotion, Record

Models = Callable[[str, str], Model]
"""(version, SHA-256 of its bundle) -> model; BadInput if it is none, Unavailable if it is not there yet."""


class UnknownSymbol(Exception):
    """Raised when a symbol comes up whose past may lie before what this group was rebuilt from."""


@dataclass(slots=True)
class BatchResult:
    """A group after a batch, and what the batch led to."""

    state: PartitionState
    predictions: list[Prediction] = field(default_factory=list)
    dead_letters: list[DeadLetter] = field(default_factory=list)
    changed: set[str] = field(default_factory=set)
    candles: int = 0

    def add(self, later: "BatchResult") -> None:
        """Take in what came after."""
        self.state = later.state
        self.predictions += later.predictions
        self.dead_letters += later.dead_letters
        self.changed |= later.changed
        self.candles += later.candles


@dataclass(frozen=True, slots=True)
class RecordProcessor:
    """Folds records of the klines topic."""

    topic: str
    codec: KlineCodec
    context: FoldContext
    models: Models

    def process(
        self,
        folded: BatchResult,
        record: ConsumerRecord,
        *,
        publishing: bool = False,
        beside: FoldOptions = REPLAY,
    ) -> None:
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
        step = self._step(folded.state, record, beside)
        if publishing:
            self._check_profile(step.state, record)
        folded.add(step)

    def model_for(self, group: PartitionState) -> Model | None:
        """Return the group's current model; None as well where another numeric profile predicts."""
        if group.model_version is None or not self.context.predicts(group.numeric_profile):
            return None
        return self.models(group.model_version, "")

    def _step(
        self, group: PartitionState, record: ConsumerRecord, beside: FoldOptions
    ) -> BatchResult:
        """Return what one record leads to."""
        value: Record | None = None
        try:
            value = self.codec.decode(record.value, record.partition)
            self._check_known(group, value)
            after, prediction = self._folded(group, value, record.offset, beside)
        except BadInput as error:
            return _refused(group, value, record, _dead_letter(self.topic, record, error))
        predictions = [] if prediction is None else [prediction]
        return BatchResult(
            after, predictions, [], _touched(value, after), isinstance(value, Candle)
        )

    def _folded(
        self, group: PartitionState, value: Record, offset: int, beside: FoldOptions
    ) -> tuple[PartitionState, Prediction | None]:
        model = (
            self._promoted(group, value) if isinstance(value, Promotion) else self.model_for(group)
        )
        return fold(group, value, offset, model, self.context, beside)

    def _promoted(self, group: PartitionState, promotion: Promotion) -> Model | None:
        if not self.context.predicts(promotion.numeric_profile or group.numeric_profile):
            return None
        return self.models(promotion.model_version, promotion.bundle_sha256)

    def _check_profile(self, group: PartitionState, record: ConsumerRecord) -> None:
        if self.context.predicts(group.numeric_profile):
            return
        message = (
            f"symbol group {record.partition}: from offset {record.offset} on numeric profile {group.numeric_profile}"
            f" predicts, this is {self.context.numeric_profile}: start the version that has it"
        )
        raise Unavailable(message)

    @staticmethod
    def _check_known(group: PartitionState, value: Record) -> None:
        symbol = _symbol(value)
        if symbol is not None and group.known_from > 0 and symbol not in group.symbols:
            raise UnknownSymbol(symbol)


def _refused(
    group: PartitionState, value: Record | None, record: ConsumerRecord, letter: DeadLetter
) -> BatchResult:
    if not isinstance(value, Promotion):
        return BatchResult(skip_record(group, record.offset), dead_letters=[letter])
    after = reject_promotion(group, value, record.offset)
    changed = {
        symbol for symbol, state in after.symbols.items() if state is not group.symbols[symbol]
    }
    return BatchResult(after, dead_letters=[letter], changed=changed)


def _touched(value: Record, group: PartitionState) -> set[str]:
    if isinstance(value, Promotion):
        return set(group.symbols)
    symbol = _symbol(value)
    return set() if symbol is None else {symbol}


def _symbol(value: Record) -> str | None:
    """Return the symbol whose state a record changes; None for one that changes all, or none."""
    if isinstance(value, Amendment):
        return value.candle.symbol
    return value.symbol if isinstance(value, Candle) else None


def _dead_letter(topic: str, record: ConsumerRecord, error: BadInput) -> DeadLetter:
    return DeadLetter(
        topic, record.partition, record.offset, record.key, record.value, error.reason, str(error)
    )
