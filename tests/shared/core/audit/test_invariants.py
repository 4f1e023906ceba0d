from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.core.audit.invariants import ActivePromotion, PartitionInvariants, RecordCheck
from shared.core.audit.violation import Check, Violation
from shared.core.online.interval_scores import IntervalScores
from shared.core.online.prediction import Outcome, Prediction
from shared.core.online.scores import Scores
from shared.core.records import (
    Amendment,
    Candle,
    Fill,
    Gap,
    Promotion,
    Record,
    StatusName,
    SymbolStatus,
)
from shared.core.sequence import SEQUENCE_LENGTH
from tests.support.builders import (
    CONTEXT,
    START_MS,
    STEP_MS,
    a_candle,
    a_model,
    a_promotion,
    a_walk,
    candles,
    fold_all,
)

MODEL, OTHER = a_model(), a_model(seed=2)
MODELS = {MODEL.version: MODEL, OTHER.version: OTHER}
WINDOW = MODEL.card.architecture.window_length
AT = WINDOW + 3  # a prediction in the midst of an honest log


def check_record(invariants: PartitionInvariants, offset: int, record: Record) -> RecordCheck:
    if isinstance(record, Promotion):
        card = MODELS[record.model_version].card
        return invariants.apply_promotion(
            ActivePromotion(
                offset,
                record.model_version,
                card.architecture.window_length,
                record.numeric_profile,
            )
        )
    if isinstance(record, Candle):
        return invariants.check_candle(offset, record)
    if isinstance(record, Gap):
        return invariants.check_gap(record)
    if isinstance(record, SymbolStatus):
        return invariants.check_status(record)
    return invariants.apply_correction(record)


def violations(records: Sequence[Record], predictions: Sequence[Prediction]) -> list[Violation]:
    """Return the violations, with each prediction checked after the record it names."""
    invariants, found = PartitionInvariants(CONTEXT.interval, STEP_MS), list[Violation]()
    for offset, record in enumerate(records):
        found += check_record(invariants, offset, record).violations
        for prediction in predictions:
            if prediction.source_offset == offset:
                found += invariants.check_prediction(prediction)
        if invariants.lacks_prediction():
            found.append(invariants.report_missing_prediction())
    return found


def honest_log() -> tuple[list[Record], list[Prediction]]:
    records: list[Record] = [a_promotion(MODEL), *candles(a_walk(WINDOW + 8))]
    return records, fold_all(records, MODELS)[1]


def violations_with(at: int, change: Callable[[Prediction], Prediction]) -> list[Violation]:
    records, predictions = honest_log()
    assert violations(records, predictions) == []
    return violations(records, [change(p) if p.source_offset == at else p for p in predictions])


def checks_and_fields(found: list[Violation]) -> list[tuple[Check, list[str]]]:
    return [(violation.check, [d.name for d in violation.differences]) for violation in found]


@dataclass
class DrawnSymbol:
    """One symbol of a drawn log: its next candle's number, its candles and what gaps cover."""

    symbol: str
    next_at: int = 0
    present: set[int] = field(default_factory=set)
    missing: set[int] = field(default_factory=set)

    def candles(self, count: int, price: float) -> list[Record]:
        at, self.next_at = self.next_at, self.next_at + count
        self.present.update(range(at, self.next_at))
        return candles([price + i for i in range(count)], self.symbol, start=at)

    def gap(self, count: int) -> list[Record]:
        at, self.next_at = self.next_at, self.next_at + count
        self.missing.update(range(at, self.next_at))
        return [gap(at, self.next_at, self.symbol)]

    def fill(self, at: int, price: float) -> list[Record]:
        self.missing.discard(at)
        self.present.add(at)
        return [Fill(a_candle(at, price, self.symbol))]

    def end(self, pause: int, price: float) -> list[Record]:
        """End the symbol; a candle that is too old to begin it anew follows."""
        at, self.next_at = self.next_at, self.next_at + pause
        self.present, self.missing = set(), set()
        return [status(at, self.symbol), a_candle(at - 1, price, self.symbol)]

    def again(self, kind: str, at: int, price: float) -> list[Record]:
        """Repeat, amend or fill a candle that is there."""
        candle = a_candle(at, price, self.symbol)
        if kind == "repeated":
            return [candle]
        return [Fill(candle) if kind == "filled" else Amendment(candle)]

    def draw(self, draw: st.DrawFn) -> list[Record]:
        """Draw the next records; only candles come before the first candle."""
        price, count = draw(st.floats(50.0, 200.0)), draw(st.integers(1, 3))
        kind = draw(st.sampled_from(KINDS)) if self.present else "candles"
        if kind == "candles":
            return self.candles(draw(st.sampled_from([1, 1, 1, 8])), price)
        if kind == "gap":
            return self.gap(count)
        if kind == "fill":
            return self.fill(at, price) if (at := min(self.missing, default=0)) else []
        if kind == "end":
            return self.end(count, price)
        if kind == "halted":
            return [status(self.next_at, self.symbol, kind)]
        return self.again(kind, draw(st.sampled_from(sorted(self.present))), price)


KINDS = [*["candles"] * 20, *["gap", "fill"] * 2, "repeated", "amended", "filled", "end", "halted"]


@st.composite
def logs(draw: st.DrawFn) -> list[Record]:
    """Draw what a producer, a correcting exchange and a trainer may write for two symbols."""
    drafts = [DrawnSymbol("BTCUSDT"), DrawnSymbol("ETHUSDT")]
    records: list[Record] = [a_promotion(MODEL)] if draw(st.booleans()) else []
    for _ in range(draw(st.integers(2 * WINDOW, 4 * WINDOW))):
        if draw(st.integers(0, 30)) == 0:
            records.append(a_promotion(draw(st.sampled_from([MODEL, OTHER]))))
        records += draw(st.sampled_from(drafts)).draw(draw)
    return records


def status(at: int, symbol: str = "BTCUSDT", name: str = "delisted") -> SymbolStatus:
    return SymbolStatus(symbol, START_MS + at * STEP_MS, cast("StatusName", name), "seen")


def gap(start: int, end: int, symbol: str = "BTCUSDT") -> Gap:
    return Gap(symbol, START_MS + start * STEP_MS, START_MS + end * STEP_MS)


@pytest.mark.slow
@given(logs())
@settings(max_examples=100)
def test_the_predictions_of_the_fold_keep_all_invariants(records: list[Record]) -> None:
    assert violations(records, fold_all(records, MODELS)[1]) == []


CHANGES: dict[str, tuple[Any, Check]] = {
    "interval": ("1m", Check.CANDLE),
    "open_time_ms": (START_MS, Check.CANDLE),
    "close": (100.0, Check.CANDLE),
    "predicted_close": (100.0, Check.CANDLE),
    "predicted_change": (0.5, Check.CANDLE),
    "calibration": (0.5, Check.CANDLE),
    "calibrated_change": (0.5, Check.CANDLE),
    "calibrated_close": (100.0, Check.CANDLE),
    "corrections": (1, Check.CANDLE),
    "previous": (None, Check.PREVIOUS),
    "scores": (Scores(), Check.SCORES),
    "intervals": ((), Check.INTERVALS),
    "interval_scores": (IntervalScores(), Check.INTERVALS),
    "steps": (0, Check.STEPS),
    "loss": (None, Check.STEPS),
    "was_reset": (True, Check.STEPS),
    "model_version": (OTHER.version, Check.LINEAGE),
    "promotion_offset": (1, Check.LINEAGE),
    "numeric_profile": ("2-other", Check.LINEAGE),
    "source_offset": (AT - 1, Check.PLACE),
    "symbol": ("ETHUSDT", Check.PLACE),
}


ONLY_FOLDED = {"state_digest", "change_scale", "actionable"}  # plain arithmetic does not give them


def test_every_field_that_arithmetic_can_derive_is_checked() -> None:
    assert {f.name for f in fields(Prediction)} - ONLY_FOLDED == set(CHANGES)


@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_field_is_a_violation_of_its_prediction(name: str) -> None:
    value, check = CHANGES[name]

    found = violations_with(AT, lambda p: replace(p, **{name: value}))

    assert check in {violation.check for violation in found}


@pytest.mark.parametrize("name", [f.name for f in fields(Scores)])
def test_a_wrong_score_is_named_with_both_values(name: str) -> None:
    def change(prediction: Prediction) -> Prediction:
        return replace(
            prediction,
            scores=replace(prediction.scores, **{name: getattr(prediction.scores, name) + 1}),
        )

    first = violations_with(AT, change)[0]

    assert first.check is Check.SCORES
    assert [d.name for d in first.differences] == [f"scores.{name}"]
    assert first.differences[0].found == first.differences[0].expected + 1


@pytest.mark.parametrize("name", [f.name for f in fields(Outcome)])
def test_a_wrong_outcome_is_named(name: str) -> None:
    def change(prediction: Prediction) -> Prediction:
        assert prediction.previous is not None
        wrong: dict[str, Any] = {name: 0}
        return replace(prediction, previous=replace(prediction.previous, **wrong))

    assert checks_and_fields(violations_with(AT, change)) == [
        (Check.PREVIOUS, [f"previous.{name}"])
    ]


def test_a_loss_one_bit_off_is_a_violation() -> None:
    found = violations_with(AT, lambda p: replace(p, loss=(p.loss or 0.0) * (1 + 2**-52)))

    assert checks_and_fields(found) == [(Check.STEPS, ["loss"])]


def test_a_reset_begins_the_steps_again() -> None:
    records, predictions = honest_log()
    at = AT - WINDOW
    reset = [
        replace(p, was_reset=i == at, steps=p.steps if i < at else i - at)
        for i, p in enumerate(predictions)
    ]

    assert violations(records, reset) == []


def test_a_missing_prediction_is_a_violation_of_its_candle_alone() -> None:
    records, predictions = honest_log()

    found = violations(records, [p for p in predictions if p.source_offset != AT])

    assert checks_and_fields(found) == [(Check.PLACE, ["prediction"])]
    assert f"opens at {START_MS + AT * STEP_MS} ms" in found[0].message


def test_two_predictions_after_a_missing_one_are_compared_with_each_other() -> None:
    records, predictions = honest_log()
    wrong = [
        replace(p, steps=77) if p.source_offset == AT + 2 else p
        for p in predictions
        if p.source_offset != AT
    ]

    assert [violation.check for violation in violations(records, wrong)] == [
        Check.PLACE,
        Check.STEPS,
        Check.STEPS,
    ]


def test_after_a_promotion_a_missing_prediction_before_it_does_not_matter() -> None:
    records = [
        a_promotion(MODEL),
        *candles(a_walk(WINDOW + 2)),
        a_promotion(OTHER),
        a_candle(WINDOW + 2),
    ]
    *before, after = fold_all(records, MODELS)[1]

    found = violations(records, [*before[:-1], replace(after, steps=3)])

    assert [violation.check for violation in found] == [Check.PLACE, Check.STEPS]


def test_a_prediction_that_names_another_record_is_a_violation() -> None:
    records, predictions = honest_log()
    invariants = PartitionInvariants(CONTEXT.interval, STEP_MS)
    for offset, record in enumerate(records[: WINDOW + 1]):
        check_record(invariants, offset, record)

    (violation,) = invariants.check_prediction(replace(predictions[0], source_offset=3))

    assert violation.check is Check.PLACE
    assert invariants.lacks_prediction()


def test_an_unchanged_close_is_no_hit_and_no_move() -> None:
    records = [a_promotion(MODEL), *candles([*a_walk(WINDOW), 100.0, 100.0, 100.0, 101.0])]

    assert violations(records, fold_all(records, MODELS)[1]) == []


@pytest.mark.parametrize(("corrected", "kind"), [(0, Amendment), (1, Fill), (5, Amendment)])
def test_a_correction_counts_while_its_candle_is_kept(
    corrected: int, kind: type[Amendment | Fill]
) -> None:
    """Of 1,026 candles, the first two are dropped; the first is alone before a gap."""
    walk = a_walk(SEQUENCE_LENGTH + 2)
    records: list[Record] = [
        *candles(walk[:1]),
        gap(1, 2),
        *candles(walk[1:], start=2),
        a_promotion(MODEL),
        *candles([100.0], start=SEQUENCE_LENGTH + 3),
        kind(a_candle(corrected, 99.0)),
        *candles([101.0, 102.0], start=SEQUENCE_LENGTH + 4),
    ]

    assert violations(records, fold_all(records, MODELS)[1]) == []


def test_a_duplicate_prediction_is_a_violation() -> None:
    records, predictions = honest_log()
    twice = [p for p in predictions for _ in range(1 + (p.source_offset == AT))]

    found = violations(records, twice)

    assert checks_and_fields(found) == [(Check.PLACE, ["source_offset"])]
    assert "duplicate" in found[0].message


def test_a_prediction_after_a_later_one_is_a_violation() -> None:
    records, predictions = honest_log()
    invariants = PartitionInvariants(CONTEXT.interval, STEP_MS)
    for offset, record in enumerate(records):
        check_record(invariants, offset, record)
        for prediction in predictions:
            if prediction.source_offset == offset:
                invariants.check_prediction(prediction)

    found = invariants.check_prediction(predictions[1])

    assert [violation.check for violation in found] == [Check.PLACE]
    assert "after a later one" in found[0].message


@pytest.mark.parametrize(
    "records",
    [
        candles(a_walk(WINDOW)),
        [a_promotion(MODEL), *candles(a_walk(WINDOW - 1))],
        [a_promotion(MODEL), *candles(a_walk(WINDOW)), a_candle(0, 90.0)],
    ],
    ids=["without a model", "without a full window", "of a candle that is rejected"],
)
def test_a_prediction_that_is_not_due_is_a_violation(records: list[Record]) -> None:
    _, predictions = honest_log()
    owed = fold_all(records, MODELS)[1]

    found = violations(records, [*owed, replace(predictions[0], source_offset=len(records) - 1)])

    assert [violation.check for violation in found] == [Check.PLACE]


def test_a_hole_without_a_gap_record_is_a_violation() -> None:
    found = violations([a_candle(0), a_candle(1), a_candle(4)], [])

    assert checks_and_fields(found) == [(Check.CANDLES, ["open_time_ms"])]
    assert found[0].differences[0].found == START_MS + 4 * STEP_MS
    assert found[0].differences[0].expected == START_MS + 2 * STEP_MS


@pytest.mark.parametrize(
    ("records", "names"),
    [
        ([a_candle(0), gap(1, 3), a_candle(3)], []),
        ([a_candle(0), gap(1, 2), gap(2, 3), a_candle(3)], []),
        ([gap(0, 3), a_candle(5)], []),
        ([a_candle(0), gap(1, 2), a_candle(3)], ["open_time_ms"]),
        ([a_candle(0), gap(1, 4), a_candle(3)], ["open_time_ms"]),
        ([a_candle(0), gap(2, 3), a_candle(3)], ["from_open_time_ms"]),
        ([a_candle(0), a_candle(1), gap(1, 2), a_candle(2)], ["from_open_time_ms"]),
    ],
)
def test_gaps_and_candles_must_be_contiguous(records: list[Record], names: list[str]) -> None:
    assert [d.name for violation in violations(records, []) for d in violation.differences] == names


@pytest.mark.parametrize(
    ("records", "names"),
    [
        ([a_candle(0), gap(1, 3), a_candle(3), Fill(a_candle(1)), Fill(a_candle(2))], []),
        ([a_candle(0), gap(1, 3), Fill(a_candle(2)), a_candle(3)], []),
        ([a_candle(0), Fill(a_candle(1))], ["open_time_ms"]),
        ([a_candle(0), gap(1, 3), Fill(a_candle(3))], ["open_time_ms"]),
        ([a_candle(5), Fill(a_candle(4))], ["open_time_ms"]),
        ([a_candle(5), Amendment(a_candle(4))], ["open_time_ms"]),
        ([a_candle(0), status(1, name="halted"), gap(1, 4), status(4, name="resumed")], []),
        ([a_candle(0), a_candle(1), status(1, name="halted")], ["time_ms"]),
        ([a_candle(0), status(1), a_candle(7)], []),
        ([status(0, name="listed"), a_candle(0), a_candle(2)], ["open_time_ms"]),
        ([a_candle(0), status(1, name="listed")], ["status"]),
        ([a_candle(0), status(1), status(7, name="listed"), a_candle(8), a_candle(9)], []),
        ([a_candle(0), status(1), a_candle(7), a_candle(9)], ["open_time_ms"]),
    ],
)
def test_corrections_and_statuses_must_fit_the_candles(
    records: list[Record], names: list[str]
) -> None:
    assert [d.name for violation in violations(records, []) for d in violation.differences] == names


@pytest.mark.parametrize(
    "records",
    [
        [a_candle(0), a_candle(1), Fill(a_candle(1))],
        [a_candle(0), gap(1, 2), a_candle(2), Amendment(a_candle(1))],
        [a_candle(0), gap(1, 2), a_candle(2), Fill(a_candle(1)), Fill(a_candle(1))],
        [Fill(a_candle(1))],
        [a_candle(0), status(1), Amendment(a_candle(0))],
        [a_candle(0), status(1), a_candle(0)],
    ],
)
def test_corrections_that_contradict_the_candles_are_rejected(records: list[Record]) -> None:
    invariants = PartitionInvariants("5m", STEP_MS)
    checks = [check_record(invariants, offset, record) for offset, record in enumerate(records)]

    rejected = [check.is_rejected for check in checks]
    assert rejected == [False] * (len(records) - 1) + [True]
    assert all(not check.violations for check in checks)


def test_a_fill_older_than_the_candles_kept_must_lie_in_a_gap_too() -> None:
    later = candles(a_walk(SEQUENCE_LENGTH + 1), start=2)
    for records, count in (
        ([a_candle(0), gap(1, 2), *later, Fill(a_candle(1))], 0),
        ([a_candle(0), gap(1, 2), *later, Fill(a_candle(1)), Fill(a_candle(1))], 1),
        ([a_candle(0), a_candle(1), *later, Fill(a_candle(1))], 1),
        ([a_candle(0), gap(1, 2), *later, Amendment(a_candle(1))], 1),
    ):
        assert len(violations(records, [])) == count


def test_repeated_candles_are_rejected() -> None:
    invariants = PartitionInvariants("5m", STEP_MS)
    rejected = [
        invariants.check_candle(i, a_candle(at)).is_rejected for i, at in enumerate([0, 1, 1, 0, 2])
    ]

    assert rejected == [False, False, True, True, False]


def test_another_profiles_card_needs_no_prediction_and_allows_any() -> None:
    records, predictions = honest_log()
    invariants = PartitionInvariants(CONTEXT.interval, STEP_MS)
    invariants.apply_promotion(ActivePromotion(0, MODEL.version, None, CONTEXT.numeric_profile))
    found: list[Violation] = []
    for offset, record in enumerate(records[1:], start=1):
        check_record(invariants, offset, record)
        found += [
            f
            for p in predictions
            if p.source_offset == offset
            for f in invariants.check_prediction(p)
        ]
        assert not invariants.lacks_prediction()

    assert found == []
