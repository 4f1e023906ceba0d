"""What `ulstm verify` finds in the topics of a partition."""

import json
from collections import Counter
from dataclasses import replace

import pytest

from services.cli.audit.mismatch import Mismatch
from services.cli.audit.options import SymbolSample
from services.cli.audit.partition import PartitionAudit
from services.cli.audit.partition_log import PartitionLog, PublishedRecord
from services.cli.audit.report import AuditReport, PartitionReport
from services.cli.audit.span import PartitionSpan
from shared.adapters.kafka.reader import ConsumerRecord
from shared.core.audit.violation import ABSENT, Check
from shared.core.errors import BadInput
from shared.log.dead_letters import decode_dead_letters
from tests.services.cli.foreign_records import FOREIGN_VALUES
from tests.support.builders import a_bundle, bundle_bytes, candle_bytes
from tests.support.recorded_log import (
    BUNDLES,
    FIRST,
    NEXT,
    OWN,
    SECOND,
    SYMBOLS,
    TOPICS,
    RecordedLog,
    build_test_processor,
    candles,
    eventful_klines,
    later_klines,
    promotion,
    record_log,
)

HONEST = record_log(eventful_klines())
BTC, ETH = SYMBOLS
AT = HONEST.index_of(ETH, 22)
SOURCE = json.loads(HONEST.predictions[AT].value or b"")["source_offset"]
READABLE_BY_NOBODY = [value for value in FOREIGN_VALUES if b'"schema": 99' not in (value or b"")]


def audit(
    log: RecordedLog,
    end: int = 0,
    committed: int | None = None,
    start: int = 0,
    promotion: int | None = None,
    sample: SymbolSample | None = None,
) -> PartitionReport:
    dead_letters = decode_dead_letters([log.dead_letters])
    merged = PartitionLog(
        log.klines[start:],
        [p for p in log.predictions if source_offset(p) >= (promotion or 0)],
        (one for one in dead_letters if (one[1].topic, one[1].partition) == (TOPICS.klines, 0)),
    )
    processor = build_test_processor(OWN, log.bundles)
    span = PartitionSpan(
        0, range(start, len(log.klines)), range(len(log.predictions)), committed, promotion
    )
    checked = PartitionAudit(
        TOPICS, processor, lambda version: version in log.bundles, merged, span, sample
    )
    return checked.run(lambda: max(end, len(log.klines)))


def source_offset(record: ConsumerRecord) -> int:
    decoded = PublishedRecord(record).decoded
    return 10**12 if isinstance(decoded, BadInput) else decoded.source_offset


def find_mismatches(log: RecordedLog) -> list[tuple[Check, str, int, list[str]]]:
    """Return check, topic, offset and the differing fields of each mismatch."""
    return [
        (m.violation.check, m.topic, m.offset, [d.name for d in m.violation.differences])
        for m in audit(log).first
    ]


def only_mismatch(log: RecordedLog) -> Mismatch:
    (mismatch,) = audit(log).first
    return mismatch


def test_an_honest_log_agrees_and_all_of_it_is_checked() -> None:
    report = audit(HONEST)

    assert report.first == []
    assert report.agrees
    assert report.records == len(HONEST.klines)
    assert report.predictions == report.checked[Check.BYTES] == len(HONEST.predictions) == 34
    assert report.checked[Check.SCORES] == report.checked[Check.INTERVALS] == 34
    assert report.rejected == report.checked[Check.DEAD_LETTERS] == 2
    assert report.sha256 == report.derived_sha256
    assert (report.not_predicted_yet, report.other_profiles) == (0, Counter())


def test_a_log_with_fills_ends_and_new_beginnings_agrees() -> None:
    log = record_log([*eventful_klines(), *later_klines()])
    last = json.loads(log.predictions[-1].value or b"")

    report = audit(log)

    assert report.first == []
    assert report.predictions == report.checked[Check.BYTES] == 34 + 2 * 2 + 7 + 18 + 3
    assert report.rejected == 3
    assert (last["symbol"], last["corrections"]) == (ETH, 0)


def test_a_lost_fill_shows_in_every_later_prediction_of_its_symbol() -> None:
    klines = [*eventful_klines(), *later_klines()]
    without = [each for each in klines if b'"type":"fill"' not in each[1]]
    log = record_log(klines)

    mismatches = audit(replace(log, klines=record_log(without).klines)).mismatched

    assert mismatches[Check.PLACE] > 0


@pytest.mark.parametrize(
    ("fields", "check"),
    [
        ({"scores__squared_error": 0.5}, Check.SCORES),
        ({"previous__outcome_change": 0.5}, Check.PREVIOUS),
        ({"steps": 77}, Check.STEPS),
        ({"loss": 0.125}, Check.STEPS),
        ({"close": 1.5}, Check.CANDLE),
        ({"corrections": 5}, Check.CANDLE),
        ({"state_digest": "0" * 64}, Check.BYTES),
        ({"was_reset": True, "steps": 0}, Check.BYTES),
        ({"more": 1}, Check.BYTES),
    ],
)
def test_a_changed_field_is_shown_with_its_place_and_both_values(
    fields: dict[str, object], check: Check
) -> None:
    report = audit(HONEST.with_prediction(AT, **fields))

    first = report.first[0]
    assert (first.violation.check, first.topic, first.partition, first.offset) == (
        check,
        TOPICS.predictions,
        0,
        AT,
    )
    honest = json.loads(HONEST.predictions[AT].value or b"")
    for difference in first.violation.differences:
        expected = honest
        for part in difference.name.split("."):
            expected = expected.get(part, ABSENT)
        assert difference.found == fields[difference.name.replace(".", "__")]
        assert difference.expected == expected
    assert not report.agrees


def test_a_field_that_the_invariants_report_is_not_reported_again_by_the_fold() -> None:
    names = [
        name
        for _, _, offset, names in find_mismatches(HONEST.with_prediction(AT, steps=77))
        for name in names
        if offset == AT
    ]

    assert names == ["steps"]


def test_the_same_fields_in_other_bytes_are_found() -> None:
    spaced = HONEST.with_predictions(
        lambda old: [
            r._replace(value=(r.value or b"").replace(b",", b", ")) if i == AT else r
            for i, r in enumerate(old)
        ]
    )

    assert find_mismatches(spaced) == [(Check.BYTES, TOPICS.predictions, AT, ["bytes"])]


def test_a_prediction_under_another_key_is_found() -> None:
    moved = HONEST.with_predictions(
        lambda old: [r._replace(key=b"ETH") if i == AT else r for i, r in enumerate(old)]
    )

    assert find_mismatches(moved) == [(Check.PLACE, TOPICS.predictions, AT, ["key"])]
    assert not audit(moved).agrees


def test_a_prediction_in_another_partition_is_found() -> None:
    moved = HONEST.with_predictions(
        lambda old: [r._replace(partition=1) if i == AT else r for i, r in enumerate(old)]
    )

    assert find_mismatches(moved) == [(Check.PLACE, TOPICS.predictions, AT, ["partition"])]


def test_a_missing_prediction_is_found_at_its_candle() -> None:
    without = HONEST.with_predictions(lambda old: [*old[:AT], *old[AT + 1 :]])

    assert find_mismatches(without) == [(Check.PLACE, TOPICS.klines, SOURCE, ["prediction"])]
    assert audit(without).derived_sha256 == audit(HONEST).sha256


@pytest.mark.parametrize("at", [AT + 1, AT + 3, len(HONEST.predictions)])
def test_a_duplicate_prediction_is_found(at: int) -> None:
    twice = HONEST.with_predictions(lambda old: [*old[:at], old[AT], *old[at:]])

    assert find_mismatches(twice) == [(Check.PLACE, TOPICS.predictions, at, ["source_offset"])]


@pytest.mark.parametrize("source", [10**9, 60])
def test_a_prediction_that_names_a_later_record_does_not_hide_those_after_it(source: int) -> None:
    report = audit(HONEST.with_prediction(AT, source_offset=source))

    assert [m.offset for m in report.first if m.topic == TOPICS.predictions] == [AT]
    assert report.mismatched == {Check.PLACE: 2}  # it, and its candle without a prediction


def test_a_prediction_that_names_an_offset_past_the_end_is_found() -> None:
    last = len(HONEST.predictions) - 1

    assert (Check.PLACE, TOPICS.predictions, last, ["source_offset"]) in find_mismatches(
        HONEST.with_prediction(last, source_offset=10**9)
    )


def test_two_swapped_predictions_are_found() -> None:
    swapped = HONEST.with_predictions(lambda old: [*old[:AT], old[AT + 1], old[AT], *old[AT + 2 :]])

    assert {check for check, *_ in find_mismatches(swapped)} == {Check.PLACE}


def with_foreign(value: bytes | None) -> RecordedLog:
    return HONEST.with_predictions(
        lambda old: [*old[:AT], old[AT]._replace(value=value), *old[AT:]]
    )


@pytest.mark.parametrize("value", READABLE_BY_NOBODY)
def test_a_record_that_nobody_can_read_is_passed_over_and_counted(value: bytes | None) -> None:
    report = audit(with_foreign(value))

    assert report.agrees, report.first
    assert report.unreadable.count == 1
    assert report.predictions == len(HONEST.predictions)


@pytest.mark.parametrize("value", READABLE_BY_NOBODY)
def test_a_prediction_in_place_of_which_nobody_can_read_is_missing(value: bytes | None) -> None:
    broken = HONEST.with_predictions(
        lambda old: [r._replace(value=value) if i == AT else r for i, r in enumerate(old)]
    )

    assert find_mismatches(broken) == [(Check.PLACE, TOPICS.klines, SOURCE, ["prediction"])]


def test_a_record_of_another_schema_is_found() -> None:
    (value,) = set(FOREIGN_VALUES) - set(READABLE_BY_NOBODY)

    assert find_mismatches(with_foreign(value)) == [
        (Check.PLACE, TOPICS.predictions, AT, ["value"])
    ]


def test_a_number_that_python_cannot_hold_in_an_unknown_field_is_found() -> None:
    huge = b'{"a":' + b"1" * 5000 + b","
    broken = HONEST.with_predictions(
        lambda old: [
            r._replace(value=(r.value or b"").replace(b"{", huge, 1)) if i == AT else r
            for i, r in enumerate(old)
        ]
    )

    assert find_mismatches(broken)[0][:3] in (
        (Check.BYTES, TOPICS.predictions, AT),
        (Check.PLACE, TOPICS.klines, SOURCE),
    )


def test_candles_past_the_last_prediction_are_not_predicted_yet() -> None:
    report = audit(HONEST.with_predictions(lambda old: old[:-3]))

    assert report.agrees
    assert report.not_predicted_yet == 3


def test_candles_that_the_predictors_have_done_with_have_lost_their_predictions() -> None:
    log = HONEST.with_predictions(lambda old: old[:-3])
    last = len(HONEST.klines)

    assert audit(log, committed=last - 3).not_predicted_yet == 3
    assert audit(log, committed=last - 1).mismatched == {Check.PLACE: 2}
    assert audit(log, committed=last).mismatched == {Check.PLACE: 3}


def test_a_topic_without_any_prediction_has_lost_all_of_them() -> None:
    log = HONEST.with_predictions(lambda _: [])

    lost = audit(log, committed=len(log.klines))

    assert lost.mismatched == {Check.PLACE: len(HONEST.predictions)}
    assert not lost.agrees
    assert audit(log, committed=0).not_predicted_yet == len(HONEST.predictions)


def test_a_record_that_the_predictors_have_done_with_has_lost_its_dead_letter() -> None:
    log = record_log([*eventful_klines(), (BTC, b"{nonsense")])
    without = log.with_dead_letters(lambda old: old[:-1])

    assert audit(without, committed=len(log.klines) - 1).agrees
    assert audit(without, committed=len(log.klines)).mismatched == {Check.DEAD_LETTERS: 1}


def test_no_dead_letter_is_expected_after_the_last_prediction() -> None:
    log = record_log([*eventful_klines(), (BTC, b"{nonsense")])

    report = audit(log.with_dead_letters(lambda old: old[:-1]))

    assert report.agrees
    assert report.rejected == 3


def test_a_hole_without_a_gap_record_is_found_at_the_candle_after_it() -> None:
    log = record_log([value for value in eventful_klines() if b'"gap"' not in value[1]])

    assert [(check, topic) for check, topic, _, _ in find_mismatches(log)] == [
        (Check.CANDLES, TOPICS.klines)
    ]


REJECTED = next(i for i, record in enumerate(HONEST.klines) if record.value == b"{nonsense")


def test_a_missing_dead_letter_is_found_at_its_record() -> None:
    assert find_mismatches(HONEST.with_dead_letters(lambda old: old[1:])) == [
        (Check.DEAD_LETTERS, TOPICS.klines, REJECTED, ["dead letter"])
    ]


def test_a_dead_letter_is_expected_if_there_is_a_later_one() -> None:
    log = record_log([*eventful_klines(), (BTC, b"{nonsense"), (BTC, b"{more")])

    assert find_mismatches(log.with_dead_letters(lambda old: [*old[:2], old[3]])) == [
        (Check.DEAD_LETTERS, TOPICS.klines, len(eventful_klines()), ["dead letter"])
    ]


def test_a_dead_letter_is_expected_if_there_is_a_later_prediction() -> None:
    assert [
        names for *_, names in find_mismatches(HONEST.with_dead_letters(lambda old: old[:1]))
    ] == [["dead letter"]]


def test_a_dead_letter_with_other_bytes_is_found() -> None:
    changed = HONEST.with_dead_letters(lambda old: [old[0]._replace(value=b"{other"), *old[1:]])

    assert find_mismatches(changed) == [(Check.DEAD_LETTERS, TOPICS.dead_letters, 0, ["value"])]
    assert "{other" in str(only_mismatch(changed))


def test_a_dead_letter_of_a_record_written_during_the_audit_is_ignored() -> None:
    came = with_offset(HONEST.dead_letters[0], b"%d" % (len(HONEST.klines) + 3))
    log = HONEST.with_dead_letters(lambda old: [*old, came])

    assert audit(log, end=len(HONEST.klines) + 4).agrees
    assert not audit(log, end=len(HONEST.klines) + 3).agrees


def with_offset(dead_letter: ConsumerRecord, offset: bytes) -> ConsumerRecord:
    return dead_letter._replace(headers={**(dead_letter.headers or {}), "offset": offset})


@pytest.mark.parametrize(
    ("offset", "at"), [(b"3", 0), (b"3", 2), (b"9999", 2), (b"", 0), (b"-1", 1)], ids=str
)
def test_a_dead_letter_of_a_record_that_is_not_rejected_is_found(offset: bytes, at: int) -> None:
    log = HONEST.with_dead_letters(lambda old: [*old[:at], with_offset(old[0], offset), *old[at:]])

    assert find_mismatches(log) == [(Check.DEAD_LETTERS, TOPICS.dead_letters, at, ["offset"])]


def test_a_second_dead_letter_of_a_record_is_found() -> None:
    assert find_mismatches(HONEST.with_dead_letters(lambda old: [old[0], old[0], old[1]])) == [
        (Check.DEAD_LETTERS, TOPICS.dead_letters, 1, ["offset"])
    ]


@pytest.mark.parametrize(
    "header", [{"topic": b"klines.1m"}, {"topic": b"exchange:rest"}, {"partition": b"7"}]
)
def test_dead_letters_of_other_topics_and_partitions_are_ignored(header: dict[str, bytes]) -> None:
    other = HONEST.dead_letters[0]._replace(
        headers={**(HONEST.dead_letters[0].headers or {}), **header}
    )

    assert audit(HONEST.with_dead_letters(lambda old: [other, *old])).agrees


@pytest.mark.parametrize(
    "bundles",
    [BUNDLES, {**BUNDLES, FIRST.version: b"none"}],
    ids=["with another digest", "of an unusable bundle"],
)
def test_a_promotion_that_predictors_reject_needs_a_dead_letter_and_nothing_else(
    bundles: dict[str, bytes],
) -> None:
    rejected = promotion(FIRST, sha256="0" * 64)
    values = [*candles(0, 18), promotion(SECOND), *candles(18, 20), rejected, *candles(20, 22)]

    log = record_log(values, bundles=bundles)

    assert audit(log).agrees, audit(log).first
    assert audit(log).rejected == 1
    assert find_mismatches(log.with_dead_letters(lambda _: [])) == [
        (Check.DEAD_LETTERS, TOPICS.klines, 41, ["dead letter"])
    ]


def test_a_promotion_that_waits_for_its_model_is_no_mismatch() -> None:
    log = record_log([*candles(0, 20), promotion(FIRST), *candles(20, 22)], bundles={})
    waiting = log.with_dead_letters(lambda _: [])

    assert audit(waiting, committed=40).agrees, audit(waiting, committed=40).first


def test_a_promotion_of_a_model_that_is_not_in_the_log_is_found_once_it_is_passed() -> None:
    log = record_log([*candles(0, 20), promotion(FIRST)], bundles={})

    (mismatch,) = audit(log, committed=41).first

    assert mismatch.violation.check is Check.LINEAGE
    assert FIRST.version in mismatch.violation.message


def test_a_parent_that_is_not_in_the_log_is_found() -> None:
    orphan = {SECOND.version: BUNDLES[SECOND.version]}
    log = record_log([*candles(0, 20), promotion(SECOND), *candles(20, 22)], bundles=orphan)

    mismatch = only_mismatch(log)

    assert [(d.name, d.found) for d in mismatch.violation.differences] == [
        ("parent", FIRST.version)
    ]


def test_of_another_profiles_predictions_all_but_the_bytes_is_checked() -> None:
    log = record_log(
        [
            *eventful_klines(),
            promotion(SECOND, NEXT),
            *candles(36, 40),
            promotion(FIRST),
            *candles(40, 42),
        ],
        profiles=(OWN, NEXT),
    )

    report = audit(log)

    assert report.agrees
    assert report.other_profiles == {NEXT: 8}
    assert report.checked[Check.BYTES] == len(log.predictions) - 8
    at = log.index_of(ETH, 38)
    assert find_mismatches(log.with_prediction(at, scores__n=9))[0] == (
        Check.SCORES,
        TOPICS.predictions,
        at,
        ["scores.n"],
    )
    assert audit(log.with_prediction(at, state_digest="0" * 64)).agrees


def test_a_prediction_that_claims_another_profile_is_found() -> None:
    assert find_mismatches(HONEST.with_prediction(AT, numeric_profile=NEXT)) == [
        (Check.LINEAGE, TOPICS.predictions, AT, ["numeric_profile"])
    ]
    assert {
        check for check, *_ in find_mismatches(HONEST.with_prediction(0, numeric_profile=NEXT))
    } == {Check.LINEAGE}


THIRD = a_bundle(3)
WITH_THIRD = {**BUNDLES, THIRD.version: bundle_bytes(3)}


@pytest.mark.parametrize("dead_letter", [False, True])
def test_a_bundle_that_only_another_profile_can_read_is_no_mismatch(
    dead_letter: bool,
) -> None:
    values = [*eventful_klines(), promotion(THIRD, NEXT), *candles(36, 38)]
    log = record_log(values, profiles=(OWN, NEXT), bundles=WITH_THIRD)
    later = replace(log, bundles={**BUNDLES, THIRD.version: b"of a later version"})
    if dead_letter:
        at = len(eventful_klines())
        refused = with_offset(log.dead_letters[0], str(at).encode())._replace(
            key=b"promotion", value=log.klines[at].value
        )
        later = later.with_dead_letters(lambda old: [*old, refused]).with_predictions(
            lambda old: old[:-4]
        )

    report = audit(later)

    assert report.agrees
    assert report.other_profiles.total() == (0 if dead_letter else 4)


def test_another_profiles_promotion_of_a_model_that_is_not_in_the_log_is_found() -> None:
    log = record_log([*eventful_klines(), promotion(THIRD, NEXT)], bundles=WITH_THIRD)

    passed = audit(replace(log, bundles=BUNDLES), committed=len(log.klines)).first
    assert [mismatch.violation.check for mismatch in passed] == [Check.LINEAGE]


def test_an_unusable_bundle_of_another_profile_ends_the_one_before_it() -> None:
    values = [
        *candles(0, 18),
        promotion(FIRST),
        *candles(18, 24),
        promotion(FIRST, NEXT, sha256="0" * 64),
        *candles(24, 26),
        promotion(FIRST, NEXT),
        *candles(26, 28),
        promotion(FIRST),
        *candles(28, 30),
    ]

    report = audit(record_log(values, profiles=(OWN, NEXT)))

    assert report.first == []
    assert report.predictions == 2 * (6 + 2 + 2)
    assert report.other_profiles == {NEXT: 4}


def test_predictions_of_another_profile_are_proved_only_by_who_vouches_for_them() -> None:
    log = record_log([*candles(0, 18), promotion(FIRST, NEXT), *candles(18, 20)], profiles=(NEXT,))
    parts = [audit(log)]

    assert parts[0].other_profiles == {NEXT: 4}
    assert parts[0].other_promotions == {NEXT: 1}
    assert not AuditReport(parts).agrees
    assert AuditReport(parts).unproved_profiles == [NEXT]
    assert AuditReport(parts, accepted_profiles=frozenset({NEXT})).agrees
    assert not AuditReport(parts, accepted_profiles=frozenset({"3-other"})).agrees


def test_a_promotion_alone_of_another_profile_is_told() -> None:
    log = record_log([*eventful_klines(), promotion(FIRST, NEXT)])

    assert AuditReport([audit(log)]).unproved_profiles == [NEXT]


def test_a_profile_of_this_version_with_other_bits_is_forged() -> None:
    forged = f"{OWN.partition('-')[0]}-forged"
    values = [*candles(0, 18), promotion(FIRST, forged), *candles(18, 20)]

    assert find_mismatches(record_log(values, profiles=(forged,))) == [
        (Check.LINEAGE, TOPICS.klines, 36, ["numeric_profile"])
    ]


LONG = record_log(
    [
        *candles(0, 30),
        promotion(FIRST),
        *candles(30, 570),
        promotion(SECOND),
        *candles(570, 580),
        (ETH, candle_bytes(560, ETH, "101.5", type="amendment")),
        *candles(580, 590),
    ]
)
SECOND_AT = next(
    i for i, r in enumerate(LONG.klines) if SECOND.version.encode() in (r.value or b"")
)


def test_from_a_promotion_on_everything_is_derived_again() -> None:
    report = audit(LONG, start=101, promotion=SECOND_AT, committed=len(LONG.klines))

    assert report.first == []
    assert report.agrees
    assert report.predictions == report.checked[Check.BYTES] == 40
    assert report.unknown_symbols == {}


def test_from_a_promotion_on_a_wrong_prediction_is_found() -> None:
    at = len(LONG.predictions) - 3
    wrong = LONG.with_prediction(at, scores__squared_error=0.5)

    report = audit(wrong, start=101, promotion=SECOND_AT)

    assert (report.first[0].violation.check, report.first[0].topic) == (
        Check.SCORES,
        TOPICS.predictions,
    )


def test_a_symbol_whose_candles_were_not_all_read_is_not_derived_again() -> None:
    report = audit(LONG, start=131, promotion=SECOND_AT)

    assert report.agrees, report.first
    assert report.unknown_symbols == {BTC: 20, ETH: 20}
    assert report.checked[Check.BYTES] == 0


@pytest.mark.parametrize("includes_second", [True, False])
def test_of_a_sample_the_first_symbol_and_those_in_it_are_folded_and_all_are_checked(
    includes_second: bool,
) -> None:
    samples = map(SymbolSample, range(1000))
    sample = next(s for s in samples if s.includes(ETH) is includes_second)

    report = audit(HONEST, sample=sample)

    keys = [record.key for record in HONEST.predictions]
    assert report.agrees, report.first
    assert report.checked[Check.BYTES] == (len(keys) if includes_second else keys.count(b"BTCUSDT"))
    assert report.checked[Check.SCORES] == len(keys)
    assert not audit(HONEST.with_prediction(AT, steps=77), sample=sample).agrees


def test_different_digests_do_not_agree() -> None:
    assert PartitionReport(0, sha256="a", derived_sha256="a").agrees
    assert not PartitionReport(0, sha256="a", derived_sha256="b").agrees


def test_all_mismatches_are_counted_and_the_first_are_kept() -> None:
    report = audit(HONEST.with_predictions(lambda old: [r._replace(key=b"X") for r in old]))

    assert report.mismatched == {Check.PLACE: 34}
    assert len(report.first) == 20
