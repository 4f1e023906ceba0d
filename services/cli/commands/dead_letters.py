"""`ulstm dead-letters`: list the rejected records, and redrive them into the log."""

import base64
import re
from collections import Counter, deque
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import typer

from services.cli.cli_options import AsJson
from services.cli.completion import complete_symbol
from services.cli.examples import examples
from services.cli.redrive.decision import RedriveResult, RedriveStatus
from services.cli.redrive.execution import (
    MOST_SELECTED,
    DeadLetterFilter,
    printable_place,
    read_selected,
    redrive,
)
from services.cli.terminal import print_json, print_lines, print_text, printable
from services.cli.topic_checks import open_deployment
from shared.adapters.schemas.dead_letters import DeadLetter
from shared.core.errors import BadSetting, Unknown

app = typer.Typer(no_args_is_help=True)

_REASONS: Final = 100  # counted one by one; a foreign program may write any number of them
_SHOWN: Final = 100  # characters of the original bytes
_LAST_MS: Final = 253_402_300_799_999  # of the year 9999

Reason = Annotated[str | None, typer.Option(help="Only those with this reason, such as not_json.")]
Symbol = Annotated[
    str | None,
    typer.Option(
        help="Only those under this key, such as BTCUSDT.", autocompletion=complete_symbol
    ),
]


@app.command(
    "list",
    epilog=examples(
        "ulstm dead-letters list --reason not_json --limit 10",
        "ulstm dead-letters list --symbol BTCUSDT --json",
    ),
)
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
    settings = open_deployment(context.obj, "dead_letters")
    newest: deque[tuple[int, DeadLetter]] = deque(maxlen=limit)
    reasons: Counter[str] = Counter()
    selected = DeadLetterFilter(reason=reason, symbol=symbol)
    for time_ms, dead_letter in read_selected(settings, selected):
        newest.append((time_ms, dead_letter))
        is_counted = dead_letter.reason in reasons or len(reasons) < _REASONS
        reasons[dead_letter.reason if is_counted else "(others)"] += 1
    if as_json:
        listed = [
            _to_json(one, time_ms=time_ms, value_base64=_encode_base64(one.value))
            for time_ms, one in newest
        ]
        print_json({"dead_letters": listed, "reasons": dict(reasons)})
        return
    for one in newest:
        print_text(_describe(*one))
    if reasons:
        total = reasons.total()
        shown = f", the newest {len(newest)} shown" if total > len(newest) else ""
        counts = (f"{printable(name) or '(none)'} {n}" for name, n in reasons.most_common())
        print_text(f"{total} dead letters{shown}: {', '.join(counts)}")
    else:
        these = "" if reason is symbol is None else " of these"
        print_text(f"no dead letters{these} on {settings.topics.dead_letters}")


@app.command(
    "redrive",
    epilog=examples(
        "ulstm dead-letters redrive --reason out_of_order",
        "ulstm dead-letters redrive klines.5m/3/4711 --yes",
    ),
)
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
    named = _check_places(places or [], reason, everything=everything)
    settings = open_deployment(context.obj, "klines", "dead_letters")
    results = redrive(settings, DeadLetterFilter(named, reason, symbol), send=yes)
    if as_json:
        rows = [
            _to_json(one.dead_letter, status=one.status, reason=one.reason, message=one.message)
            for one in results
        ]
        print_json({"sent": yes, "dead_letters": rows})
    else:
        print_lines([*map(_describe_result, results), _summarise(results, sent=yes)])
    missing = named - {printable_place(result.dead_letter) for result in results}
    if missing:
        raise Unknown(
            f"no dead letter has the place {min(missing)}; `ulstm dead-letters list` shows them"
        )
    if named and any(result.status is RedriveStatus.REFUSED for result in results):
        raise typer.Exit(1)


def _check_places(places: Sequence[str], reason: str | None, *, everything: bool) -> frozenset[str]:
    if bool(places) + (reason is not None) + everything != 1:
        raise BadSetting("name places, or give --reason, or --all: exactly one of the three")
    for place in places:
        if not re.fullmatch(r".+/-?[0-9]+/-?[0-9]+", place):
            raise BadSetting(
                f"PLACE is {place!r}; it must be TOPIC/PARTITION/OFFSET, such as klines.5m/3/4711"
            )
    return frozenset(places)


def _describe(time_ms: int, dead_letter: DeadLetter) -> str:
    """Return three lines: time, place, key and reason; message; the beginning of the bytes."""
    reason, message = printable(dead_letter.reason), printable(dead_letter.message)
    value = "(no bytes)" if dead_letter.value is None else _preview(dead_letter.value)
    return f"{_clock(time_ms)}  {_name(dead_letter)}  {reason}\n    {message}\n    {value}"


def _describe_result(result: RedriveResult) -> str:
    """Return one line: status, place, key, and the reason if it cannot be redriven."""
    why = f": {result.reason}: {printable(result.message)}" if result.message else ""
    return f"{result.status:7}  {_name(result.dead_letter)}{why}"


def _summarise(results: Sequence[RedriveResult], *, sent: bool) -> str:
    """Describe the counts by status, and the next step for the user."""
    if not results:
        return "no dead letters are selected"
    counts = Counter(result.status for result in results)
    ready, in_log, refused = (counts[status] for status in RedriveStatus)
    if sent:
        return f"{ready} redriven, {in_log} in the log already, {refused} refused"
    advice = "; stop the producer and add --yes to redrive them" if ready else ""
    return (
        f"nothing was written: {ready} can be redriven, {in_log} are in the log already,"
        f" {refused} are refused{advice}"
    )


def _to_json(dead_letter: DeadLetter, **more: object) -> dict[str, Any]:
    """Return a dead letter for a program, with more fields or with others of the same name."""
    key = dead_letter.key
    return {
        "place": printable_place(dead_letter),
        "topic": dead_letter.topic,
        "partition": dead_letter.partition,
        "offset": dead_letter.offset,
        "key": None if key is None else key.decode("utf-8", "backslashreplace"),
        "reason": dead_letter.reason,
        "message": dead_letter.message,
        **more,
    }


def _encode_base64(value: bytes | None) -> str | None:
    return None if value is None else base64.b64encode(value).decode()


def _name(dead_letter: DeadLetter) -> str:
    key = "-" if dead_letter.key is None else _preview(dead_letter.key)
    return f"{printable_place(dead_letter)}  {key}"


def _preview(data: bytes) -> str:
    """Decode the beginning of bytes; escape bytes that are not UTF-8."""
    shown = printable(data[: 4 * _SHOWN].decode("utf-8", "backslashreplace"))
    return f"{shown[:_SHOWN]}…" if len(shown) > _SHOWN else shown


def _clock(time_ms: int) -> str:
    if not 0 < time_ms <= _LAST_MS:
        return "-"
    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
