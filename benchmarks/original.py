"""Check the original's own files: the fold predicts what Keras does; what that is worth.

python -m benchmarks.original --original FOLDER --klines FOLDER                  # against Keras
python -m benchmarks.original --original FOLDER --klines FOLDER --month 2025-03  # and its skill

The folder of the original holds `model.keras`, `ranges.csv` and `BTCUSDT-expected.jsonl`:
`tests/original` is a small one, `tests/original/klines` has its candles.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.market import recorded_sequences
from benchmarks.original_skill import print_skill
from services.trainer.keras_files.transfer import read_with_scalers
from services.trainer.settings import TrainerSettings
from shared.adapters.bundle_codec import decode_bundle, encode_bundle
from shared.core.arrays import Float64s
from shared.core.errors import BadInput, BadSetting
from shared.core.evaluation.backtest import run_backtest, without_online_learning
from shared.core.evaluation.forecasts import HeldOutSpan
from shared.core.model.card import Bundle
from shared.core.online.context import FoldContext
from shared.core.sequence import OPEN_TIME

SYMBOL: Final = "BTCUSDT"
_FILES: Final = ("model.keras", "ranges.csv", f"{SYMBOL}-expected.jsonl")
# Float32 is rounded elsewhere in Keras; each step carries the difference on.
FROZEN_TOLERANCE: Final = 1e-6
UPDATING_TOLERANCE: Final = 1e-5
UPDATING_CANDLES: Final = 50


@dataclass(frozen=True, slots=True, eq=False)
class KerasOutputs:
    """What stock Keras predicts with the original's weights, arrays (n,), oldest candle first."""

    open_time_ms: Float64s  # of the newest candle in the window
    frozen: Float64s
    updating: Float64s


@dataclass(frozen=True, slots=True)
class KerasDifference:
    """How far the fold's predictions are from those of Keras, as fractions."""

    forecast: str
    candles: int
    largest: float
    tolerance: float | None  # None: only reported


def main() -> None:
    """Print the differences and, if a month is given, the skill; exit with 1 if one is too large.

    Raises:
        SystemExit: a folder or file is missing.
    """
    arguments = _parser().parse_args()
    _check_folders(arguments.original, arguments.klines)
    console = Console(width=None if sys.stdout.isatty() else 150)
    try:
        bundle, sequences = load_original(arguments.original), recorded_sequences(arguments.klines)
        expected = read_keras_outputs(arguments.original / _FILES[2])
        found = list(find_differences(bundle, sequences, expected))
        console.print(_differences_table(found))
        if arguments.month is not None:
            bundle = _with_rate(bundle, arguments.online_rate)
            print_skill(bundle, sequences, arguments.month, console)
    except (BadInput, BadSetting, ValueError) as error:
        sys.exit(str(error))
    if any(one.tolerance is not None and one.largest > one.tolerance for one in found):
        sys.exit("the fold does not predict what Keras does")


def load_original(folder: Path) -> Bundle:
    """Load the original's weights and scalers, as `ulstm models import --scalers` does.

    Raises:
        BadInput: a file is not what it should be.
    """
    settings = TrainerSettings.from_env({"PRESET": "original"})
    card, weights = read_with_scalers(settings, folder / _FILES[0], folder / _FILES[1], now_ms=0)
    return decode_bundle("original", encode_bundle(card, weights))


def read_keras_outputs(file: Path) -> KerasOutputs:
    """Read the lines `{"t": ms, "base": frozen, "online": updating, ...}` of a file.

    Raises:
        ValueError: a line is none of these.
    """
    lines = file.read_text(encoding="utf-8").splitlines()
    try:
        rows = [
            [float(json.loads(line)[name]) for name in ("t", "base", "online")] for line in lines
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{file} has a line without t, base and online ({error})") from error
    return KerasOutputs(*np.array(rows).T)


def find_differences(
    bundle: Bundle, sequences: Mapping[str, Float64s], expected: KerasOutputs
) -> Iterator[KerasDifference]:
    """Fold the candles that Keras predicts at, and yield the largest differences.

    Raises:
        ValueError: candles are missing.
    """
    span, context = _expected_span(sequences, expected), FoldContext.of_this_machine("5m")
    frozen = run_backtest(without_online_learning(bundle), context, span).rows["predicted_change"]
    updating = run_backtest(bundle, context, span).rows["predicted_change"]
    yield _difference("frozen", frozen, expected.frozen, FROZEN_TOLERANCE)
    first = slice(UPDATING_CANDLES)
    yield _difference("updating", updating[first], expected.updating[first], UPDATING_TOLERANCE)
    if len(updating) > UPDATING_CANDLES:
        yield _difference("updating, all", updating, expected.updating, None)


def _difference(
    forecast: str, ours: Float64s, theirs: Float64s, tolerance: float | None
) -> KerasDifference:
    return KerasDifference(forecast, len(ours), float(np.abs(ours - theirs).max()), tolerance)


def _expected_span(sequences: Mapping[str, Float64s], expected: KerasOutputs) -> HeldOutSpan:
    sequence = sequences.get(SYMBOL, np.empty((0, 1)))
    first, end = np.searchsorted(
        sequence[:, OPEN_TIME], [expected.open_time_ms[0], expected.open_time_ms[-1] + 1]
    )
    if sequence[first:end, OPEN_TIME].tolist() != expected.open_time_ms.tolist():
        raise ValueError(
            f"the klines lack candles of {SYMBOL} that Keras predicts at:"
            f" {len(expected.open_time_ms)} from {expected.open_time_ms[0]:.0f} ms on"
        )
    return HeldOutSpan(SYMBOL, sequence[:end], int(first))


def _differences_table(found: list[KerasDifference]) -> Table:
    table = Table("forecast", title=f"{SYMBOL}: the fold against Keras, predicted changes")
    for column in ("candles", "largest difference", "at most"):
        table.add_column(column, justify="right")
    for one in found:
        limit = "" if one.tolerance is None else f"{one.tolerance:.0e}"
        table.add_row(one.forecast, str(one.candles), f"{one.largest:.1e}", limit)
    return table


def _with_rate(bundle: Bundle, rate: float) -> Bundle:
    optimiser = replace(bundle.card.optimiser, rate=rate)
    return replace(bundle, card=replace(bundle.card, optimiser=optimiser))


def _check_folders(original: Path, klines: Path) -> None:
    for path in (original, klines, *(original / name for name in _FILES)):
        if not path.exists():
            sys.exit(
                f"{path} does not exist: --original names a folder with {', '.join(_FILES)},"
                " --klines a folder of recorded 5m klines"
            )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.original",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--original", type=Path, required=True, help="the original's files")
    parser.add_argument("--klines", type=Path, required=True, help="a folder of recorded 5m klines")
    parser.add_argument("--month", help="score its symbols over this month, such as 2025-03")
    rate = "online rate of the skill; the original's is 1e-3"
    parser.add_argument("--online-rate", type=float, default=1e-3, help=rate)
    return parser


if __name__ == "__main__":
    main()
