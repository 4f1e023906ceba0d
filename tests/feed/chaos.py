"""`python -m tests.feed.chaos`: hours of an exchange in minutes, with a seeded mix of its faults.

1. A simulator runs fast, on synthetic or recorded candles, and draws fault after fault from a seed.
2. One producer follows all its symbols into a real Kafka.
3. After the last fault the log must be what the exchange has, to the last digit.
4. Then the same for each hole of the recordings in a folder, such as those of real outages.
"""

import argparse
import json
import secrets
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

from shared.core.topics import interval_ms
from shared.local_servers import launcher
from tests.feed.chaos_run import ChaosPart, PartReport, run_part
from tests.feed.recorded_holes import find_holes

CALM_CANDLES = 12  # after the last fault
AROUND = 12  # candles before and after a recorded hole


def main() -> int:
    options = _options()
    folder: Path = options.folder.resolve()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    console = Console(soft_wrap=True)
    console.print(
        f"seed {options.seed}: {options.hours:g} hours of the exchange, {options.symbols} symbols,"
        f" speed {options.speed:g}, logs in {folder}"
    )
    with launcher.start(folder / "servers", die_with_parent=True) as running:
        reports = [
            run_part(part, running.servers.kafka, folder, console) for part in _parts(options)
        ]
    shutil.rmtree(folder / "servers", ignore_errors=True)
    (folder / "report.json").write_text(json.dumps([each.as_json() for each in reports], indent=2))
    return _conclude(reports, console)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.feed.chaos", description=__doc__)
    parser.add_argument("--hours", type=float, default=24.0, help="of the exchange's time")
    parser.add_argument("--symbols", type=int, default=1000)
    parser.add_argument("--speed", type=float, default=60.0, help="of the exchange's clock")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**31), help="of the faults")
    parser.add_argument("--every", type=float, default=1.0, help="candles between two faults")
    parser.add_argument("--candles", type=Path, help="folder of recordings; without: synthetic")
    parser.add_argument("--outages", type=Path, help="folder of recordings with holes")
    parser.add_argument("--folder", type=Path, default=Path(".ulstm/chaos-feed"), help="for logs")
    return parser.parse_args()


def _parts(options: argparse.Namespace) -> Iterator[ChaosPart]:
    step_ms = interval_ms("5m")
    candles = max(1, round(options.hours * 3_600_000 / step_ms))
    market = {"EXCHANGE_SYMBOLS": str(options.symbols), "EXCHANGE_HISTORY": "40"}
    if options.candles is not None:
        market["EXCHANGE_CANDLES"] = str(options.candles.resolve())
    mix = {"seed": options.seed, "every_candles": options.every, "begin": 20, "candles": candles}
    yield ChaosPart("mix", market, {"mix": mix}, 20 + candles + CALM_CANDLES, options.speed)
    for hole in [] if options.outages is None else find_holes(options.outages, step_ms):
        length = (hole.until_ms - hole.from_ms) // step_ms
        recorded = {
            "EXCHANGE_CANDLES": str(options.outages.resolve()),
            "EXCHANGE_START_MS": str(hole.from_ms - AROUND * step_ms),
            "EXCHANGE_HISTORY": "40",
        }
        yield ChaosPart(f"outage of {length} candles", recorded, {}, length + 2 * AROUND, 300.0)


def _conclude(reports: list[PartReport], console: Console) -> int:
    wrong = [f"{report.name}: {text}" for report in reports for text in report.wrong]
    for report in reports:
        console.print(report.summary(), highlight=False)
    for text in wrong[:20]:
        console.print(f"WRONG: {text}", style="red", markup=False)
    console.print(
        "wrong" if wrong else "right: every candle is there once, and as the exchange has it"
    )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
