"""What must hold between candles and predictions, said a second time in plain arithmetic: the fold is not used here.

Each prediction is held against its candle and against the symbol's prediction before it, as both stand on the topics.
By induction that covers the whole log, takes a few numbers a symbol, and a wrong record is not reported for ever after.
"""

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, Final

import numpy as np

from shared.core.online.prediction import Outcome, Prediction
from shared.core.online.scores import Scores
from shared.core.records import Amendment, Candle, Gap
from shared.core.sequence import SEQUENCE_LENGTH

ABSENT: Final = "nothing"


class Check(StrEnum):
    """What is checked; the value says it to people."""

    CANDLES = "candles follow one another, or a gap says why not"
    PLACE = "one prediction for each candle that should have one, at its place"
    CANDLE = "close, open time and predicted close follow from the candle"
    PREVIOUS = "the prediction before, and its outcome"
    SCORES = "running scores"
    STEPS = "steps, their losses and resets"
    LINEAGE = "model versions, their digests, parents and promotions"
    BYTES = "state digest and every byte, by folding the log again"
    DEAD_LETTERS = "what was set aside is a dead letter, and nothing else is"


@dataclass(frozen=True, slots=True)
class Difference:
    """One field: what stands on the topic, and what should."""

    name: str
    found: Any
    expected: Any


@dataclass(frozen=True, slots=True)
class Violation:
    """What does not hold of one record."""

    check: Check
    message: str
    differences: tuple[Difference, ...]


@dataclass(frozen=True, slots=True)
class ActivePromotion:
    """A promotion that took effect, and what its card says; None where only another numeric profile can read it."""

    offset: int
    model_version: str
    window_length: int | None
    numeric_profile: str | None = None  # that the promotion, or one before it, names


@dataclass(frozen=True, slots=True)
class RecordCheck:
    """What a record of the log meant: whether readers set it aside (None: they may), and what does not hold of it."""

    is_set_aside: bool | None = False
    faults: tuple[Violation, ...] = ()


@dataclass(slots=True)
class _Symbol:
    """Where one symbol stands."""

    next_ms: int  # what must come next: the end of the last candle, or of the gap after it
    last_open_ms: int
    last_close: float
    runs: deque[list[int]] = field(
        default_factory=deque
    )  # [from, until) in ms: the candles still kept
    candles: int = 0  # in all the runs
    made: Prediction | None = None  # its last prediction since the promotion
    learnable: bool = True  # no amendment since has changed what that prediction was made from
    follows_unknown: bool = (
        False  # that prediction is missing, so the next one cannot be held against it
    )


@dataclass(slots=True)
class _Event:
    """The newest candle, and what its prediction has to say."""

    offset: int
    candle: Candle
    symbol: _Symbol
    outcome: float | None  # close / close before - 1; None across a gap
    is_due: (
        bool | None
    )  # the candle is to be predicted; None: only another numeric profile can tell


class PartitionInvariants:
    """One symbol group: takes its records in order, each followed by the predictions made from it."""

    def __init__(self, interval: str, step_ms: int) -> None:
        """Start before the first record."""
        self._interval, self._step_ms = interval, step_ms
        self._symbols: dict[str, _Symbol] = {}
        self._in_force: ActivePromotion | None = None
        self._profile: str | None = None  # of the predictions since the promotion
        self._event: _Event | None = None

    def candle(self, offset: int, candle: Candle) -> RecordCheck:
        """Take a candle; one that is not newer than its symbol's newest is set aside."""
        self._event = None
        symbol = self._symbols.get(candle.symbol)
        if symbol is not None and candle.open_time_ms <= symbol.last_open_ms:
            return RecordCheck(is_set_aside=True)
        outcome, faults = None, []
        if symbol is None:
            symbol = self._symbols[candle.symbol] = _Symbol(candle.open_time_ms, 0, 0.0)
        else:
            faults = _compared(
                Check.CANDLES,
                f"candle of {candle.symbol} does not open where the one before it, or an announced gap, ends",
                candle,
                {"open_time_ms": symbol.next_ms},
            )
            if candle.open_time_ms == symbol.last_open_ms + self._step_ms:
                outcome = candle.close / symbol.last_close - 1.0
        self._extend(symbol, candle)
        self._event = _Event(offset, candle, symbol, outcome, self._is_due(symbol))
        return RecordCheck(faults=tuple(faults))

    def gap(self, gap: Gap) -> RecordCheck:
        """Take the announcement that the exchange has no candles for a while."""
        self._event = None
        symbol = self._symbols.get(gap.symbol)
        if symbol is None:
            return RecordCheck()
        faults = _compared(
            Check.CANDLES,
            f"gap of {gap.symbol} does not begin where its last candle or gap ends",
            gap,
            {"from_open_time_ms": symbol.next_ms},
        )
        symbol.next_ms = max(symbol.next_ms, gap.until_open_time_ms)
        return RecordCheck(faults=tuple(faults))

    def amendment(self, amendment: Amendment) -> RecordCheck:
        """Take the change of a candle: it counts if the candle is among those kept."""
        self._event = None
        candle = amendment.candle
        symbol = self._symbols.get(candle.symbol)
        if symbol is not None and any(
            start <= candle.open_time_ms < end for start, end in symbol.runs
        ):
            symbol.learnable = False
            if candle.open_time_ms == symbol.last_open_ms:
                symbol.last_close = candle.close
        return RecordCheck()

    def promotion(self, in_force: ActivePromotion | None) -> RecordCheck:
        """Take a promotion: candles are kept, what was pending is forgotten, scores and steps begin again.

        None: from here on nothing predicts.
        """
        self._event, self._in_force = None, in_force
        self._profile = in_force.numeric_profile if in_force is not None else None
        for symbol in self._symbols.values():
            symbol.made, symbol.follows_unknown = None, False
        return RecordCheck(is_set_aside=in_force is None)

    def set_aside(self) -> RecordCheck:
        """Take a record that no reader can use."""
        self._event = None
        return RecordCheck(is_set_aside=True)

    def is_owed(self) -> bool:
        """Say whether the newest record is a candle that should have a prediction and has none so far."""
        return self._event is not None and self._event.is_due is True

    def missing(self) -> Violation:
        """Return the fault that the newest candle has no prediction; the one after it cannot be held against it."""
        if self._event is None:
            message = "the newest record owes no prediction"
            raise ValueError(message)
        symbol, candle = self._event.symbol, self._event.candle
        symbol.made, symbol.follows_unknown, self._event.is_due = None, True, False
        opens = candle.open_time_ms + self._step_ms
        message = f"{candle.symbol} has no prediction of the candle that opens at {opens} ms, made from this one"
        return Violation(Check.PLACE, message, (Difference("prediction", ABSENT, "one"),))

    def predicted(self, prediction: Prediction) -> tuple[Violation, ...]:
        """Hold a prediction against the newest candle and the symbol's prediction before."""
        event = self._event
        if (
            event is None
            or event.is_due is False
            or prediction.source_offset != event.offset
            or prediction.symbol != event.candle.symbol
        ):
            return (self._astray(prediction),)
        faults = [
            *self._held_against_candle(prediction, event),
            *self._held_against_before(prediction, event),
            *self._held_against_promotion(prediction),
        ]
        symbol = event.symbol
        symbol.made, symbol.learnable, symbol.follows_unknown = prediction, True, False
        event.is_due = False
        return tuple(faults)

    def _is_due(self, symbol: _Symbol) -> bool | None:
        if self._in_force is None:
            return False
        window_length = self._in_force.window_length
        return None if window_length is None else symbol.candles >= window_length

    def _extend(self, symbol: _Symbol, candle: Candle) -> None:
        opens, closes = candle.open_time_ms, candle.open_time_ms + self._step_ms
        if symbol.runs and symbol.runs[-1][1] == opens:
            symbol.runs[-1][1] = closes
        else:
            symbol.runs.append([opens, closes])
        symbol.candles += 1
        if symbol.candles > SEQUENCE_LENGTH:
            symbol.candles -= 1
            symbol.runs[0][0] += self._step_ms
            if symbol.runs[0][0] == symbol.runs[0][1]:
                symbol.runs.popleft()
        symbol.next_ms, symbol.last_open_ms, symbol.last_close = closes, opens, candle.close

    def _astray(self, prediction: Prediction) -> Violation:
        """Return the fault of a prediction where none is due, or none from this record."""
        symbol = self._symbols.get(prediction.symbol)
        made = symbol.made if symbol is not None else None
        name = f"prediction of {prediction.symbol} at {prediction.open_time_ms} ms"
        if made is not None and made.open_time_ms == prediction.open_time_ms:
            message, expected = f"{name} is there a second time", f"above {made.source_offset}"
        elif made is not None and made.source_offset >= prediction.source_offset:
            message, expected = (
                f"{name} comes after a later one of its symbol",
                f"above {made.source_offset}",
            )
        else:
            message = f"{name} names a record that is no candle of its symbol with a full window and a model"
            expected = "a candle that is to be predicted, in order"
        return Violation(
            Check.PLACE, message, (Difference("source_offset", prediction.source_offset, expected),)
        )

    def _held_against_candle(self, prediction: Prediction, event: _Event) -> list[Violation]:
        candle = event.candle
        return _compared(
            Check.CANDLE,
            f"prediction of {candle.symbol} does not follow from its candle",
            prediction,
            {
                "interval": self._interval,
                "open_time_ms": candle.open_time_ms + self._step_ms,
                "close": candle.close,
                "predicted_close": candle.close * (1.0 + prediction.predicted_change),
                "calibrated_change": prediction.predicted_change * prediction.calibration,
                "calibrated_close": candle.close * (1.0 + prediction.calibrated_change),
            },
        )

    def _held_against_before(self, prediction: Prediction, event: _Event) -> list[Violation]:
        symbol = event.symbol
        if symbol.follows_unknown:
            return []
        made = symbol.made
        learnt = event.outcome if made is not None and symbol.learnable else None
        name = prediction.symbol
        return [
            *_compared(
                Check.PREVIOUS,
                f"prediction of {name} does not name the one before it and its outcome",
                prediction,
                {"previous": _previous(made, event.outcome)},
            ),
            *_compared(
                Check.SCORES,
                f"scores of {name} do not follow from those before and the outcome",
                prediction,
                {"scores": _scored(made, learnt)},
            ),
            *_compared(
                Check.STEPS,
                f"steps or loss of {name} do not follow from the outcome",
                prediction,
                {
                    "steps": 0
                    if made is None or prediction.was_reset
                    else made.steps + (learnt is not None),
                    **self._loss(made, learnt),
                },
            ),
        ]

    def _held_against_promotion(self, prediction: Prediction) -> list[Violation]:
        in_force = self._in_force
        if in_force is None:
            return []
        self._profile = self._profile or prediction.numeric_profile
        return _compared(
            Check.LINEAGE,
            f"prediction of {prediction.symbol} is not of the promotion in force",
            prediction,
            {
                "model_version": in_force.model_version,
                "promotion_offset": in_force.offset,
                "numeric_profile": self._profile,
            },
        )

    def _loss(self, made: Prediction | None, learnt: float | None) -> dict[str, float | None]:
        """Return the squared error on the network's own scale, in its float32; nothing if the scale cannot be."""
        if made is None or learnt is None:
            return {"loss": None}
        scale = made.change_scale
        if not scale > 0.0:
            return {}
        with np.errstate(over="ignore"):
            error = np.float32(made.predicted_change / scale) - np.float32(learnt / scale)
        return {"loss": float(error) * float(error) if np.isfinite(error) else None}


def differing(
    found: Mapping[str, Any], expected: Mapping[str, Any], path: str = ""
) -> Iterator[Difference]:
    """Yield the fields, nested ones by their path, that are not the same on both sides.

    >>> [d.name for d in differing({"a": 1, "b": {"c": 2.0}}, {"a": 1, "b": {"c": 2}})]
    ['b.c']
    """
    for name in sorted({*found, *expected}):
        theirs, ours = found.get(name, ABSENT), expected.get(name, ABSENT)
        if isinstance(theirs, Mapping) and isinstance(ours, Mapping):
            yield from differing(theirs, ours, f"{path}{name}.")
        elif type(theirs) is not type(ours) or theirs != ours:
            yield Difference(f"{path}{name}", theirs, ours)


def _compared(
    check: Check, message: str, found: object, expected: Mapping[str, Any]
) -> list[Violation]:
    """Return a fault with the expected fields that are otherwise, or nothing."""
    wrong = {name: value for name, value in expected.items() if getattr(found, name) != value}
    if not wrong:
        return []
    said = {name: _plain(getattr(found, name)) for name in wrong}
    return [
        Violation(
            check,
            message,
            tuple(differing(said, {name: _plain(value) for name, value in wrong.items()})),
        )
    ]


def _plain(value: Any) -> Any:
    return asdict(value) if isinstance(value, Outcome | Scores) else value


def _previous(made: Prediction | None, outcome: float | None) -> Outcome | None:
    return (
        None
        if made is None
        else Outcome(
            made.open_time_ms,
            made.model_version,
            made.predicted_change,
            made.calibrated_change,
            outcome,
        )
    )


def _scored(made: Prediction | None, outcome: float | None) -> Scores:
    """Return the scores after an outcome that was learnt from; None leaves them as they were."""
    before = Scores() if made is None else made.scores
    if made is None or outcome is None:
        return before
    predicted = made.predicted_change
    error, remaining = predicted - outcome, made.calibrated_change - outcome
    return Scores(
        n=before.n + 1,
        squared_error=before.squared_error + error * error,
        squared_error_zero=before.squared_error_zero + outcome * outcome,
        absolute_error=before.absolute_error + abs(error),
        absolute_error_zero=before.absolute_error_zero + abs(outcome),
        sign_hits=before.sign_hits + (predicted * outcome > 0),
        moves=before.moves + (outcome != 0),
        squared_error_calibrated=before.squared_error_calibrated + remaining * remaining,
    )
