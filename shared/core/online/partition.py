"""The fold of a partition: (state, record) -> (state, prediction)."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from shared.core.online.model import LIVE, FoldContext, FoldOptions, Model
from shared.core.online.prediction import Prediction
from shared.core.online.state import SymbolState
from shared.core.online.symbol_step import amend_symbol, start_symbol, step_symbol
from shared.core.records import Amendment, Gap, Promotion, Record


@dataclass(frozen=True, slots=True)
class PartitionState:
    """A symbol group after the record before `next_offset`."""

    next_offset: int = 0
    promotion_offset: int | None = None
    model_version: str | None = None
    symbols: Mapping[str, SymbolState] = field(default_factory=dict)
    known_from: int = 0  # symbols without a record since this offset are not known here
    numeric_profile: str | None = (
        None  # of the last promotion that names one: no other predicts here
    )


def fold(
    group: PartitionState,
    record: Record,
    offset: int,
    model: Model | None,
    context: FoldContext,
    beside: FoldOptions = LIVE,
) -> tuple[PartitionState, Prediction | None]:
    """Fold one record of a symbol group.

    Args:
        group: the state before the record.
        record: what the log says.
        offset: the record's place in the log.
        model: for a promotion, the model it promotes; else the group's current model. None before the first
            promotion, and where another numeric profile predicts: sequences grow, nothing is learnt or predicted.
        context: the interval and the numeric profile.
        beside: what else to compute.

    Returns:
        The state after the record, and the prediction that a candle gives once its symbol has a full window.

    Raises:
        BadInput: the record contradicts the log before it; the caller sets it aside with `skip_record`.
    """
    if isinstance(record, Promotion):
        return _promoted(group, record, offset, model, context), None
    if isinstance(record, Gap):
        return skip_record(group, offset), None
    if not context.predicts(group.numeric_profile):
        model = None
    candle = record.candle if isinstance(record, Amendment) else record
    state = group.symbols.get(candle.symbol) or _first(candle.symbol, group, model, context)
    prediction = None
    if isinstance(record, Amendment):
        state = amend_symbol(state, candle, model, context)
    else:
        state, prediction = step_symbol(state, candle, offset, model, context, beside)
    symbols = {**group.symbols, candle.symbol: state}
    return replace(group, next_offset=offset + 1, symbols=symbols), prediction


def skip_record(group: PartitionState, offset: int) -> PartitionState:
    """Return the group after a record that changes no symbol."""
    return replace(group, next_offset=offset + 1)


def reject_promotion(group: PartitionState, promotion: Promotion, offset: int) -> PartitionState:
    """Return the group after a promotion whose bundle is unusable.

    The model before it stays, unless it was another profile's: what that profile computed ends at a promotion to
    another, so that two versions that judge bundles differently agree on where.
    """
    if group.numeric_profile is None or promotion.numeric_profile in (None, group.numeric_profile):
        return skip_record(group, offset)
    symbols = {
        name: SymbolState(name, sequence=state.sequence) for name, state in group.symbols.items()
    }
    return PartitionState(
        offset + 1,
        symbols=symbols,
        known_from=group.known_from,
        numeric_profile=promotion.numeric_profile,
    )


def _promoted(
    group: PartitionState,
    promotion: Promotion,
    offset: int,
    model: Model | None,
    context: FoldContext,
) -> PartitionState:
    """Every symbol keeps its sequence and nothing else: base weights, fresh optimiser, scores and calibration.

    So a symbol's state at a promotion follows from its last candles, which is what bounds a replay, and what lets
    another numeric profile go on from here.
    """
    profile = promotion.numeric_profile or group.numeric_profile
    if not context.predicts(profile):
        model = None  # only the profile that predicts needs it, or can judge it
    elif model is None:
        message = f"promotion of {promotion.model_version} without its model"
        raise ValueError(message)
    version = promotion.model_version
    symbols = {
        name: start_symbol(state, version, offset, model, context)
        for name, state in group.symbols.items()
    }
    return PartitionState(offset + 1, offset, version, symbols, group.known_from, profile)


def _first(
    symbol: str, group: PartitionState, model: Model | None, context: FoldContext
) -> SymbolState:
    state = SymbolState(symbol)
    if model is None or group.promotion_offset is None:
        return state
    return start_symbol(state, model.version, group.promotion_offset, model, context)
