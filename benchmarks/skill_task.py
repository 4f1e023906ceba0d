"""The candles of a `benchmarks.skill` run: what is trained on, and what is scored."""

import sys
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from benchmarks.recorded_market import Sequences, most_traded, read_folders
from benchmarks.skill_options import SkillOptions, Spans, resolve_spans
from services.trainer.data.baskets import make_baskets
from shared.core.arrays import Float64s
from shared.core.errors import BadSetting
from shared.core.evaluation.forecasts import HeldOutSpan, hold_out, learning_before
from shared.core.market import BasketDefinition
from shared.core.market_table import MarketSequences, tabulate_market
from shared.core.sequence import OPEN_TIME, SEQUENCE_LENGTH, count_before
from shared.core.timestamps import format_timestamp
from shared.core.topics import interval_ms


@dataclass(frozen=True, slots=True)
class TaskMarket:
    """What the market's move is measured over."""

    symbols: Collection[str]
    baskets: BasketDefinition | None


@dataclass(frozen=True, slots=True, eq=False)
class SkillTask:
    """The candles to train on, and those to score."""

    interval: str
    spans: Spans
    market: TaskMarket
    training: MarketSequences  # by symbol, of the training span
    held_out: list[HeldOutSpan]  # with their history, unless the run is cold
    fields: dict[str, Any]  # names the data, for the results

    @property
    def title(self) -> str:
        """The data in a few words."""
        s = self.spans
        times = [
            format_timestamp(one) for one in (s.train_from, s.train_to, s.score_from, s.score_to)
        ]
        trained, scored = (f"{start} to {end}" for start, end in (times[:2], times[2:]))
        cold = ", each forecast learning from there on" if self.fields["cold"] else ""
        return (
            f"trained on {len(self.training)} symbols, {trained};"
            f" scored on {len(self.held_out)}, {scored}{cold}"
        )

    def describe(self) -> Iterator[str]:
        """Yield lines that name the candles and the market."""
        fields, baskets = self.fields, self.market.baskets
        yield f"{fields['symbols']} symbols, {fields['candles']:,} candles; {self.title}"
        names = ", ".join(fields["market"])
        yield f"market: the median of the {len(fields['market'])} most traded: {names}"
        if baskets is not None:
            yield f"baskets: version {baskets.version}, {len(baskets.baskets)} of the training span"
        if fields["gaps"]:
            yield "gaps: " + ", ".join(f"{s} {count}" for s, count in fields["gaps"].items())


def load_task(options: SkillOptions) -> SkillTask:
    """Read the folder, measure the market, and split the candles by symbol and time.

    The market is chosen and its baskets are made from the training span alone; its move is then
    known at every candle.

    Raises:
        BadSetting: the folder lacks a symbol or the candles of a span, or the spans overlap.
        BadInput: a recording is invalid.
    """
    step_ms = interval_ms(options.interval)
    sequences = read_folders(options.klines, step_ms)
    train_names = _resolve(options.train_symbols, sequences, "--train-symbols")
    score_names = _resolve(options.score_symbols, sequences, "--score-symbols")
    spans = resolve_spans(options, *_time_span(sequences, step_ms), step_ms)
    known = _between(sequences, spans.train_from, spans.train_to)
    baskets = make_baskets(known, spans.train_to, step_ms) if options.with_baskets else None
    market = TaskMarket(most_traded(known, options.market_symbols), baskets)
    table = tabulate_market(sequences, market.baskets, step_ms, market.symbols)
    training = MarketSequences(
        {symbol: known[symbol] for symbol in train_names if symbol in known}, market.baskets, table
    )
    scored = MarketSequences({s: sequences[s] for s in score_names}, market.baskets, table)
    held_out = _hold_out(scored, spans, cold=options.cold)
    if not training or not held_out:
        raise BadSetting("the chosen symbols have no candles in the span to train on, or to score")
    fields = _describe(options, spans, sequences, market)
    fields |= {"trained": list(training), "scored": [one.symbol for one in held_out]}
    return SkillTask(options.interval, spans, market, training, held_out, fields)


def _resolve(names: Collection[str], sequences: Sequences, option: str) -> list[str]:
    missing = [name for name in names if name not in sequences]
    if missing:
        raise BadSetting(f"{option}: --klines has no candles of {', '.join(missing)}")
    return sorted(names or sequences)


def _time_span(sequences: Sequences, step_ms: int) -> tuple[int, int]:
    """Return the open times [from, until) of all candles in ms."""
    from_ms = min(int(one[0, OPEN_TIME]) for one in sequences.values())
    through_ms = max(int(one[-1, OPEN_TIME]) for one in sequences.values())
    return from_ms, through_ms + step_ms


def _between(sequences: Sequences, from_ms: int, until_ms: int) -> dict[str, Float64s]:
    """Select the candles of a span, by symbol; a symbol without any is left out."""
    cut = {
        symbol: one[count_before(one, from_ms) : count_before(one, until_ms)]
        for symbol, one in sequences.items()
    }
    return {symbol: one for symbol, one in cut.items() if len(one)}


def _hold_out(sequences: Sequences, spans: Spans, *, cold: bool) -> list[HeldOutSpan]:
    held_out = hold_out(
        sequences, spans.score_from, sys.maxsize, len(sequences), until_ms=spans.score_to
    )
    if not cold:
        return learning_before(held_out, sys.maxsize)
    kept = learning_before(held_out, SEQUENCE_LENGTH)
    return [replace(span, learns_before=False) for span in kept]


def _describe(
    options: SkillOptions, spans: Spans, sequences: Sequences, market: TaskMarket
) -> dict[str, Any]:
    """Name the data and the market."""
    step_ms = interval_ms(options.interval)
    baskets = market.baskets
    return {
        "klines": list(map(str, options.klines)),
        "interval": options.interval,
        **spans.fields(),
        "cold": options.cold,
        "symbols": len(sequences),
        "candles": sum(len(one) for one in sequences.values()),
        "gaps": {s: gaps for s, one in sequences.items() if (gaps := _count_gaps(one, step_ms))},
        "market": list(market.symbols),
        "baskets": None if baskets is None else baskets.version,
        "basket_symbols": None if baskets is None else [list(one) for one in baskets.baskets],
    }


def _count_gaps(sequence: Float64s, step_ms: int) -> int:
    return sum(after - before > step_ms for before, after in pairwise(sequence[:, OPEN_TIME]))
