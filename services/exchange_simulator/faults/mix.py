"""A seeded mix of faults, drawn one after another, such as a bad day of an exchange has them."""

import random
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from services.exchange_simulator.faults.script import FaultMix, ScriptedFault

Draw = Callable[[random.Random, Sequence[str]], dict[str, object]]


def _some(rng: random.Random, symbols: Sequence[str]) -> tuple[str, ...]:
    return tuple(rng.sample(symbols, rng.randint(1, max(1, min(20, len(symbols) // 4)))))


def _brief(low_s: float, high_s: float) -> Draw:
    """Return the draw of a fault that concerns everybody, for a few real seconds."""
    return lambda rng, _: {"for_s": round(rng.uniform(low_s, high_s), 2)}


def _spoilt(least: int, most: int, **parameters: object) -> Draw:
    """Return the draw of a fault that spoils some answers within a few real seconds.

    A client that probes an exchange in trouble now and then would meet them for minutes otherwise.
    """
    return lambda rng, _: {"times": rng.randint(least, most), "for_s": 4.0, **parameters}


def _of_some(**parameters: object) -> Draw:
    """Return the draw of a fault that concerns some symbols, for one to four candles."""
    return lambda rng, symbols: {
        "symbols": _some(rng, symbols), "for_candles": rng.randint(1, 4), **parameters
    }  # fmt: skip


def _rows(**parameters: object) -> Draw:
    """Return the draw of a fault in the rows of REST, for one to ten real seconds."""
    return lambda rng, symbols: {
        "symbols": _some(rng, symbols), "for_s": round(rng.uniform(1, 10), 2), **parameters
    }  # fmt: skip


CHANGES_TRUTH: Final = ("hole", "off-grid", "halt")  # each begins with a candle
DRAWS: Final[dict[str, Draw]] = {
    "hole": _of_some(),
    "off-grid": _of_some(seconds=14.789),
    "halt": _of_some(),
    "rest-down": _brief(0.5, 4),
    "rest-delay": lambda rng, _: {"for_s": 5.0, "seconds": round(rng.uniform(0.1, 2), 2)},
    "rest-stall": _spoilt(1, 3, endpoint="klines"),
    "rest-trickle": _spoilt(1, 3, seconds=1.0),
    "rest-cut": _spoilt(1, 20),
    "rest-refusal": lambda rng, _: {
        "for_s": 3.0,
        "status": rng.choice((403, 418, 429, 500, 502, 503)),
        "value": "2",
    },
    "rest-text": _spoilt(1, 10),
    "rest-deep": _spoilt(1, 3),
    "rest-long-number": _spoilt(1, 3),
    "rest-answer": _spoilt(1, 5, value={}),
    "rows-start-ignored": _rows(),
    "rows-stale": _rows(seconds=900.0),
    "rows-missing": _rows(count=2),
    "rows-unreadable": _rows(),
    "rows-floats": _rows(),
    "rows-exponents": _rows(),
    "rows-descending": _rows(),
    "rows-shuffled": _rows(),
    "rows-twice": _rows(),
    "rows-contradicting": _rows(),
    "rows-short": _rows(),
    "rows-not-requested": _rows(),
    "info-empty": _brief(1, 5),
    "info-missing": lambda rng, _: {"for_s": 5.0, "count": rng.randint(1, 5)},
    "time-ahead": lambda rng, _: {"for_s": 3.0, "seconds": rng.choice((90.0, 86_400.0))},
    "stream-drop": lambda _, __: {"for_s": 0.2},
    "stream-flap": lambda _, __: {"for_s": 5.0, "seconds": 0.5},
    "stream-silence": lambda _, __: {"for_s": 12.0},
    "stream-refusal": lambda rng, _: {"for_s": 3.0, "status": rng.choice((403, 429, 503))},
    "stream-shutdown": lambda _, __: {"for_s": 0.2, "seconds": 1.0},
    "stream-garbage": lambda _, __: {"for_s": 0.2, "count": 20},
    "kline-lost": _of_some(),
    "kline-silent": _of_some(),
    "kline-late": _of_some(seconds=1.0),
    "kline-twice": _of_some(seconds=0.3),
    "kline-provisional": _of_some(seconds=0.3),
    "kline-wrong": _of_some(),
    "kline-early-close": _of_some(seconds=20.0),
    "kline-future-close": _of_some(seconds=600.0),
    "kline-event-ahead": _of_some(seconds=86_400.0),
    "kline-floats": _of_some(),
    "kline-exponents": _of_some(),
    "kline-unreadable": _of_some(),
    "kline-other-interval": _of_some(),
}


def draw_mix(mix: FaultMix | None, symbols: Sequence[str]) -> Iterator[ScriptedFault]:
    """Yield the faults of a mix; the same seed and symbols give the same faults."""
    if mix is None:
        return
    rng = random.Random(mix.seed)
    # What changes the truth comes more often: a run of an hour must have some of it.
    kinds, at = mix.kinds or (*DRAWS, *CHANGES_TRUTH * 3), mix.begin
    while at < mix.begin + mix.candles:
        kind = rng.choice(kinds)
        drawn = DRAWS[kind](rng, symbols)
        begins = float(int(at)) if kind in CHANGES_TRUTH else round(at, 3)
        yield ScriptedFault.model_validate({"kind": kind, "at": begins, **drawn})
        at += rng.expovariate(1 / mix.every_candles)
