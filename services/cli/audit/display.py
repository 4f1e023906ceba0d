"""An audit on the terminal: its progress and its result."""

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from services.cli.audit.report import AuditReport
from services.cli.terminal import plain_text


class _Rate(ProgressColumn):
    """Records per second."""

    def render(self, task: Task) -> Text:
        """Return the rate of the last seconds."""
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.0f} records/s")


def build_progress(console: Console) -> Progress:
    """Return a progress bar that shows share, rate and remaining time."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        _Rate(),
        TimeRemainingColumn(),
        console=console,
    )


def build_table(report: AuditReport) -> Table:
    """Return the counts of an audit."""
    table = Table(title="verify")
    table.add_column("checked")
    table.add_column("records", justify="right")
    table.add_column("mismatches", justify="right")
    for check, (checked, mismatches) in report.counts().items():
        style = "bold red" if mismatches else None
        table.add_row(check.value, f"{checked:,}", str(mismatches), style=style)
    table.add_section()
    for partition in report.partitions:
        name = f"predictions of partition {partition.partition}: SHA-256 {partition.sha256[:16]}"
        table.add_row(name, f"{partition.predictions:,}", str(partition.mismatched.total()))
    table.add_section()
    rejected = sum(partition.rejected for partition in report.partitions)
    table.add_row("rejected records (dead letters)", f"{rejected:,}", "")
    table.add_row("candles not predicted yet", f"{report.not_predicted_yet:,}", "")
    for profile, count in report.other_profiles.items():
        not_derived = plain_text(f"not derived again: numeric profile {profile}")
        table.add_row(not_derived, f"{count:,}", "")
    return table


def describe_mismatches(report: AuditReport) -> str:
    """Return the number of mismatches and the first one in full."""
    if not report.first:
        return "the digests of published and derived predictions differ, though no record does"
    count = report.mismatches
    return f"{count:,} mismatch{'' if count == 1 else 'es'}; the first:\n{report.first[0]}"
