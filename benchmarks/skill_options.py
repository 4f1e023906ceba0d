"""Options of `python -m benchmarks.skill`."""

import argparse
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.variants import VARIANTS
from services.trainer.settings import TrainerSettings
from shared.core.errors import BadSetting
from shared.core.timestamps import parse_timestamp_ms


@dataclass(frozen=True, slots=True)
class SkillOptions:
    """The options, parsed; times in ms since 1970, None where they are not given."""

    klines: tuple[Path, ...]
    interval: str = "5m"
    train_symbols: tuple[str, ...] = ()  # empty: all of the folder
    score_symbols: tuple[str, ...] = ()
    train_from: int | None = None
    train_to: int | None = None  # exclusive, as `score_to`
    score_from: int | None = None
    score_to: int | None = None
    market_symbols: int = 40
    with_baskets: bool = True
    cold: bool = False
    costs: tuple[float, ...] = (0.0, 0.0002, 0.001)
    ablation: bool = False
    only: tuple[str, ...] = ()
    given: dict[str, str] = field(default_factory=dict)  # trainer settings of all variants
    by_symbol: bool = False
    json: Path | None = None


def parse_options(description: str, arguments: list[str] | None = None) -> SkillOptions:
    """Parse the command line; an invalid option ends the process with a message."""
    parsed = vars(_parser(description).parse_args(arguments))
    parsed["given"] = dict(parsed.pop("set"))
    parsed |= {name: tuple(parsed[name]) for name in ("klines", "only")}
    return SkillOptions(**parsed)


def _parser(description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.skill",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    folders = "folders of recorded klines, with those below them"
    add("--klines", type=Path, required=True, nargs="+", metavar="FOLDER", help=folders)
    add("--interval", default="5m", help="of the recordings to take (5m)")
    names = "comma-separated, or @FILE: one a line, # starts a comment (all of the folder)"
    add("--train-symbols", type=_symbols, default=(), metavar="A,B|@FILE", help=names)
    add("--score-symbols", type=_symbols, default=(), metavar="C,D|@FILE", help=names)
    moment = "ISO 8601 or ms"
    add("--train-from", type=_time_ms, metavar="TIME", help=f"{moment} (the oldest candle)")
    add("--train-to", type=_time_ms, metavar="TIME", help=f"{moment}, exclusive (3/4 of the span)")
    add("--score-from", type=_time_ms, metavar="TIME", help=f"{moment} (--train-to)")
    add(
        "--score-to", type=_time_ms, metavar="TIME", help=f"{moment}, exclusive (the newest candle)"
    )
    market = "symbols of the market's median: the most traded of the training span; 0: all (40)"
    add("--market-symbols", type=int, default=40, metavar="N", help=market)
    baskets = "leave the market's baskets out"
    add("--no-baskets", dest="with_baskets", action="store_false", help=baskets)
    add("--cold", action="store_true", help="all forecasts start to learn with the scored span")
    costs = "of a change of position in basis points, comma-separated (0,2,10)"
    add("--costs-bp", dest="costs", type=_costs, default=(0.0, 0.0002, 0.001), help=costs)
    add("--ablation", action="store_true", help="all variants, one row each")
    only = "this variant; may be repeated"
    add("--only", action="append", choices=VARIANTS, default=[], help=only)
    setting = "a trainer setting of all variants; may be repeated"
    add("--set", type=_setting, action="append", default=[], metavar="NAME=value", help=setting)
    add("--by-symbol", action="store_true", help="print the skill of each symbol as well")
    results = "write all results here; variants that the file has already are not measured again"
    add("--json", type=Path, metavar="FILE", help=results)
    return parser


def _symbols(text: str) -> tuple[str, ...]:
    lines = [text]
    if text.startswith("@"):
        try:
            lines = Path(text[1:]).read_text(encoding="utf-8").splitlines()
        except OSError as error:
            raise argparse.ArgumentTypeError(f"{text[1:]} cannot be read: {error}") from error
    names = [name.strip() for line in lines for name in line.partition("#")[0].split(",")]
    chosen = tuple(dict.fromkeys(name for name in names if name))
    if not chosen:
        raise argparse.ArgumentTypeError(f"{text!r} names no symbol")
    return chosen


def _time_ms(text: str) -> int:
    try:
        return parse_timestamp_ms(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _costs(text: str) -> tuple[float, ...]:
    costs = tuple(float(one) / 10_000 for one in text.split(","))
    if not all(0.0 <= one < 1.0 for one in costs):
        raise argparse.ArgumentTypeError(f"{text!r}: a cost is from 0 to below 10,000 bp")
    return costs


def _setting(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator or name.lower() not in TrainerSettings.model_fields:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not NAME=value of a trainer setting, such as EPOCHS=1"
        )
    return name, value


@dataclass(frozen=True, slots=True)
class Spans:
    """The spans of open times, [from, to) in ms."""

    train_from: int
    train_to: int
    score_from: int
    score_to: int

    def fields(self) -> dict[str, Any]:
        """Return the spans as plain values."""
        names = ("train_from", "train_to", "score_from", "score_to")
        return {f"{name}_ms": getattr(self, name) for name in names}


def resolve_spans(options: SkillOptions, first_ms: int, until_ms: int, step_ms: int) -> Spans:
    """Resolve the spans of candles that open from `first_ms` up to, not including, `until_ms`.

    Raises:
        BadSetting: a span is empty or has no candles, or the spans overlap.
    """
    candles = (until_ms - first_ms) // step_ms
    train_from = _or_default(options.train_from, first_ms)
    train_to = _or_default(options.train_to, first_ms + candles * 3 // 4 * step_ms)
    score_from = _or_default(options.score_from, train_to)
    score_to = _or_default(options.score_to, until_ms)
    for name, start, end in (
        ("train", train_from, train_to),
        ("score", score_from, score_to),
    ):
        if max(start, first_ms) >= min(end, until_ms):
            raise BadSetting(
                f"--{name}-from {start} to --{name}-to {end} has no candles: the folder's open"
                f" from {first_ms} up to {until_ms} (ms)"
            )
    if score_from < train_to and train_from < score_to:
        raise BadSetting(
            f"--score-from {score_from} to --score-to {score_to} overlaps the training span, from"
            f" {train_from} to {train_to} (ms): the network would be scored on what it has seen"
        )
    return Spans(train_from, train_to, score_from, score_to)


def _or_default(value: int | None, default: int) -> int:
    return default if value is None else value
