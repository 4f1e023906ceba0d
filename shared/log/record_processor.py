"""Turn the records of a partition into predictions and dead letters.

Live prediction, recovery and replay all process records here, so they cannot differ.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from shared.adapters.kafka.reader import ConsumerRecord
from shared.adapters.schemas.dead_letters import DeadLetter
from shared.adapters.schemas.klines import KlineCodec
from shared.core.errors import BadInput, Blocked
from shared.core.online.context import REPLAY, FoldContext, FoldOptions
from shared.core.online.model import Model
from shared.core.online.partition import PartitionChange, PartitionState, fold, reject_record
from shared.core.online.prediction import Prediction
from shared.core.records import Amendment, Candle, Fill, Promotion, Record
from shared.log.model_cache import REJECTED_BY_ALL

Models = Callable[[str, str], Model]
"""(version, SHA-256 of its bundle, "" for any) -> model.

BadInput: it is unusable. Blocked: it is not there yet. Unavailable: Kafka does not answer.
"""


class UnknownSymbol(Exception):
    """Raised for a symbol whose past may lie before the offset this state was rebuilt from."""


@dataclass(slots=True)
class BatchResult:
    """The state after the records of a batch, and the records it writes.

    It works on a copy of the state it starts from, made once. If the transaction aborts, drop the
    result: the state before the batch is as it was.
    """

    state: PartitionState
    predictions: list[Prediction] = field(default_factory=list)
    dead_letters: list[DeadLetter] = field(default_factory=list)
    changed: set[str] = field(default_factory=set)  # symbols
    ended: set[str] = field(default_factory=set)  # symbols: of these no past matters any more
    candles: int = 0

    def __post_init__(self) -> None:
        """Copy the state: the caller keeps its own."""
        self.state = self.state.copy()

    def add(self, change: PartitionChange) -> None:
        """Apply the change of one record."""
        self.state.apply(change)
        self.changed.update(change.symbols)
        self.ended.update(name for name, one in change.symbols.items() if not len(one.sequence))
        if change.prediction is not None:
            self.predictions.append(change.prediction)

    def clear_output(self) -> None:
        """Clear predictions and dead letters; continue from the same state."""
        self.predictions, self.dead_letters = [], []
        self.changed, self.ended, self.candles = set(), set(), 0


@dataclass(frozen=True, slots=True)
class RecordProcessor:
    """Decodes the records of the klines topic and folds them."""

    topic: str
    codec: KlineCodec
    context: FoldContext
    models: Models

    def process(
        self,
        result: BatchResult,
        record: ConsumerRecord,
        *,
        publishing: bool = False,
        options: FoldOptions = REPLAY,
    ) -> None:
        """Process one record and add its effect to the result; if this raises, nothing is added.

        Args:
            result: the result of the batch so far.
            record: the next record of the partition.
            publishing: whether the result is to be published; this numeric profile must then be
                the one that predicts.
            options: what to compute besides the prediction.

        Raises:
            Blocked: its model is not there yet, or another numeric profile predicts from here.
            Unavailable: Kafka does not answer.
            UnknownSymbol: its symbol's past is not known here.
        """
        value = self.codec.try_decode(record.value, record.partition)
        self.process_decoded(result, record, value, publishing=publishing, options=options)

    def process_decoded(
        self,
        result: BatchResult,
        record: ConsumerRecord,
        value: Record | BadInput,
        *,
        publishing: bool = False,
        options: FoldOptions = REPLAY,
    ) -> None:
        """Process a record that the codec has decoded to this value: see `process`."""
        dead_letters = []
        try:
            if isinstance(value, BadInput):
                raise value
            _check_known(result.state, value)
            model = self.model_for_record(result.state, value)
            change = fold(result.state, value, record.offset, model, self.context, options)
        except BadInput as error:
            # A record that cannot be folded is set aside, so that one record never stops the rest.
            known = None if isinstance(value, BadInput) else value
            change = reject_record(result.state, known, record.offset)
            place = (self.topic, record.partition, record.offset)
            dead_letters = [DeadLetter(*place, record.key, record.value, error.reason, str(error))]
        if publishing:
            self._check_profile(change, record)
        result.add(change)
        result.dead_letters += dead_letters
        result.candles += isinstance(value, Candle) and not dead_letters

    def model_for(self, state: PartitionState) -> Model | None:
        """Return the partition's current model; None without one or where it must not predict."""
        if state.model_version is None or not self.context.predicts(state.numeric_profile):
            return None
        return self.models(state.model_version, "")

    def model_for_record(self, state: PartitionState, value: Record) -> Model | None:
        """Return the model to fold a record with: of a promotion, the one that it promotes.

        Raises:
            BadInput: there is no such model, or it is unusable.
            Unavailable: it is not there yet.
        """
        if not isinstance(value, Promotion):
            return self.model_for(state)
        is_ours = self.context.predicts(value.numeric_profile)
        try:
            model = self.models(value.model_version, value.bundle_sha256)
        except (BadInput, Blocked) as error:
            is_rejected = isinstance(error, BadInput) and error.reason in REJECTED_BY_ALL
            if is_ours or is_rejected:
                raise
            return None  # another version of the program may well read it
        return model if is_ours else None

    def _check_profile(self, change: PartitionChange, record: ConsumerRecord) -> None:
        if self.context.predicts(change.numeric_profile):
            return
        raise Blocked(
            f"symbol group {record.partition}: from offset {record.offset} on numeric profile"
            f" {change.numeric_profile} predicts, this is {self.context.numeric_profile}: start the"
            " version that has it"
        )


def _check_known(state: PartitionState, value: Record) -> None:
    """Check that the past of the symbol whose state a record changes is known here."""
    candle = value.candle if isinstance(value, Amendment | Fill) else value
    if isinstance(candle, Candle) and state.known_from > 0 and candle.symbol not in state.symbols:
        raise UnknownSymbol(candle.symbol)
