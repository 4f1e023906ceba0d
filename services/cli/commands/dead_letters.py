"""`ulstm dead-letters …`: what could not be read, and a way back in."""

import base64
import json
import re
import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import chain
from typing import Annotated, Any, Final

import typer

from services.cli.redrive import (
    LogPositions,
    RedriveCandidate,
    RedriveResult,
    RedriveStatus,
    answers,
    candidate,
    place_of,
)
from services.cli.topic_checks import check_partitions
from shared.adapters.env_settings import ServiceSettings
from shared.adapters.kafka.producer import TransactionalProducer
from shared.adapters.kafka.reader import Reader
from shared.adapters.schemas import DeadLetter, decode_dead_letter
from shared.core.errors import BadInput, BadSetting, Unknown
from shared.log.archive import Archive
from shared.log.positions import producer_transactional_id, read_positions

app = typer.Typer(help="What could not be read: list it, bring it back.", no_args_is_help=True)

_SHOWN: Final = 100  # characters of the original bytes
_LONGEST: Final = 1_000  # characters of anything that a letter says
_REASONS: Final = 100  # counted one by one; a stranger's program may name any number
_CHOSEN: Final = 100_000  # letters of one replay, which are held in memory
_BATCH: Final = 5_000  # records of one transaction: it holds back every reader while it is open
_LAST_MS: Final = 253_402_300_799_999  # of the year 9999

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
OfReason = Annotated[
    str | None, typer.Option(help="Only those with this reason, such as not_json.")
]
OfSymbol = Annotated[str | None, typer.Option(help="Only those under this key, such as BTCUSDT.")]


@dataclass(frozen=True, slots=True)
class StoredDeadLetter:
    """A dead letter as it lies in its topic: since when, and what it says."""

    time_ms: int
    letter: DeadLetter


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which letters are asked for: all that agree with everything given."""

    places: frozenset[str] = frozenset()
    reason: str | None = None
    symbol: str | None = None

    def __contains__(self, letter: DeadLetter) -> bool:
        """Say whether a letter is one of them."""
        return (
            (not self.places or _printable(place_of(letter)) in self.places)
            and self.reason in (None, letter.reason)
            and (self.symbol is None or letter.key == self.symbol.upper().encode())
        )


@app.command("list")
def list_command(
    context: typer.Context,
    reason: OfReason = None,
    symbol: OfSymbol = None,
    limit: Annotated[int, typer.Option(min=1, max=_CHOSEN, help="Show the newest so many.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List what was set aside, newest last: when, place, key, reason, message, and how the original bytes begin."""
    settings = ServiceSettings.from_env(context.obj)
    newest: deque[StoredDeadLetter] = deque(maxlen=limit)
    reasons: Counter[str] = Counter()
    for one in read_letters(settings, Wanted(reason=reason, symbol=symbol)):
        newest.append(one)
        known = one.letter.reason in reasons or len(reasons) < _REASONS
        reasons[one.letter.reason if known else "(others)"] += 1
    if as_json:
        print(json.dumps({"letters": [_plain(one) for one in newest], "reasons": dict(reasons)}))
        return
    for one in newest:
        print(_described(one))
    total = reasons.total()
    if not total:
        print(
            f"no dead letters{'' if reason is symbol is None else ' of these'} on {settings.topics.dead_letters}"
        )
        return
    shown = f", the newest {len(newest)} shown" if total > len(newest) else ""
    print(f"{total} dead letters{shown}: {_counted(reasons)}")


@app.command("redrive")
def redrive_command(
    context: typer.Context,
    places: Annotated[
        list[str] | None,
        typer.Argument(metavar="PLACE", help="TOPIC/GROUP/OFFSET as `list` shows it."),
    ] = None,
    reason: OfReason = None,
    symbol: OfSymbol = None,
    everything: Annotated[bool, typer.Option("--all", help="All that can go back.")] = False,
    yes: Annotated[
        bool, typer.Option("--yes", help="Send; without it, only say what would be sent.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Append the original bytes of letters to the log again, where readers will take them now, and once only.

    With --yes, stop the producer meanwhile. Exit code 1 if a PLACE that was named cannot go back.
    """
    settings = ServiceSettings.from_env(context.obj)
    wanted = Wanted(_checked_places(places or [], reason, everything=everything), reason, symbol)
    candidates, refusals = _sorted_out(settings, wanted)
    judged = _answered(settings, candidates)
    if yes and any(one.fate is RedriveStatus.GOES_BACK for one in judged):
        judged = _sent(settings, candidates)
    found = refusals + judged
    if as_json:
        print(json.dumps({"sent": yes, "letters": [_plain_answer(one) for one in found]}))
    else:
        _tell(found, sent=yes)
    missing = wanted.places - {_printable(place_of(one.letter)) for one in found}
    if missing:
        message = f"no dead letter has the place {min(missing)}; `ulstm dead-letters list` shows what there is"
        raise Unknown(message)
    if wanted.places and any(one.fate is RedriveStatus.REFUSED for one in found):
        raise typer.Exit(1)


def read_letters(settings: ServiceSettings, wanted: Wanted) -> Iterator[StoredDeadLetter]:
    """Yield the dead letters that are asked for, oldest first.

    Raises:
        Unavailable: Kafka does not answer.
        Incompatible: there is no such topic.
    """
    where, topic = settings.kafka_bootstrap_servers, settings.topics.dead_letters
    with Reader(where, topic, headers=True) as reader:
        check_partitions(where, topic, reader, 1)
        for record in chain.from_iterable(reader.read(0, 0)):
            letter = decode_dead_letter(record.headers or {}, record.key, record.value)
            if letter in wanted:
                yield StoredDeadLetter(record.timestamp_ms, letter)


def _checked_places(
    places: Sequence[str], reason: str | None, *, everything: bool
) -> frozenset[str]:
    if bool(places) + (reason is not None) + everything != 1:
        message = "name places, or give --reason, or --all: one of the three"
        raise BadSetting(message)
    for place in places:
        if not re.fullmatch(r".+/-?[0-9]+/-?[0-9]+", place):
            message = f"PLACE is {place!r}; it must be TOPIC/GROUP/OFFSET, such as klines.5m/3/4711"
            raise BadSetting(message)
    return frozenset(places)


def _sorted_out(
    settings: ServiceSettings, wanted: Wanted
) -> tuple[list[RedriveCandidate], list[RedriveResult]]:
    """Return the letters that could go back, and the answers to the others.

    Raises:
        BadSetting: there are too many.
    """
    candidates: list[RedriveCandidate] = []
    refusals: list[RedriveResult] = []
    for one in read_letters(settings, wanted):
        letter = one.letter
        try:
            candidates.append(candidate(letter, settings.topics, settings.codec))
        except BadInput as error:
            without_bytes = replace(
                letter, value=None
            )  # they may be large, and are not needed any more
            refusals.append(
                RedriveResult(without_bytes, RedriveStatus.REFUSED, error.reason, str(error))
            )
        if len(candidates) + len(refusals) > _CHOSEN:
            message = f"more than {_CHOSEN:,} dead letters are chosen: narrow them by --reason or --symbol"
            raise BadSetting(message)
    return candidates, refusals


def _answered(
    settings: ServiceSettings, candidates: Sequence[RedriveCandidate]
) -> list[RedriveResult]:
    """Hold candidates against the log: its part from before the oldest of each symbol group on is read."""
    if not candidates:
        return []
    where, topics, codec = settings.kafka_bootstrap_servers, settings.topics, settings.codec
    with Reader(where, topics.klines) as reader:
        check_partitions(where, topics.klines, reader, topics.partitions)
    next_ms = read_positions(where, topics, codec, {one.value.symbol for one in candidates})
    archive = Archive(where, topics)
    ends = archive.ends()  # what was settled before
    standing = LogPositions(codec.interval_ms, frozenset(one.place for one in candidates), next_ms)
    for group, time_ms in _oldest_ms(candidates).items():
        # What it must come after lies there or later: a record's time is the end of its candle or gap.
        start = archive.offset_at(group, time_ms - codec.interval_ms)
        for offset, record in archive.records(group, start, ends[group]):
            standing.take(offset, record)
    return answers(candidates, standing, topics.klines, time.time_ns() // 1_000_000)


def _oldest_ms(candidates: Sequence[RedriveCandidate]) -> dict[int, int]:
    newest_first = sorted(candidates, key=lambda one: -one.starts_ms)
    return {one.group: one.starts_ms for one in newest_first}


def _sent(settings: ServiceSettings, candidates: Sequence[RedriveCandidate]) -> list[RedriveResult]:
    """Answer again while no other writer can add to the log, and write what goes back.

    Raises:
        Fenced: a producer, or an import, took over.
        OutcomeUnknown: nobody can say whether the last records are in; whoever asks again is told.
    """
    # The producer's own id: whoever starts later fences the other, so two never write at once.
    writer = TransactionalProducer(
        settings.kafka_bootstrap_servers, producer_transactional_id(settings.topics)
    )
    try:
        found = _answered(settings, candidates)
        records = [one.record for one in found if one.record is not None]
        for at in range(0, len(records), _BATCH):
            writer.write(records[at : at + _BATCH])
    finally:
        writer.close()
    return found


def _tell(found: Sequence[RedriveResult], *, sent: bool) -> None:
    for one in found:
        why = f": {one.reason}: {_printable(one.message)}" if one.message else ""
        print(f"{one.fate:10}  {_named(one.letter)}{why}")
    fates = Counter(one.fate for one in found)
    count = fates[RedriveStatus.GOES_BACK]
    if not found:
        print("no dead letters are chosen")
    elif sent:
        print(
            f"{count} sent, {fates[RedriveStatus.IN_ALREADY]} in the log already, {fates[RedriveStatus.REFUSED]} refused"
        )
    else:
        advice = "; stop the producer and add --yes to send them" if count else ""
        print(
            f"nothing was sent: {count} would go back, {fates[RedriveStatus.IN_ALREADY]} are in the log already,"
            f" {fates[RedriveStatus.REFUSED]} would be refused again{advice}"
        )


def _described(one: StoredDeadLetter) -> str:
    letter = one.letter
    lines = [
        f"{_clock(one.time_ms)}  {_named(letter)}  {_printable(letter.reason)}",
        f"    {_printable(letter.message)}",
        "    (no bytes)" if letter.value is None else f"    {_preview(letter.value)}",
    ]
    return "\n".join(lines)


def _named(letter: DeadLetter) -> str:
    key = "-" if letter.key is None else _preview(letter.key)
    return f"{_printable(place_of(letter))}  {key}"


def _plain(one: StoredDeadLetter) -> dict[str, Any]:
    value = one.letter.value
    return {
        "time_ms": one.time_ms,
        **_plain_place(one.letter),
        "reason": one.letter.reason,
        "message": one.letter.message,
        "value_base64": None if value is None else base64.b64encode(value).decode(),
    }


def _plain_answer(one: RedriveResult) -> dict[str, Any]:
    return {
        **_plain_place(one.letter),
        "fate": one.fate,
        "reason": one.reason,
        "message": one.message,
    }


def _plain_place(letter: DeadLetter) -> dict[str, Any]:
    return {
        "place": _printable(place_of(letter)),
        "topic": letter.topic,
        "group": letter.partition,
        "offset": letter.offset,
        "key": None if letter.key is None else letter.key.decode("utf-8", "backslashreplace"),
    }


def _counted(reasons: Counter[str]) -> str:
    return ", ".join(
        f"{_printable(reason) or '(none)'} {count}" for reason, count in reasons.most_common()
    )


def _preview(data: bytes) -> str:
    """Return how bytes begin; what is no UTF-8 is shown escaped."""
    shown = _printable(data[: 4 * _SHOWN].decode("utf-8", "backslashreplace"))
    return f"{shown[:_SHOWN]}…" if len(shown) > _SHOWN else shown


def _printable(text: str) -> str:
    """Return a text, at most so long as our own letters' messages, that a terminal shows and does not obey."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode() for c in text[:_LONGEST]
    )


def _clock(time_ms: int) -> str:
    if not 0 < time_ms <= _LAST_MS:
        return "-"
    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
