"""Fold the archive into what each symbol starts from when the model is promoted."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import cpu_count

from shared.adapters.bundle_codec import MAX_BUNDLE_BYTES
from shared.adapters.worker_pool import report_progress, run_in_workers
from shared.core.arrays import Float64s
from shared.core.model.card import Bundle
from shared.core.online.context import FoldContext
from shared.core.online.model import Model
from shared.core.online.start import build_start, continue_evidence
from shared.core.online.state_codec import encode_state
from shared.core.sequence_mapping import own_columns
from shared.reporting.progress import track_count

log = logging.getLogger(__name__)

_MOST_BYTES = MAX_BUNDLE_BYTES * 9 // 10  # the rest is left to the card and the weights


def build_starts(
    bundle: Bundle,
    champion: Bundle | None,
    sequences: Mapping[str, Float64s],
    candles: int,
    context: FoldContext,
    check_stop: Callable[[], None] = lambda: None,
) -> dict[str, bytes]:
    """Fold each symbol's history and return the states that symbols start from, as bytes.

    Args:
        bundle: the model, without starts.
        champion: the model in force, whose evidence the symbols keep.
        sequences: all candles (n, columns) by symbol, oldest first.
        candles: the newest ones of a symbol to fold; 0: no symbol has a start.
        context: the interval and the numeric profile.
        check_stop: called now and then; raises to stop.
    """
    if candles == 0:
        return {}
    symbols = sorted(sequences)
    # Built when their turn comes. Copies: a view would keep the rest of its sequence in memory.
    jobs = (
        partial(
            _encode_start,
            bundle,
            _with_own_start(champion, symbol),
            symbol,
            sequences[symbol][-candles:].copy(),
            context,
        )
        for symbol in symbols
    )
    total = sum(min(len(own), candles) for own in own_columns(sequences).values())
    with track_count("folding the symbols' starts", total) as advance:
        counter = _Counter(advance, check_stop)
        found = list(run_in_workers(cpu_count(), jobs, counter))
    return _within_limit({s: each for s, each in zip(symbols, found, strict=True) if each})


def _with_own_start(champion: Bundle | None, symbol: str) -> Bundle | None:
    """Return the champion with the start of one symbol: each job decodes all that it is given."""
    if champion is None:
        return None
    own = {name: start for name, start in champion.starts.items() if name == symbol}
    return replace(champion, starts=own)


@dataclass(frozen=True, slots=True)
class _EncodedStart:
    whole: bytes
    lean: bytes  # without the weights that it has learnt, most of its size


def _encode_start(
    bundle: Bundle, champion: Bundle | None, symbol: str, candles: Float64s, context: FoldContext
) -> _EncodedStart | None:
    """Return a symbol's start; run in a process of its own."""
    start = build_start(symbol, candles, Model(bundle), context)
    report_progress(len(candles))
    if start is None:
        return None
    if champion is not None:
        evidence = continue_evidence(symbol, candles, Model(champion), context)
        start = start if evidence is None else start.replace(evidence=evidence)
    lean = start.replace(learner=None, head=None, pending=None)
    return _EncodedStart(encode_state(start), encode_state(lean))


def _within_limit(starts: Mapping[str, _EncodedStart]) -> dict[str, bytes]:
    """Return starts that fit into a bundle: where not all do, the last ones without weights.

    Such a symbol keeps its calibration, its intervals and its evidence, and learns from the model's
    weights on.
    """
    kept = {symbol: each.lean for symbol, each in starts.items()}
    size, whole = sum(map(len, kept.values())), 0
    for symbol, each in starts.items():
        size += len(each.whole) - len(each.lean)
        if size > _MOST_BYTES:
            break
        kept[symbol], whole = each.whole, whole + 1
    if whole < len(starts):
        log.warning(
            "a bundle holds %d bytes: of %d symbols, %d begin with the model's weights at the"
            " promotion and keep their calibration; let the head learn alone (LEARNS=head), its"
            " starts are small",
            _MOST_BYTES,
            len(starts),
            len(starts) - whole,
        )
    return kept


class _Counter:
    """Turns a running total into steps of a progress bar."""

    def __init__(self, advance: Callable[[int], None], check_stop: Callable[[], None]) -> None:
        self._advance, self._check_stop, self._done = advance, check_stop, 0

    def __call__(self, done: int) -> None:
        self._check_stop()
        self._advance(done - self._done)
        self._done = done
