"""Where a symbol begins at a promotion: as training left it, and what has come since on top."""

from dataclasses import replace
from typing import Final
from weakref import WeakKeyDictionary

from shared.core.arrays import Float64s, read_only64
from shared.core.online.checkpoints import with_checkpoint
from shared.core.online.context import REPLAY, FoldContext
from shared.core.online.evidence import Evidence
from shared.core.online.model import Model
from shared.core.online.state import SymbolState, no_checkpoints
from shared.core.online.symbol_history import fold_features, fold_intervals
from shared.core.online.symbol_step import advance_symbol
from shared.core.sequence import count_before, row_candle

START_CANDLES: Final = 8_640  # of history that a start is folded from: a month of 5m
# By the state before the promotion, and gone with it.
_PREPARED: Final[WeakKeyDictionary[SymbolState, tuple[tuple[str, int], SymbolState]]] = (
    WeakKeyDictionary()
)
_NO_VERSION: Final = ""  # a version is the digest of a bundle, which the starts are part of


def build_start(
    symbol: str, candles: Float64s, model: Model, context: FoldContext
) -> SymbolState | None:
    """Fold a symbol's history as if the model had predicted it all along.

    Args:
        symbol: the symbol.
        candles: (n, columns), oldest first.
        model: the model; its own starts are not looked at.
        context: the interval and the numeric profile.

    Returns:
        What the symbol has learnt after the newest candle, with that candle alone as its sequence;
        None if there are fewer candles than a window.
    """
    state = SymbolState(symbol, features=fold_features(SymbolState(symbol), model, context))
    for values in candles.tolist():
        state, _ = advance_symbol(state, row_candle(symbol, values), model, context, REPLAY)
    if state.pending is None:
        return None
    return state.replace(
        sequence=read_only64(candles[-1:].copy()),
        pending=replace(state.pending, model_version=_NO_VERSION),
        checkpoints=no_checkpoints(),
        jacobian=None,
        head_inputs=None,
    )


def continue_evidence(
    symbol: str, candles: Float64s, champion: Model, context: FoldContext
) -> Evidence | None:
    """Return the evidence of a symbol as the champion has it after the newest candle, live.

    A challenger goes on with it: the wealth then bets on whichever model was in force, each time
    before the outcome, so that it holds however often models are trained and chosen.

    Args:
        symbol: the symbol.
        candles: (n, columns), oldest first.
        champion: the model in force.
        context: the interval and the numeric profile.

    Returns:
        None if the symbol has no start in the champion, or one that is newer than the candles.
    """
    start = champion.starts.get(symbol)
    state = SymbolState(symbol, sequence=candles)
    if start is None or not _is_before(start, state):
        return None
    return _resume(start, state, champion, context).evidence


def start_symbol(
    state: SymbolState, version: str, offset: int, model: Model | None, context: FoldContext
) -> SymbolState:
    """Return a symbol's state after a promotion, computed now unless it was prepared.

    It follows from the candles that are kept and from the bundle alone: that bounds a replay, and
    it lets another numeric profile take over here.

    Args:
        state: the state before the promotion.
        version: the model version promoted.
        offset: the promotion's offset.
        model: the model promoted; None where another numeric profile predicts.
        context: the interval and the numeric profile.
    """
    place, prepared = _PREPARED.get(state, (None, None))
    if prepared is not None and model is not None and place == (version, offset):
        return prepared
    return _start(state, version, offset, model, context)


def prepare_start(
    state: SymbolState, version: str, offset: int, model: Model, context: FoldContext
) -> None:
    """Compute a symbol's state after a promotion ahead: `start_symbol` then returns it at once."""
    _PREPARED[state] = (version, offset), _start(state, version, offset, model, context)


def _start(
    state: SymbolState, version: str, offset: int, model: Model | None, context: FoldContext
) -> SymbolState:
    fresh = SymbolState(
        state.symbol, sequence=state.sequence, model_version=version, promotion_offset=offset
    )
    if model is None:
        return fresh
    start = model.starts.get(state.symbol)
    # A start that knows candles which are not in this log yet would look ahead of it.
    if start is None or not _is_before(start, state):
        fresh = fresh.replace(
            features=fold_features(fresh, model, context),
            intervals=fold_intervals(fresh, model, context),
        )
        return with_checkpoint(fresh)
    return _resume(start, fresh, model, context)


def _resume(
    start: SymbolState, fresh: SymbolState, model: Model, context: FoldContext
) -> SymbolState:
    """Continue a start with the candles that came after it, without publishing anything."""
    # 1. The candles up to the start's newest are in its statistics already.
    last_ms = start.last_open_time_ms or 0
    known = count_before(fresh.sequence, last_ms + 1)
    state = with_checkpoint(start).replace(
        sequence=read_only64(fresh.sequence[:known].copy()),
        model_version=fresh.model_version,
        promotion_offset=fresh.promotion_offset,
    )
    # 2. Its pending prediction was made from its newest candle: the next one is no outcome of it
    #    where the log does not keep that candle.
    if state.last_open_time_ms != last_ms:
        state = state.replace(pending=None)
    # 3. What has come since is learnt from as it would have been live.
    for values in fresh.sequence[known:].tolist():
        candle = row_candle(state.symbol, values)
        state, _ = advance_symbol(state, candle, model, context, REPLAY)
    pending = state.pending and replace(state.pending, model_version=model.version)
    return state.replace(pending=pending)


def _is_before(start: SymbolState, state: SymbolState) -> bool:
    newest_ms = state.last_open_time_ms
    return newest_ms is None or (start.last_open_time_ms or 0) <= newest_ms
