"""`make fuzz`: damaged input for every decoder, for as long as wanted."""

import argparse
import os
import random
import sys
import time
from collections.abc import Iterator

from tests.fuzz.registry import TARGETS
from tests.fuzz.run import FuzzResult, Round, run_all

ROUND_S = 10.0


def main() -> int:
    """Fuzz for the minutes given; return 1 if a decoder failed."""
    options = _parse()
    names = [options.only] if options.only else list(TARGETS)
    totals = {name: FuzzResult(name) for name in names}
    for done in _results(names, options):
        _add(totals[done.name], done)
        if done.failures:
            _say(f"{done.name}: {done.failures[0]}")
    return _report(totals)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=random.randrange(2**31))
    parser.add_argument("--only", choices=sorted(TARGETS), help="one decoder")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    _say(f"seed {options.seed}: {len(TARGETS)} decoders for {options.minutes:g} minutes")
    return options


def _results(names: list[str], options: argparse.Namespace) -> Iterator[FuzzResult]:
    """Yield outcomes: of the bombs and a round, then of rounds until the time is over."""
    ends_s, number = time.monotonic() + 60 * options.minutes, options.seed
    while number == options.seed or time.monotonic() < ends_s:
        left_s = max(0.0, ends_s - time.monotonic())
        slice_s = min(ROUND_S, max(1.0, left_s * options.workers / len(names)))
        rounds = (Round(name, number, slice_s, number == options.seed) for name in names)
        yield from run_all(rounds, options.workers)
        number += 1


def _add(total: FuzzResult, done: FuzzResult) -> None:
    total.cases += done.cases
    total.slowest_s = max(total.slowest_s, done.slowest_s)
    total.grown_mb = max(total.grown_mb, done.grown_mb)
    total.failures += done.failures


def _report(totals: dict[str, FuzzResult]) -> int:
    _say(f"{'decoder':22}{'cases':>10}{'failures':>10}{'slowest s':>11}{'most MB':>9}{'cap':>6}")
    for one in totals.values():
        figures = f"{one.cases:10}{len(one.failures):10}{one.slowest_s:11.2f}{one.grown_mb:9.0f}"
        _say(f"{one.name:22}{figures}{TARGETS[one.name].max_mb:6}")
    failures = sum(len(one.failures) for one in totals.values())
    _say(f"{sum(one.cases for one in totals.values())} cases, {failures} failures")
    return int(failures > 0)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
