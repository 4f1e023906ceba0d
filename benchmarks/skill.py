"""Does it beat doing nothing? Trained on one span of recorded klines, scored candle by candle on a later one.

python -m benchmarks.skill --klines FOLDER                 # chosen on: train January and February, score March
python -m benchmarks.skill --klines FOLDER --month 2025-04 # the test
python -m benchmarks.skill --klines FOLDER --ablation      # one setting changed at a time
"""

import argparse
import os
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import numpy as np
from rich.console import Console

from benchmarks.market import recorded_sequences
from services.trainer.candidate import card_of, prepared_with, schedule_of
from services.trainer.dataset import Split
from services.trainer.epochs import Beside
from services.trainer.evaluate import HeldOut, forecast, held_out_of, linear, volatilities, with_past
from services.trainer.fit import fit
from services.trainer.online import judge_for
from services.trainer.report import counting, result_table
from services.trainer.settings import TrainerSettings
from shared.core.arrays import Float64s
from shared.core.backtest import frozen
from shared.core.candle import interval_ms
from shared.core.card import Bundle
from shared.core.contest import CANDIDATE, LINEAR, Contest
from shared.core.fold import Deployment
from shared.core.moments import moment_ms
from shared.core.network import self_test

Variant = Mapping[str, str]

TRAINED_UNTIL_MS: Final = moment_ms("2025-03-01")

ABLATION: Final[dict[str, Variant]] = {
    "default": {},
    "common move kept": {"COMMON_MOVE": "kept"},
    "not mirrored": {"MIRRORED": "false"},
    "squared error": {"HUBER_DELTA": "0"},
    "window 32": {"WINDOW_LENGTH": "32"},
    "window 64": {"WINDOW_LENGTH": "64"},
    "window 288": {"WINDOW_LENGTH": "288", "WINDOWS_PER_EPOCH": "50000"},
    "chosen by loss": {"CHOOSE_BY": "loss"},
    "LSTM(32) x 2": {"WIDTHS": "32,32"},
    "levels, window 288": {"FEATURE_SET": "levels", "WINDOW_LENGTH": "288", "WINDOWS_PER_EPOCH": "50000"},
    "online rate 1e-5": {"ONLINE_RATE": "1e-5"},
    "online rate 2e-4": {"ONLINE_RATE": "2e-4"},
    "online rate 1e-3": {"ONLINE_RATE": "1e-3"},
    "SGD 3e-4": {"ONLINE_OPTIMISER": "sgd", "ONLINE_RATE": "3e-4"},
}


def main() -> None:
    """Train and score what the arguments say; print a table."""
    arguments = _parser().parse_args()
    if not arguments.klines.exists():
        sys.exit(f"--klines is {arguments.klines}, which is not there: name a folder of recorded klines")
    sequences = recorded_sequences(arguments.klines)
    variants = ABLATION if arguments.ablation else {"default": {}}
    chosen = {name: variants[name] for name in arguments.only or variants}
    console = Console(width=110)
    for name, contest in _contests(sequences, chosen, arguments.month):
        table = result_table(contest)
        table.title = f"{name}: scored on {arguments.month}"
        console.print(table)
        for other in contest.names[1:]:
            found = contest.skill(CANDIDATE, other)
            if found is not None and other != CANDIDATE:
                console.print(f"  candidate against {other}: {found.value:+.4%} (p = {found.p:.2g})")
        if arguments.by_symbol:
            for symbol in contest.symbols:
                one = contest.symbol_skill(CANDIDATE, symbol)
                console.print(f"  {symbol}: {one.value:+.4%} ({one.low:+.4%} to {one.high:+.4%})" if one else symbol)


def _contests(
    sequences: Mapping[str, Float64s], variants: Mapping[str, Variant], month: str
) -> Iterator[tuple[str, Contest]]:
    step_ms = interval_ms("5m")
    from_ms, until_ms = moment_ms(f"{month}-01"), moment_ms(str(np.datetime64(month) + 1) + "-01")
    deployment = Deployment("5m", step_ms, self_test())
    training = {s: q[q[:, 0] < TRAINED_UNTIL_MS] for s, q in sequences.items()}
    scored = {s: q[q[:, 0] < until_ms] for s, q in sequences.items()}
    parts = held_out_of(scored, from_ms, sys.maxsize, len(scored))
    known = Known(parts, with_past(parts, scored), deployment)
    first_ms = int(min(q[0, 0] for q in training.values()))
    for name, variant in variants.items():
        settings = TrainerSettings.from_env(variant)
        validation_ms = int((TRAINED_UNTIL_MS - first_ms) * settings.validation_share)
        split = Split(TRAINED_UNTIL_MS - validation_ms, TRAINED_UNTIL_MS)
        prepared = prepared_with(settings, training, split)
        beside = Beside(judge_for(settings, prepared, deployment))
        fitted = fit(settings.architecture, prepared.dataset, schedule_of(settings), threading.Event(), beside=beside)
        bundle = Bundle(name, card_of(settings, prepared, fitted, None), fitted.weights, "")
        yield name, known.contest(bundle)


class Known:
    """What is scored the same way for every variant."""

    def __init__(self, parts: list[HeldOut], whole: list[HeldOut], deployment: Deployment) -> None:
        self._parts, self._whole, self._deployment = parts, whole, deployment
        self._volatility = volatilities(parts, deployment.interval_ms)

    def contest(self, bundle: Bundle) -> Contest:
        """Score a bundle learning and frozen, beside the online linear forecast."""
        bundles = {CANDIDATE: bundle, "frozen": frozen(bundle)}
        events = sum(len(part.candles) for part in self._parts) * len(bundles)
        with counting("scoring", events) as progress:
            tracks = {
                name: forecast(one, self._parts, self._deployment, os.cpu_count() or 1, progress)
                for name, one in bundles.items()
            }
        contest = Contest(tracks[CANDIDATE], self._volatility)
        for name, entered in tracks.items():
            contest.enter(name, entered)
            contest.enter(f"{name}, raw", entered, raw=True)
        contest.enter(LINEAR, linear(self._whole, self._deployment, bundle.card.shrinkage))
        return contest


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.skill", description=__doc__)
    parser.add_argument("--klines", type=Path, required=True, help="a folder of recorded 5m klines")
    parser.add_argument("--month", default="2025-03", help="the month that is scored (2025-03)")
    parser.add_argument("--ablation", action="store_true", help="one setting changed at a time")
    parser.add_argument("--only", action="append", help="this variant alone; may be said again")
    parser.add_argument("--by-symbol", action="store_true", help="each symbol's skill as well")
    return parser


if __name__ == "__main__":
    main()
