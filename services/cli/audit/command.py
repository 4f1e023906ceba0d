"""`ulstm verify`: what the topics say, derived again from the topics alone."""

import json
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from itertools import chain
from multiprocessing import cpu_count
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from services.cli.audit.partition import (
    UNKNOWN_MODEL,
    GroupCheck,
    GroupVerdict,
    Mismatch,
    letters,
    published,
)
from services.cli.processor import build_processor
from services.cli.topic_checks import check_partitions
from services.cli.worker_pool import report_progress, run_in_workers
from shared.adapters.env_settings import ServiceSettings
from shared.adapters.kafka.backwards_reader import await_settled
from shared.adapters.kafka.reader import Reader
from shared.adapters.retry import wait_until
from shared.core.audit.invariants import Check
from shared.core.errors import BadInput, BadSetting, Incompatible, Unknown
from shared.core.model.card import Bundle
from shared.log.model_registry import ModelRegistry

_VISIBLE_S: Final = 10.0  # a bundle shows a moment after the promotion that was committed with it
_TICK: Final = 100  # records between two updates of the progress bar


@dataclass(frozen=True, slots=True)
class AuditReport:
    """The verdict on a deployment's topics."""

    groups: list[GroupVerdict]

    @property
    def agrees(self) -> bool:
        """Whether everything holds."""
        return all(group.agrees for group in self.groups)

    @property
    def mismatches(self) -> int:
        """How often something does not hold; a wrong record may count again in the next, which builds on it."""
        return sum(group.mismatched.total() for group in self.groups)

    @property
    def first(self) -> list[Mismatch]:
        """The first mismatches of each group, in the groups' order."""
        return [mismatch for group in self.groups for mismatch in group.first]

    @property
    def not_predicted_yet(self) -> int:
        """Candles past the last predictions."""
        return sum(group.not_predicted_yet for group in self.groups)

    @property
    def other_profiles(self) -> Mapping[str, int]:
        """Predictions that were not derived again, by numeric profile."""
        return sum((group.other_profiles for group in self.groups), Counter[str]())

    def counts(self) -> dict[Check, tuple[int, int]]:
        """Return how often each thing was checked, and how often it did not hold."""
        return {
            check: (
                sum(g.checked[check] for g in self.groups),
                sum(g.mismatched[check] for g in self.groups),
            )
            for check in Check
        }

    def plain(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "agrees": self.agrees,
            "mismatches": self.mismatches,
            "first_mismatches": [mismatch.plain() for mismatch in self.first],
            "not_predicted_yet": self.not_predicted_yet,
            "not_derived_again": dict(self.other_profiles),
            "checks": {
                c.name.lower(): {"checked": n, "mismatches": bad}
                for c, (n, bad) in self.counts().items()
            },
            "groups": [_plain(group) for group in self.groups],
        }


def verify_command(
    context: typer.Context,
    group: Annotated[
        list[int] | None, typer.Option(help="A symbol group; give it again for more. Default: all.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Derive from the topics alone what they should say; exit code 1 if anything is otherwise."""
    settings = ServiceSettings.from_env(context.obj)
    console = Console(stderr=True)
    verdict = verify(settings, group or None, console, cpu_count())
    if as_json:
        print(json.dumps(verdict.plain()))
    else:
        Console().print(_table(verdict))
    for profile, count in verdict.other_profiles.items():
        console.print(
            f"[bold red]WARNING:[/bold red] {count:,} predictions of numeric profile {profile} were not derived again:"
            " run the version that made them",
            soft_wrap=True,
        )
    if not verdict.agrees:
        raise Incompatible(_refusal(verdict))


def verify(
    settings: ServiceSettings, groups: Collection[int] | None, console: Console, processes: int = 1
) -> AuditReport:
    """Hold the topics of a deployment against each other. It reads only, and only what is committed by now.

    Args:
        settings: of the deployment; Kafka's address, interval, symbol groups and topic prefix are used.
        groups: the symbol groups to check; None means all.
        console: shows the progress.
        processes: how many symbol groups are checked at a time, each in a process of its own; 1 means in this one.

    Raises:
        BadSetting: there is no such symbol group.
        Incompatible: a topic is not there, is not this deployment's, or has lost its beginning.
        Unavailable: Kafka does not answer.
    """
    parts = _parts(settings, _wanted(settings, groups))
    processes = min(processes, len(parts))
    with _progress(console) as progress:
        task = progress.add_task("verify", total=sum(part.klines_end for part in parts))
        if processes > 1:
            calls = [partial(_checked_beside, settings, part) for part in parts]
            verdicts = list(
                run_in_workers(processes, calls, lambda done: progress.update(task, completed=done))
            )
        else:
            verdicts = [
                _checked(settings, part, lambda count: progress.advance(task, count))
                for part in parts
            ]
    return AuditReport(verdicts)


@dataclass(frozen=True, slots=True)
class _Part:
    """A symbol group, and how far its topics are read."""

    group: int
    predictions_end: int
    klines_end: int


def _parts(settings: ServiceSettings, groups: Collection[int]) -> list[_Part]:
    where, topics = settings.kafka_bootstrap_servers, settings.topics
    with ExitStack() as stack:
        klines = stack.enter_context(Reader(where, topics.klines))
        predictions = stack.enter_context(Reader(where, topics.predictions))
        dead_letters = stack.enter_context(Reader(where, topics.dead_letters))
        _check_topic(where, topics.klines, klines, topics.partitions)
        _check_topic(where, topics.predictions, predictions, topics.partitions)
        _check_topic(where, topics.dead_letters, dead_letters, 1)
        # Predictions first: what they were made from is then within the candles that are read, and the letters that
        # were committed with them show once everything written so far is settled.
        parts = [
            _Part(group, predictions.ends(group)[1], klines.ends(group)[1]) for group in groups
        ]
        await_settled(where, topics.dead_letters, dead_letters, [0])
        return parts


def _checked(
    settings: ServiceSettings, part: _Part, progress: Callable[[int], None]
) -> GroupVerdict:
    """Check one symbol group; `progress` is told every so many records how many were read since."""
    where, topics, group = settings.kafka_bootstrap_servers, settings.topics, part.group
    registry = ModelRegistry(where, topics)
    processor = build_processor(settings, lambda version: _load(registry, version))
    with ExitStack() as stack:
        klines = stack.enter_context(Reader(where, topics.klines))
        predictions = stack.enter_context(Reader(where, topics.predictions))
        dead_letters = stack.enter_context(Reader(where, topics.dead_letters, headers=True))
        check = GroupCheck(
            topics,
            processor,
            lambda version: version in registry.bundles.versions(),
            published(predictions.read(group, 0, part.predictions_end)),
            letters(dead_letters.read(0, 0), topics.klines, group),
            group,
        )
        told = 0
        for record in chain.from_iterable(klines.read(group, 0, part.klines_end)):
            check.take(record)
            if record.offset >= told + _TICK:
                progress(record.offset - told)
                told = record.offset
        progress(part.klines_end - told)
        return check.finished(klines.ends(group)[1])


def _checked_beside(settings: ServiceSettings, part: _Part) -> GroupVerdict:
    """Check one symbol group in a process of its own."""
    return _checked(settings, part, report_progress)


def _load(registry: ModelRegistry, version: str) -> Bundle:
    """Return a bundle; one that is not in the log is as unusable as a damaged one.

    Raises:
        BadInput: it is unusable.
    """
    wait_until(lambda: version in registry.bundles.versions(), timeout_s=_VISIBLE_S, interval_s=0.2)
    try:
        return registry.bundles.load(version)
    except Unknown as error:
        raise BadInput(UNKNOWN_MODEL, str(error)) from error


def _wanted(settings: ServiceSettings, groups: Collection[int] | None) -> list[int]:
    wanted = sorted(set(range(settings.symbol_groups) if groups is None else groups))
    for group in wanted:
        if not 0 <= group < settings.symbol_groups:
            message = f"--group is {group}; this deployment has symbol groups 0 to {settings.symbol_groups - 1}"
            raise BadSetting(message)
    return wanted


def _check_topic(bootstrap: str, name: str, reader: Reader, wanted: int) -> None:
    check_partitions(bootstrap, name, reader, wanted)
    for partition in range(wanted):
        first = reader.ends(partition)[0]
        if first:
            message = f"{name}/{partition} begins at offset {first}: its beginning was deleted; restore it"
            raise Incompatible(message)


class _Rate(ProgressColumn):
    """Records a second."""

    def render(self, task: Task) -> Text:
        """Return the rate of the last seconds."""
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.0f} records/s")


def _progress(console: Console) -> Progress:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        _Rate(),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=console)


def _plain(group: GroupVerdict) -> dict[str, Any]:
    return {
        "group": group.group,
        "agrees": group.agrees,
        "mismatches": group.mismatched.total(),
        "records": group.records,
        "set_aside": group.set_aside,
        "predictions": group.predictions,
        "not_predicted_yet": group.not_predicted_yet,
        "not_derived_again": dict(group.other_profiles),
        "sha256": group.sha256,
        "derived_sha256": group.derived_sha256,
    }


def _table(verdict: AuditReport) -> Table:
    table = Table(title="verify")
    table.add_column("what was checked")
    table.add_column("records", justify="right")
    table.add_column("mismatches", justify="right")
    for check, (count, bad) in verdict.counts().items():
        table.add_row(check.value, f"{count:,}", str(bad), style="bold red" if bad else None)
    table.add_section()
    for group in verdict.groups:
        digest = f"predictions of group {group.group}: SHA-256 {group.sha256[:16]}"
        table.add_row(digest, f"{group.predictions:,}", str(group.mismatched.total()))
    table.add_section()
    table.add_row("records set aside", f"{sum(g.set_aside for g in verdict.groups):,}", "")
    table.add_row("candles not predicted yet", f"{verdict.not_predicted_yet:,}", "")
    for profile, count in verdict.other_profiles.items():
        table.add_row(f"not derived again: numeric profile {profile}", f"{count:,}", "")
    return table


def _refusal(verdict: AuditReport) -> str:
    if not verdict.first:
        return (
            "the digests over what was published and what was derived differ, though no record does"
        )
    count = verdict.mismatches
    return f"{count:,} mismatch{'' if count == 1 else 'es'}; the first:\n{verdict.first[0]}"
