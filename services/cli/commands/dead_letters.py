"""`ulstm dead-letters`: list what could not be read, and redrive it into the log."""

import json
import re
from collections import Counter, deque
from collections.abc import Sequence
from typing import Annotated, Final

import typer

from services.cli.dead_letter_display import (
    count_by_reason,
    describe,
    describe_result,
    printable,
    result_to_json,
    summarise,
    to_json,
)
from services.cli.redrive import RedriveStatus
from services.cli.redrive_execution import MOST_SELECTED, DeadLetterFilter, read_selected, redrive
from shared.adapters.env_settings import ServiceSettings
from shared.adapters.schemas.dead_letters import DeadLetter
from shared.core.errors import BadSetting, Unknown
from shared.log.dead_letters import format_place

app = typer.Typer(no_args_is_help=True)

_REASONS: Final = 100  # counted one by one; a foreign program may write any number of them

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
Reason = Annotated[str | None, typer.Option(help="Only those with this reason, such as not_json.")]
Symbol = Annotated[str | None, typer.Option(help="Only those under this key, such as BTCUSDT.")]


@app.command("list")
def list_command(
    context: typer.Context,
    reason: Reason = None,
    symbol: Symbol = None,
    limit: Annotated[
        int, typer.Option(min=1, max=MOST_SELECTED, help="Show at most so many, the newest.")
    ] = 50,
    as_json: AsJson = False,
) -> None:
    """List the dead letters, newest last: time, place, key, reason, message, original bytes."""
    settings = ServiceSettings.from_env(context.obj)
    newest: deque[tuple[int, DeadLetter]] = deque(maxlen=limit)
    reasons: Counter[str] = Counter()
    for time_ms, dead_letter in read_selected(
        settings, DeadLetterFilter(reason=reason, symbol=symbol)
    ):
        newest.append((time_ms, dead_letter))
        is_counted = dead_letter.reason in reasons or len(reasons) < _REASONS
        reasons[dead_letter.reason if is_counted else "(others)"] += 1
    if as_json:
        listed = [to_json(*one) for one in newest]
        print(json.dumps({"dead_letters": listed, "reasons": dict(reasons)}))
        return
    for one in newest:
        print(describe(*one))
    if reasons:
        total = reasons.total()
        shown = f", the newest {len(newest)} shown" if total > len(newest) else ""
        print(f"{total} dead letters{shown}: {count_by_reason(reasons)}")
    else:
        these = "" if reason is symbol is None else " of these"
        print(f"no dead letters{these} on {settings.topics.dead_letters}")


@app.command("redrive")
def redrive_command(
    context: typer.Context,
    places: Annotated[
        list[str] | None,
        typer.Argument(metavar="PLACE", help="TOPIC/PARTITION/OFFSET, as `list` shows it."),
    ] = None,
    reason: Reason = None,
    symbol: Symbol = None,
    everything: Annotated[bool, typer.Option("--all", help="All that can be redriven.")] = False,
    yes: Annotated[
        bool, typer.Option("--yes", help="Write; without it, only show what would be written.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Append the original bytes to the log again where readers take them now, each once.

    With --yes, stop the producer first. Exit code 1 if a PLACE you named cannot be redriven.
    """
    settings = ServiceSettings.from_env(context.obj)
    named = _check_places(places or [], reason, everything=everything)
    results = redrive(settings, DeadLetterFilter(named, reason, symbol), send=yes)
    if as_json:
        rows = [result_to_json(result) for result in results]
        print(json.dumps({"sent": yes, "dead_letters": rows}))
    else:
        for result in results:
            print(describe_result(result))
        print(summarise(results, sent=yes))
    missing = named - {printable(format_place(result.dead_letter)) for result in results}
    if missing:
        message = (
            f"no dead letter has the place {min(missing)}; `ulstm dead-letters list` shows them"
        )
        raise Unknown(message)
    if named and any(result.status is RedriveStatus.REFUSED for result in results):
        raise typer.Exit(1)


def _check_places(places: Sequence[str], reason: str | None, *, everything: bool) -> frozenset[str]:
    if bool(places) + (reason is not None) + everything != 1:
        message = "name places, or give --reason, or --all: exactly one of the three"
        raise BadSetting(message)
    for place in places:
        if not re.fullmatch(r".+/-?[0-9]+/-?[0-9]+", place):
            message = (
                f"PLACE is {place!r}; it must be TOPIC/PARTITION/OFFSET, such as klines.5m/3/4711"
            )
            raise BadSetting(message)
    return frozenset(places)
