"""Show the result of an audit as a table."""

from collections.abc import Iterator

from rich.table import Table

from services.cli.audit.options import SymbolSample
from services.cli.audit.report import AuditReport, MarketReport
from services.cli.terminal import plain_text


def audit_table(report: AuditReport, sample: SymbolSample | None) -> Table:
    """Return the counts of an audit.

    Args:
        report: the result.
        sample: the symbols that were folded again; None: all.
    """
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
    for name, found in _describe_rest(report, sample):
        table.add_row(plain_text(name), found, "")
    return table


def _describe_rest(report: AuditReport, sample: SymbolSample | None) -> Iterator[tuple[str, str]]:
    """Yield the further findings, each with its count."""
    rejected = sum(partition.rejected for partition in report.partitions)
    yield "rejected records (dead letters)", f"{rejected:,}"
    yield "candles not predicted yet", f"{report.not_predicted_yet:,}"
    unreadable = sum(partition.unreadable.count for partition in report.partitions)
    if unreadable:
        yield "records that are no predictions, passed over", f"{unreadable:,}"
    yield from _describe_market(report.market)
    for part in report.partitions:
        if part.checked_from:
            yield (
                f"partition {part.partition} begins at the promotion of offset",
                str(part.checked_from),
            )
    for profile, count in report.other_profiles.items():
        yield f"not derived again: numeric profile {profile}", f"{count:,}"
    if report.unknown_symbols:
        count = sum(report.unknown_symbols.values())
        yield "not derived again: of candles before those that were read", f"{count:,}"
    if sample is not None:
        yield "derived again: a sixteenth of the symbols, --seed", str(sample.seed)


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
