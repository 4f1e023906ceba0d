"""`ulstm verify`: audit a deployment from its topics alone."""

from multiprocessing import cpu_count
from secrets import randbelow
from typing import Annotated, Final

import typer
from rich.console import Console

from services.cli.audit.options import AuditOptions, SymbolSample
from services.cli.audit.report import AuditReport
from services.cli.audit.tables import audit_table
from services.cli.audit.verify import verify
from services.cli.cli_options import AsJson, parse_time_option_ms
from services.cli.examples import examples
from services.cli.terminal import PlainConsole, print_json, print_unreadable, print_warning
from services.cli.topic_checks import open_deployment
from shared.adapters.env_settings import PredictorGroupSettings
from shared.core.errors import Incompatible

EXAMPLES: Final = examples(
    "ulstm verify",
    "ulstm verify --partition 3 --json",
    "ulstm verify --from 2025-04-01",
    "ulstm verify --quick",
)
_SEEDS: Final = 1_000_000


def verify_command(
    context: typer.Context,
    partition: Annotated[
        list[int] | None,
        typer.Option(help="A partition (symbol group); repeat it for more. Default: all."),
    ] = None,
    start: Annotated[
        str,
        typer.Option(
            "--from",
            help="Begin at the promotion that was in force then; default: at the first record.",
        ),
    ] = "",
    quick: Annotated[
        bool,
        typer.Option(
            "--quick",
            help="Fold a sixteenth of the symbols again, chosen by chance; check the others"
            " without the fold.",
        ),
    ] = False,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Choose the symbols of --quick as this number did.")
    ] = None,
    accept_profile: Annotated[
        list[str] | None,
        typer.Option(
            help="A numeric profile of another version that verified its own predictions, so that"
            " they need not be derived here; repeat it for more."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check from the topics alone that every prediction is right. Exit code 1: something is not."""
    open_deployment(context.obj, "klines", "predictions", "dead_letters", "models")
    settings = PredictorGroupSettings.from_env(context.obj)
    console = PlainConsole(stderr=True)
    seed = randbelow(_SEEDS) if seed is None else seed
    options = AuditOptions(
        partition or None,
        cpu_count(),
        parse_time_option_ms(start, "--from", 0) if start else None,
        frozenset(accept_profile or ()),
        SymbolSample(seed) if quick else None,
    )
    report = verify(settings, console, options)
    if as_json:
        print_json(report.to_json())
    else:
        PlainConsole().print(audit_table(report, options.sample))
    _warn(report, settings.predictor_group, console)
    if not report.agrees:
        raise Incompatible(_describe_failure(report))


def _warn(report: AuditReport, group: str, console: Console) -> None:
    """Warn of unreadable records, unknown progress and predictions without a derivation."""
    for part in report.partitions:
        print_unreadable(console, part.unreadable)
        if part.committed is None and part.not_predicted_yet:
            print_warning(
                console,
                f"partition {part.partition}: the consumer group {group} has committed no offset,"
                f" so whether the {part.not_predicted_yet:,} candles after the last prediction are"
                " not predicted yet, or have lost their predictions, is not known; set"
                " CONSUMER_GROUP to the predictors'",
            )
    if report.unknown_symbols:
        names = ", ".join(sorted(report.unknown_symbols)[:5])
        print_warning(
            console,
            f"{sum(report.unknown_symbols.values()):,} predictions of"
            f" {len(report.unknown_symbols)} symbols ({names}) follow from candles before those"
            " that were read, so they were not derived again; verify without --from does",
        )


def _describe_failure(report: AuditReport) -> str:
    """Return the number of mismatches and the first in full, or the unproved profiles."""
    count = report.mismatches
    if report.first:
        return f"{count:,} mismatch{'' if count == 1 else 'es'}; the first:\n{report.first[0]}"
    if report.unproved_profiles:
        names, predictions = report.unproved_profiles, sum(report.other_profiles.values())
        options = " ".join(f"--accept-profile {name}" for name in names)
        return (
            f"{predictions:,} predictions of numeric profile {', '.join(names)} cannot be derived"
            " by this version, so nothing proves them; verify them with the version that made them,"
            f" then accept them here: {options}"
        )
    return "the digests of published and derived predictions differ, though no record does"
