"""`ulstm verify`: audit a deployment from its topics alone."""

from collections.abc import Iterator
from multiprocessing import cpu_count
from typing import Annotated, Final

import typer
from rich.table import Table

from services.cli.audit.report import AuditReport, MarketReport
from services.cli.audit.verify import verify
from services.cli.cli_options import AsJson
from services.cli.examples import examples
from services.cli.terminal import PlainConsole, plain_text, print_json, print_warning
from services.cli.topic_checks import open_deployment
from shared.core.errors import Incompatible

EXAMPLES: Final = examples("ulstm verify", "ulstm verify --partition 3 --json")


def verify_command(
    context: typer.Context,
    partition: Annotated[
        list[int] | None,
        typer.Option(help="A partition (symbol group); repeat it for more. Default: all."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check from the topics alone that every prediction is right. Exit code 1: something is not."""
    settings = open_deployment(context.obj, "klines", "predictions", "dead_letters", "models")
    console = PlainConsole(stderr=True)
    report = verify(settings, partition or None, console, cpu_count())
    if as_json:
        print_json(report.to_json())
    else:
        PlainConsole().print(_table(report))
    for profile, count in report.other_profiles.items():
        print_warning(
            console,
            f"{count:,} predictions of numeric profile {profile} were not derived again: run the"
            " version that made them",
        )
    if not report.agrees:
        raise Incompatible(_describe_mismatches(report))


def _table(report: AuditReport) -> Table:
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
    for name, found in _describe_market(report.market):
        table.add_row(name, found, "")
    for profile, count in report.other_profiles.items():
        not_derived = plain_text(f"not derived again: numeric profile {profile}")
        table.add_row(not_derived, f"{count:,}", "")
    return table


def _describe_market(market: MarketReport) -> Iterator[tuple[str, str]]:
    """Yield the findings on the market's moves, with their counts."""
    yield "candles without the market's move", f"{market.missing:,}"
    compared = market.candles - market.missing - market.compared
    yield "moves of symbols that the log mostly lacks: not compared", f"{compared:,}"
    if market.typical_distance is not None:
        distance = f"{100 * market.typical_distance:.1f} %"
        yield "typical distance from the closes' move, of the typical move", distance
    for version, count in sorted(market.baskets.items()):
        defined = "" if version not in market.undefined_baskets else ", which the log lacks"
        yield f"candles with baskets {version}{defined}", f"{count:,}"


def _describe_mismatches(report: AuditReport) -> str:
    """Return the number of mismatches and the first one in full."""
    if not report.first:
        return "the digests of published and derived predictions differ, though no record does"
    count = report.mismatches
    return f"{count:,} mismatch{'' if count == 1 else 'es'}; the first:\n{report.first[0]}"
