"""Fold the records of one partition: (state, record) -> change."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from shared.core.online.candle_order import check_begins
from shared.core.online.context import LIVE, FoldContext, FoldOptions
from shared.core.online.model import Model
from shared.core.online.prediction import Prediction
from shared.core.online.start import start_symbol
from shared.core.online.state import SymbolState
from shared.core.online.symbol_history import correct_symbol
from shared.core.online.symbol_step import step_symbol
from shared.core.records import Amendment, Candle, Fill, Gap, Promotion, Record, SymbolStatus


@dataclass(frozen=True, slots=True)
class PartitionChange:
    """The effect of one record on a partition: only what differs from the state before it."""

    next_offset: int
    promotion_offset: int | None
    model_version: str | None
    numeric_profile: str | None
    symbols: Mapping[str, SymbolState] = field(default_factory=dict)  # those that changed
    prediction: Prediction | None = None


@dataclass(slots=True)
class PartitionState:
    """The state of a partition after the record before `next_offset`.

    `fold` only reads it. It belongs to one owner, who changes it with `apply`: copying the map of
    symbols for every candle would cost more than many of the candles themselves.
    """

    next_offset: int = 0
    promotion_offset: int | None = None
    model_version: str | None = None
    symbols: dict[str, SymbolState] = field(default_factory=dict)
    known_from: int = 0  # symbols without a record since this offset are not known here
    numeric_profile: str | None = None  # of the last promotion; no other profile predicts here

    def apply(self, change: PartitionChange) -> None:
        """Make this the state after a change that was folded from it."""
        self.next_offset = change.next_offset
        self.promotion_offset = change.promotion_offset
        self.model_version = change.model_version
        self.numeric_profile = change.numeric_profile
        self.symbols.update(change.symbols)

    def copy(self) -> "PartitionState":
        """Return a state with its own map; the symbol states, which never change, are shared."""
        return replace(self, symbols=dict(self.symbols))


def fold(
    state: PartitionState,
    record: Record,
    offset: int,
    model: Model | None,
    context: FoldContext,
    options: FoldOptions = LIVE,
) -> PartitionChange:
    """Fold one record of a partition.

    Args:
        state: the state before the record; it stays as it is.
        record: the record.
        offset: the record's offset in the partition.
        model: for a promotion, the model it promotes; else the partition's current model. None
            before the first promotion, and where another numeric profile predicts: sequences then
            grow, but nothing is learnt or predicted.
        context: the interval and the numeric profile.
        options: what to compute besides the prediction.

    Returns:
        What the record changes. It holds a prediction if the record is a candle and its symbol has
        a full window.

    Raises:
        BadInput: the record contradicts the log before it; the caller goes on with the change that
            `reject_record` gives.
    """
    # 1. A promotion restarts every symbol, at one offset, so that a switch of models has one place
    #    in the log. A gap needs no state: the next candle's open time shows it.
    match record:
        case Promotion():
            return _promote(state, record, offset, model, context)
        case SymbolStatus() if record.resets_symbol:
            empty = SymbolState(record.symbol, begins_ms=record.time_ms)
            return _change(state, offset, {record.symbol: empty}, None)
        case Gap() | SymbolStatus():
            return skip_record(state, offset)
    # 2. Where another numeric profile predicts, this one only remembers candles: it takes over at
    #    a promotion, where a state follows from its candles alone.
    if not context.predicts(state.numeric_profile):
        model = None
    # 3. A candle or a correction changes the state of its own symbol and of no other.
    candle = record if isinstance(record, Candle) else record.candle
    before = state.symbols.get(candle.symbol) or SymbolState(candle.symbol)
    if isinstance(record, Amendment | Fill):
        after, prediction = correct_symbol(before, record, model, context), None
    else:
        if not len(before.sequence):
            before = _begin(before, candle, state, model, context)
        after, prediction = step_symbol(before, candle, offset, model, context, options)
    return _change(state, offset, {candle.symbol: after}, prediction)


def skip_record(state: PartitionState, offset: int) -> PartitionChange:
    """Return the change of a record that changes no symbol: the offset alone moves on."""
    return _change(state, offset, {}, None)


def reject_record(state: PartitionState, record: Record | None, offset: int) -> PartitionChange:
    """Return the change of a record that does not decode (None) or that cannot be folded.

    Only a promotion whose bundle is unusable may change more than the offset. The model before it
    stays, unless it belonged to another numeric profile. What that profile computed ends at a
    promotion to another, so that two versions that judge bundles differently agree on where.
    """
    if not isinstance(record, Promotion) or state.numeric_profile in (None, record.numeric_profile):
        return skip_record(state, offset)
    symbols = {
        name: SymbolState(name, sequence=symbol.sequence, begins_ms=symbol.begins_ms)
        for name, symbol in state.symbols.items()
    }
    return PartitionChange(offset + 1, None, None, record.numeric_profile, symbols)


def _change(
    state: PartitionState,
    offset: int,
    symbols: Mapping[str, SymbolState],
    prediction: Prediction | None,
) -> PartitionChange:
    return PartitionChange(
        offset + 1,
        state.promotion_offset,
        state.model_version,
        state.numeric_profile,
        symbols,
        prediction,
    )


def _promote(
    state: PartitionState,
    promotion: Promotion,
    offset: int,
    model: Model | None,
    context: FoldContext,
) -> PartitionChange:
    """Start every symbol anew: see start_symbol."""
    profile = promotion.numeric_profile
    if not context.predicts(profile):
        model = None  # only the profile that predicts needs it, or can judge it
    elif model is None:
        raise ValueError(f"promotion of {promotion.model_version} without its model")
    version = promotion.model_version
    # One that has ended takes its start only if it begins anew: until then it takes no memory.
    symbols = {
        name: start_symbol(symbol, version, offset, model, context)
        for name, symbol in state.symbols.items()
        if len(symbol.sequence)
    }
    return PartitionChange(offset + 1, offset, version, profile, symbols)


def _begin(
    empty: SymbolState,
    candle: Candle,
    state: PartitionState,
    model: Model | None,
    context: FoldContext,
) -> SymbolState:
    """Return the state of a symbol before its first candle, or the first since it ended.

    Raises:
        BadInput: the candle is from before the symbol's end, or its listing.
    """
    check_begins(empty, candle)
    empty = SymbolState(candle.symbol)
    if model is None or state.promotion_offset is None:
        return empty
    return start_symbol(empty, model.version, state.promotion_offset, model, context)
