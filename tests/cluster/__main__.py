"""`python -m tests.cluster`: strike a deployment on three brokers; print the longest pauses."""

import argparse
import json
import shutil
import sys
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from tests.cluster.faults import FAULTS
from tests.cluster.run import ClusterReport, run_faults
from tests.cluster.system import ClusterUnderFaults

SEED: Final = 20_261_126


def main() -> int:
    """Run the chosen faults; return 1 if a byte is wrong or a pause too long."""
    options = _options()
    folder: Path = options.folder.resolve() / options.protocol
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    console = Console()
    chosen = [fault for fault in FAULTS if fault.name in (options.only or fault.name)]
    with ClusterUnderFaults(folder, SEED, options.protocol) as system:
        report = run_faults(system, chosen * options.times, console.print)
    (folder / "report.json").write_text(json.dumps(report.as_json(), indent=2))
    _show(report, options.protocol, console)
    return 0 if report.is_right and not report.late else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.cluster", description=__doc__)
    parser.add_argument("--protocol", choices=("classic", "consumer"), default="consumer")
    parser.add_argument("--times", type=int, default=1, help="how often each fault happens")
    parser.add_argument(
        "--folder", type=Path, default=Path(".ulstm/cluster"), help="for logs and the report"
    )
    parser.add_argument(
        "--only",
        action="append",
        choices=[fault.name for fault in FAULTS],
        help="a fault; may be repeated",
    )
    return parser.parse_args()


def _show(report: ClusterReport, protocol: str, console: Console) -> None:
    table = Table(title=f"three brokers, GROUP_PROTOCOL={protocol}")
    for name in ("fault", "times", "longest pause", "bound"):
        table.add_column(name, justify="left" if name == "fault" else "right")
    bounds_s = {fault.name: fault.bound_s for fault in FAULTS}
    for name, pauses_s in report.pauses_s.items():
        longest = f"{max(pauses_s):.1f} s"
        table.add_row(name, str(len(pauses_s)), longest, f"{bounds_s[name]:g} s")
    console.print(table)
    findings = report.findings
    console.print(
        f"{findings.predictions:,} predictions, {findings.wrong_bytes} differ from a replay,"
        f" {findings.missing} missing, {findings.duplicates} twice"
    )
    for text in [*report.late, *report.wrong, *findings.wrong]:
        console.print(f"WRONG: {text}", style="red")


if __name__ == "__main__":
    sys.exit(main())
