"""`ulstm copy`: a deployment's log as another one's, with other symbol groups or elsewhere."""

import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Final

import typer
from rich.progress import Progress

from services.cli.cli_options import AsJson
from services.cli.examples import examples
from services.cli.log_copy.pipeline import CopySummary, copy_log
from services.cli.terminal import PlainConsole, print_json, print_text
from services.cli.topic_checks import open_deployment
from shared.adapters.env_settings import ServiceSettings
from shared.core.errors import BadSetting

EXAMPLES: Final = examples(
    "ulstm copy --to-prefix next. --to-groups 12",
    "ulstm copy --to-servers 10.0.0.7:9092 --json",
)
_TARGET: Final = "TO_"  # before a variable: the same setting of the deployment to copy to


def copy_command(
    context: typer.Context,
    to_prefix: Annotated[
        str | None, typer.Option("--to-prefix", help="TOPIC_PREFIX of the deployment to copy to.")
    ] = None,
    to_groups: Annotated[
        int | None,
        typer.Option("--to-groups", min=1, help="SYMBOL_GROUPS of it; default: as here."),
    ] = None,
    to_servers: Annotated[
        str | None, typer.Option("--to-servers", help="Its Kafka; default: as here.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Copy candles, models and followed symbols to another deployment, exactly once.

    Its topics are created. Promotions and predictions are not copied: at the end, the version that
    is current here is promoted there. Run it again to copy what has come since, the last time after
    this deployment's producer was stopped; then start the other's. Any other setting of it, such as
    how its Kafka is secured, is a variable with TO_ before its name.
    """
    given = {
        "TOPIC_PREFIX": to_prefix,
        "SYMBOL_GROUPS": None if to_groups is None else str(to_groups),
        "KAFKA_BOOTSTRAP_SERVERS": to_servers,
    }
    if to_prefix is None and to_servers is None:
        raise BadSetting("name the deployment to copy to with --to-prefix or --to-servers")
    source = open_deployment(context.obj, "klines", "models", "control")
    target = target_settings(context.obj, given)
    started_s = time.monotonic()
    with Progress(console=PlainConsole(stderr=True)) as progress:
        task = progress.add_task("records copied", total=None)
        summary = copy_log(
            source, target, lambda done, total: progress.update(task, completed=done, total=total)
        )
    if as_json:
        print_json(asdict(summary))
    else:
        print_text(_to_text(summary, source, target, time.monotonic() - started_s))


def target_settings(environ: Mapping[str, str], given: Mapping[str, str | None]) -> ServiceSettings:
    """Return the settings of the deployment to copy to.

    Args:
        environ: the environment: what this deployment has, and what begins with TO_.
        given: the options, by variable; None: not given.

    Raises:
        BadSetting: a setting is refused.
    """
    own = {name.removeprefix(_TARGET): v for name, v in environ.items() if name.startswith(_TARGET)}
    options = {name: value for name, value in given.items() if value is not None}
    return ServiceSettings.from_env({**environ, **own, **options})


def _to_text(
    summary: CopySummary, source: ServiceSettings, target: ServiceSettings, seconds: float
) -> str:
    lines = [
        f"copied {summary.copied} records to {target.topics.klines} on Kafka at {target.kafka} in"
        f" {seconds:.0f} s"
    ]
    if summary.promoted:
        lines.append(f"promoted {summary.promoted} there")
    if summary.left:
        lines.append(
            f"{source.topics.klines} has grown by {summary.left} offsets meanwhile: run it again,"
            " the last time after the producer was stopped"
        )
    else:
        lines.append(
            "complete: start the services with"
            f" TOPIC_PREFIX={target.topic_prefix} SYMBOL_GROUPS={target.symbol_groups}"
            f" KAFKA_BOOTSTRAP_SERVERS={target.kafka}"
        )
    return "\n".join(lines)
