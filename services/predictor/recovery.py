"""Where to go on. Truth order: committed offset, then log, then Redis."""

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol

from shared.adapters.folding import Folded, Folder, Unseen
from shared.adapters.kafka.reader import Received
from shared.adapters.messages import decode_prediction, encode_prediction
from shared.adapters.states import Saved
from shared.core.candle import Candle, Promotion, Record
from shared.core.errors import BadInput, Incompatible
from shared.core.fold import GroupState
from shared.core.prediction import Prediction
from shared.core.state import SEQUENCE_LENGTH

Recovery = Generator[None, None, GroupState]
"""Yields after each block it has read; returns the group to go on with."""

_TAIL: Final = 4096  # predictions read back to find each symbol's last


class History(Protocol):
    """A topic read without a group: only committed records."""

    def ends(self, partition: int) -> tuple[int, int]:
        """Return the first offset and the one after the last."""

    def offset_at(self, partition: int, time_ms: int) -> int:
        """Return the first offset of this time or later."""

    def read(self, partition: int, start: int, end: int | None = None) -> Iterator[list[Received]]:
        """Yield the records of a span of offsets."""


@dataclass(frozen=True, slots=True)
class Published:
    """What the tail of the predictions topic says of a group."""

    last: Mapping[str, Prediction]  # by symbol
    first_profile: str | None = None  # numeric profile of the group's very first prediction

    @property
    def next_offset(self) -> int:
        """The offset after the newest record that a prediction came from."""
        return max((p.source_offset + 1 for p in self.last.values()), default=0)

    @property
    def newest(self) -> Prediction | None:
        """The prediction from the newest record; it names the last promotion and numeric profile that led to one."""
        return max(self.last.values(), key=lambda p: p.source_offset, default=None)


def read_published(predictions: History, group: int) -> Published:
    """Read the last prediction of each symbol in the tail of a group's predictions.

    Raises:
        Incompatible: the topic holds something else.
    """
    first, end = predictions.ends(group)
    start = max(first, end - _TAIL)
    last: dict[str, Prediction] = {}
    while True:
        for block in predictions.read(group, start, end):
            for record in block:
                prediction = _prediction(record)
                last[prediction.symbol] = prediction
        if last or start == first:  # the tail may hold nothing but markers of transactions
            return Published(last, _first_profile(predictions, group))
        start = max(first, end - (end - start) * 4)


def _first_profile(predictions: History, group: int) -> str | None:
    first = next((block[0] for block in predictions.read(group, 0)), None)
    return None if first is None else _prediction(first).numeric_profile


def _prediction(record: Received) -> Prediction:
    try:
        return decode_prediction(record.value)
    except BadInput as error:
        message = (
            f"predictions {record.partition}/{record.offset} is no prediction of this version ({error});"
            " start a new deployment under another TOPIC_PREFIX"
        )
        raise Incompatible(message) from error


def next_offset(committed: int | None, published: Published, end: int, group: int) -> int:
    """Decide which record is the next to predict from; never one that was predicted from already.

    Raises:
        Incompatible: the log is shorter than what was read of it.
    """
    at = max(committed or 0, published.next_offset)
    if at > end:
        message = (
            f"symbol group {group} was read up to offset {at}, its klines end at {end}: the topic was made anew or"
            " lost its end; restore it, or start a new deployment under another TOPIC_PREFIX"
        )
        raise Incompatible(message)
    return at


def from_saved(saved: Saved | None, at: int, published: Published, profile: str) -> GroupState | None:
    """Return the group that Redis holds for a numeric profile, if it is a fold of what is committed."""
    if saved is None or saved.watermark > at:
        return None
    for symbol, prediction in published.last.items():
        if prediction.source_offset < saved.watermark and not _follows(saved, symbol, prediction):
            return None
    return GroupState(
        saved.watermark,
        saved.promotion_offset,
        saved.model_version,
        saved.symbols,
        saved.known_from,
        profile,
    )


def _follows(saved: Saved, symbol: str, prediction: Prediction) -> bool:
    """Say whether a saved state is one that came out of the symbol's last prediction."""
    state = saved.symbols.get(symbol)
    if state is None or state.pending is None:
        return state is not None and saved.promotion_offset != prediction.promotion_offset
    return (
        state.pending.open_time_ms == prediction.open_time_ms
        and state.pending.change == prediction.predicted_change
        and state.scores == prediction.scores
    )


class Replay:
    """Rebuilds a group from the log up to an offset, block by block, publishing nothing.

    It starts one sequence before the last promotion, where a state follows from its candles alone; a symbol that this
    does not bring back to its last published prediction, to the byte, makes it start at the beginning.
    """

    def __init__(self, folder: Folder, klines: History, published: Published, group: int) -> None:
        """Take what to fold with, what to read and what the result must agree with."""
        self._folder, self._klines, self._published, self._group = folder, klines, published, group

    def blocks(self, base: GroupState | None, at: int, *, whole: bool = False) -> Recovery:
        """Return the group at an offset.

        Args:
            base: the state to start from, if there is one.
            at: the next offset to predict from.
            whole: start at the beginning.

        Raises:
            Incompatible: the log does not lead to what was published, or another numeric profile predicts there.
        """
        start = self._beginning() if whole else base or self._shortly_before()
        known_from = start.known_from if base else start.next_offset
        group, doubts = yield from self._fold(start, known_from, at)
        if doubts and (start.next_offset or known_from):
            group, doubts = yield from self._fold(self._beginning(), 0, at)
        if doubts:
            message = (
                f"symbol group {self._group}: replaying its klines does not give what was published for"
                f" {', '.join(sorted(doubts)[:5])}; its topics or models were changed from outside: restore them, or"
                " start a new deployment under another TOPIC_PREFIX"
            )
            raise Incompatible(message)
        return group

    def _fold(self, base: GroupState, known_from: int, at: int) -> Generator[None, None, tuple[GroupState, set[str]]]:
        """Fold up to `at`; return the group, and the symbols whose state is in doubt."""
        folded = Folded(base)
        proved: set[str] = set(base.symbols)
        doubts: set[str] = set()
        for block in self._klines.read(self._group, base.next_offset, at):
            for record in block:
                try:
                    self._folder.fold(folded, record)
                except Unseen as error:
                    return base, {str(error)}
            doubts |= self._contradicted(folded.predictions, proved)
            folded.predictions.clear()
            folded.dead_letters.clear()
            yield
        group = replace(folded.group, next_offset=at, known_from=known_from)
        self._refuse_other_profile(group)
        if known_from:
            full = {s for s, state in group.symbols.items() if len(state.sequence) >= SEQUENCE_LENGTH}
            doubts |= set(group.symbols) - full - proved
        return group, doubts

    def _contradicted(self, predictions: Sequence[Prediction], proved: set[str]) -> set[str]:
        """Compare with what was published; add the symbols that agree to `proved`."""
        doubts = set()
        for prediction in predictions:
            known = self._published.last.get(prediction.symbol)
            if known is None or known.source_offset != prediction.source_offset:
                continue
            if encode_prediction(known) == encode_prediction(prediction):
                proved.add(prediction.symbol)
            else:
                doubts.add(prediction.symbol)
        return doubts

    def _refuse_other_profile(self, group: GroupState) -> None:
        """Never mix predictions of different arithmetic: where another profile predicts, only a promotion ends that.

        Raises:
            Incompatible: another profile predicts from the group's next record.
        """
        ours = self._folder.deployment.numeric_profile
        if self._folder.deployment.predicts(group.numeric_profile):
            return
        first, promotion = self._next_own_promotion(group.next_offset)
        if promotion is not None and promotion == first:
            return
        until = (
            "; promote a model with this version (`ulstm models promote VERSION`), let the other version go up to that"
            " promotion, then start this one"
            if promotion is None
            else f" until offset {promotion}, where this one takes over: let it go up to there, then start this one"
        )
        message = (
            f"symbol group {self._group}: from offset {group.next_offset} on numeric profile {group.numeric_profile}"
            f" predicts, this is {ours}: run the version that has {group.numeric_profile}{until}"
        )
        raise Incompatible(message)

    def _next_own_promotion(self, start: int) -> tuple[int | None, int | None]:
        """Return the offset of the first record from `start` on, and of the first promotion of this profile."""
        first = None
        for block in self._klines.read(self._group, start):
            for record in block:
                first = record.offset if first is None else first
                value = self._decoded(record)
                if isinstance(value, Promotion) and value.numeric_profile == self._folder.deployment.numeric_profile:
                    return first, record.offset
        return first, None

    def _beginning(self) -> GroupState:
        return GroupState(numeric_profile=self._published.first_profile)

    def _shortly_before(self) -> GroupState:
        """Return an empty group one sequence before the last promotion that led to a prediction."""
        newest = self._published.newest
        if newest is None:
            return self._beginning()
        time_ms = self._time_before(newest.promotion_offset)
        span = (SEQUENCE_LENGTH + 1) * self._folder.deployment.interval_ms
        start = min(newest.promotion_offset, self._klines.offset_at(self._group, time_ms - span))
        return GroupState(start, numeric_profile=newest.numeric_profile)

    def _time_before(self, offset: int) -> int:
        """Return the time of a candle shortly before an offset."""
        back = 64
        while True:
            start = max(0, offset - back)
            for block in self._klines.read(self._group, start, offset):
                times = [r.timestamp_ms for r in block if isinstance(self._decoded(r), Candle)]
                if times:
                    return min(times)
            if start == 0:
                return 0
            back *= 8

    def _decoded(self, record: Received) -> Record | None:
        try:
            return self._folder.codec.decode(record.value, record.partition)
        except BadInput:
            return None
