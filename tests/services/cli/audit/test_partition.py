"""What `ulstm verify` finds in a symbol group's topics."""

import json
from collections import Counter
from dataclasses import replace

import pytest

from services.cli.audit.partition import PartitionAudit
from services.cli.audit.partition_log import PartitionLog, decode_published
from services.cli.audit.report import Mismatch, PartitionReport
from shared.adapters.kafka.reader import ConsumerRecord
from shared.core.audit.violation import ABSENT, Check
from shared.log.dead_letters import decode_dead_letters
from tests.services.cli.foreign_records import FOREIGN_VALUES
from tests.support.builders import a_bundle, bundle_bytes
from tests.support.recorded_log import (
    BUNDLES,
    FIRST,
    NEXT,
    OWN,
    SECOND,
    SYMBOLS,
    TOPICS,
    RecordedLog,
    candles,
    eventful,
    processor_for,
    promotion,
    recorded,
)

HONEST = recorded(eventful())
BTC, ETH = SYMBOLS
AT = HONEST.index_of(ETH, 22)


def audit(log: RecordedLog, end: int = 0) -> PartitionReport:
    dead_letters = decode_dead_letters([log.dead_letters])
    merged = PartitionLog(
        log.klines,
        decode_published([log.predictions]),
        (one for one in dead_letters if (one[1].topic, one[1].partition) == (TOPICS.klines, 0)),
    )
    processor = processor_for(OWN, log.bundles)
    checked = PartitionAudit(TOPICS, processor, lambda version: version in log.bundles, merged, 0)
    return checked.run(lambda: max(end, len(log.klines)))


def found(log: RecordedLog) -> list[tuple[Check, str, int, list[str]]]:
    """Each mismatch: what was checked, topic, offset, and the fields that differ."""
    return [
        (m.violation.check, m.topic, m.offset, [d.name for d in m.violation.differences])
        for m in audit(log).first
    ]


def only(log: RecordedLog) -> Mismatch:
    (mismatch,) = audit(log).first
    return mismatch


def test_an_honest_log_holds_and_everything_in_it_was_checked() -> None:
    report = audit(HONEST)

    assert report.first == []
    assert report.agrees
    assert report.records == len(HONEST.klines)
    assert report.predictions == report.checked[Check.BYTES] == len(HONEST.predictions) == 34
    assert report.rejected == report.checked[Check.DEAD_LETTERS] == 2
    assert report.sha256 == report.derived_sha256
    assert (report.not_predicted_yet, report.other_profiles) == (0, Counter())


@pytest.mark.parametrize(
    ("fields", "check"),
    [
        ({"scores__squared_error": 0.5}, Check.SCORES),
        ({"previous__outcome_change": 0.5}, Check.PREVIOUS),
        ({"steps": 77}, Check.STEPS),
        ({"loss": 0.125}, Check.STEPS),
        ({"close": 1.5}, Check.CANDLE),
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


def test_a_field_that_plain_arithmetic_finds_is_not_said_again_by_the_fold() -> None:
    names = [
        name
        for _, _, offset, names in found(HONEST.with_prediction(AT, steps=77))
        for name in names
        if offset == AT
    ]

    assert names == ["steps"]


def test_a_prediction_that_says_the_same_in_other_bytes_is_found() -> None:
    spaced = HONEST.with_predictions(
        lambda old: [
            r._replace(value=(r.value or b"").replace(b",", b", ")) if i == AT else r
            for i, r in enumerate(old)
        ]
    )

    assert found(spaced) == [(Check.BYTES, TOPICS.predictions, AT, ["bytes"])]


def test_a_prediction_under_another_key_is_found() -> None:
    moved = HONEST.with_predictions(
        lambda old: [r._replace(key=b"ETH") if i == AT else r for i, r in enumerate(old)]
    )

    assert found(moved) == [(Check.PLACE, TOPICS.predictions, AT, ["key"])]
    assert not audit(moved).agrees


def test_a_prediction_in_the_partition_of_another_group_is_found() -> None:
    moved = HONEST.with_predictions(
        lambda old: [r._replace(partition=1) if i == AT else r for i, r in enumerate(old)]
    )

    assert found(moved) == [(Check.PLACE, TOPICS.predictions, AT, ["partition"])]


def test_a_prediction_that_is_left_out_is_found_at_its_candle() -> None:
    source = json.loads(HONEST.predictions[AT].value or b"")["source_offset"]
    without = HONEST.with_predictions(lambda old: [*old[:AT], *old[AT + 1 :]])

    assert found(without) == [(Check.PLACE, TOPICS.klines, source, ["prediction"])]
    assert audit(without).derived_sha256 == audit(HONEST).sha256


@pytest.mark.parametrize("at", [AT + 1, AT + 3, len(HONEST.predictions)])
def test_a_prediction_published_twice_is_found_where_it_is_the_second(at: int) -> None:
    twice = HONEST.with_predictions(lambda old: [*old[:at], old[AT], *old[at:]])

    assert found(twice) == [(Check.PLACE, TOPICS.predictions, at, ["source_offset"])]


@pytest.mark.parametrize("source", [10**9, 60])
def test_a_prediction_that_names_a_later_record_does_not_hide_those_after_it(source: int) -> None:
    report = audit(HONEST.with_prediction(AT, source_offset=source))

    assert [m.offset for m in report.first if m.topic == TOPICS.predictions] == [AT]
    assert report.mismatched == {Check.PLACE: 2}  # it, and its candle without a prediction


def test_a_prediction_that_names_what_lies_past_the_end_is_found() -> None:
    last = len(HONEST.predictions) - 1

    assert (Check.PLACE, TOPICS.predictions, last, ["source_offset"]) in found(
        HONEST.with_prediction(last, source_offset=10**9)
    )


def test_two_predictions_that_changed_places_are_found() -> None:
    swapped = HONEST.with_predictions(lambda old: [*old[:AT], old[AT + 1], old[AT], *old[AT + 2 :]])

    assert {check for check, *_ in found(swapped)} == {Check.PLACE}


@pytest.mark.parametrize("value", FOREIGN_VALUES)
def test_a_record_that_is_no_prediction_is_found(value: bytes | None) -> None:
    broken = HONEST.with_predictions(
        lambda old: [r._replace(value=value) if i == AT else r for i, r in enumerate(old)]
    )

    assert found(broken)[0] == (Check.PLACE, TOPICS.predictions, AT, ["value"])


def test_a_number_that_python_cannot_hold_in_an_unknown_field_is_found() -> None:
    huge = b'{"a":' + b"1" * 5000 + b","
    broken = HONEST.with_predictions(
        lambda old: [
            r._replace(value=(r.value or b"").replace(b"{", huge, 1)) if i == AT else r
            for i, r in enumerate(old)
        ]
    )

    assert {check for check, *_ in found(broken)} <= {Check.BYTES, Check.PLACE}
    assert found(broken)[0][2] == AT


def test_candles_past_the_last_prediction_are_not_predicted_yet() -> None:
    report = audit(HONEST.with_predictions(lambda old: old[:-3]))

    assert report.agrees
    assert report.not_predicted_yet == 3


def test_a_dead_letter_is_not_awaited_past_the_last_prediction() -> None:
    log = recorded([*eventful(), (BTC, b"{nonsense")])

    report = audit(log.with_dead_letters(lambda old: old[:-1]))

    assert report.agrees
    assert report.rejected == 3


def test_a_hole_that_no_gap_announces_is_found_at_the_candle_after_it() -> None:
    log = recorded([value for value in eventful() if b'"gap"' not in value[1]])

    assert [(check, topic) for check, topic, _, _ in found(log)] == [(Check.CANDLES, TOPICS.klines)]


ASIDE = next(i for i, record in enumerate(HONEST.klines) if record.value == b"{nonsense")


def test_a_dead_letter_that_is_missing_is_found_at_its_record() -> None:
    assert found(HONEST.with_dead_letters(lambda old: old[1:])) == [
        (Check.DEAD_LETTERS, TOPICS.klines, ASIDE, ["dead letter"])
    ]


def test_a_dead_letter_is_awaited_where_only_a_later_letter_shows_that_its_batch_is_done() -> None:
    log = recorded([*eventful(), (BTC, b"{nonsense"), (BTC, b"{more")])

    assert found(log.with_dead_letters(lambda old: [*old[:2], old[3]])) == [
        (Check.DEAD_LETTERS, TOPICS.klines, len(eventful()), ["dead letter"])
    ]


def test_a_dead_letter_is_awaited_where_only_a_later_prediction_shows_that_its_batch_is_done() -> (
    None
):
    assert [names for *_, names in found(HONEST.with_dead_letters(lambda old: old[:1]))] == [
        ["dead letter"]
    ]


def test_a_dead_letter_with_other_bytes_is_found() -> None:
    changed = HONEST.with_dead_letters(lambda old: [old[0]._replace(value=b"{other"), *old[1:]])

    assert found(changed) == [(Check.DEAD_LETTERS, TOPICS.dead_letters, 0, ["value"])]
    assert "{other" in str(only(changed))


def test_a_dead_letter_of_what_came_since_is_left_to_the_next_time() -> None:
    came = with_offset(HONEST.dead_letters[0], b"%d" % (len(HONEST.klines) + 3))
    log = HONEST.with_dead_letters(lambda old: [*old, came])

    assert audit(log, end=len(HONEST.klines) + 4).agrees
    assert not audit(log, end=len(HONEST.klines) + 3).agrees


def with_offset(dead_letter: ConsumerRecord, offset: bytes) -> ConsumerRecord:
    return dead_letter._replace(headers={**(dead_letter.headers or {}), "offset": offset})


@pytest.mark.parametrize(
    ("offset", "at"), [(b"3", 0), (b"3", 2), (b"9999", 2), (b"", 0), (b"-1", 1)], ids=str
)
def test_a_dead_letter_of_a_record_that_was_not_set_aside_is_found(offset: bytes, at: int) -> None:
    log = HONEST.with_dead_letters(lambda old: [*old[:at], with_offset(old[0], offset), *old[at:]])

    assert found(log) == [(Check.DEAD_LETTERS, TOPICS.dead_letters, at, ["offset"])]


def test_a_second_dead_letter_of_a_record_is_found() -> None:
    assert found(HONEST.with_dead_letters(lambda old: [old[0], old[0], old[1]])) == [
        (Check.DEAD_LETTERS, TOPICS.dead_letters, 1, ["offset"])
    ]


@pytest.mark.parametrize(
    "header", [{"topic": b"klines.1m"}, {"topic": b"exchange:rest"}, {"partition": b"7"}]
)
def test_dead_letters_of_others_are_left_to_them(header: dict[str, bytes]) -> None:
    other = HONEST.dead_letters[0]._replace(
        headers={**(HONEST.dead_letters[0].headers or {}), **header}
    )

    assert audit(HONEST.with_dead_letters(lambda old: [other, *old])).agrees


def test_a_promotion_of_another_digest_is_shown_with_both_and_the_model_before_stays() -> None:
    log = recorded([*eventful(), promotion(FIRST, sha256="0" * 64), *candles(36, 38)])

    mismatch = only(log)

    assert (mismatch.violation.check, mismatch.topic) == (Check.LINEAGE, TOPICS.klines)
    assert mismatch.offset == len(eventful())
    assert [(d.name, d.found, d.expected) for d in mismatch.violation.differences] == [
        ("bundle_sha256", "0" * 64, FIRST.sha256)
    ]


def test_a_promotion_of_a_model_that_is_not_in_the_log_is_found() -> None:
    log = recorded([*candles(0, 20), promotion(FIRST)], bundles={})

    mismatch = only(log)

    assert mismatch.violation.check is Check.LINEAGE
    assert FIRST.version in mismatch.violation.message


def test_a_bundle_that_is_none_is_found() -> None:
    log = recorded([*candles(0, 20), promotion(FIRST)], bundles={FIRST.version: b"none"})

    assert [(check, names) for check, _, _, names in found(log)] == [(Check.LINEAGE, ["bundle"])]


def test_a_parent_that_is_not_in_the_log_is_found() -> None:
    orphan = {SECOND.version: BUNDLES[SECOND.version]}
    log = recorded([*candles(0, 20), promotion(SECOND), *candles(20, 22)], bundles=orphan)

    mismatch = only(log)

    assert [(d.name, d.found) for d in mismatch.violation.differences] == [
        ("parent", FIRST.version)
    ]


def test_predictions_of_another_profile_are_counted_and_all_but_their_bytes_is_checked() -> None:
    log = recorded(
        [
            *eventful(),
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
    assert found(log.with_prediction(at, scores__n=9))[0] == (
        Check.SCORES,
        TOPICS.predictions,
        at,
        ["scores.n"],
    )
    assert audit(log.with_prediction(at, state_digest="0" * 64)).agrees


def test_a_prediction_that_claims_another_profile_is_found() -> None:
    assert found(HONEST.with_prediction(AT, numeric_profile=NEXT)) == [
        (Check.LINEAGE, TOPICS.predictions, AT, ["numeric_profile"])
    ]
    assert {check for check, *_ in found(HONEST.with_prediction(0, numeric_profile=NEXT))} == {
        Check.LINEAGE
    }


THIRD = a_bundle(3)
WITH_THIRD = {**BUNDLES, THIRD.version: bundle_bytes(3)}


@pytest.mark.parametrize("dead_letter", [False, True])
def test_a_bundle_that_only_another_profile_can_read_is_not_held_against_it(
    dead_letter: bool,
) -> None:
    values = [*eventful(), promotion(THIRD, NEXT), *candles(36, 38)]
    log = recorded(values, profiles=(OWN, NEXT), bundles=WITH_THIRD)
    later = replace(log, bundles={**BUNDLES, THIRD.version: b"of a later version"})
    if dead_letter:
        at = len(eventful())
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
    log = recorded([*eventful(), promotion(THIRD, NEXT)], bundles=WITH_THIRD)

    assert [check for check, *_ in found(replace(log, bundles=BUNDLES))] == [Check.LINEAGE]


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

    report = audit(recorded(values, profiles=(OWN, NEXT)))

    assert [(m.violation.check, m.offset) for m in report.first] == [(Check.LINEAGE, 49)]
    assert report.predictions == 2 * (6 + 2 + 2)
    assert report.other_profiles == {NEXT: 4}


def test_digests_that_differ_are_no_agreement() -> None:
    assert PartitionReport(0, sha256="a", derived_sha256="a").agrees
    assert not PartitionReport(0, sha256="a", derived_sha256="b").agrees


def test_all_mismatches_are_counted_and_the_first_are_kept() -> None:
    report = audit(HONEST.with_predictions(lambda old: [r._replace(key=b"X") for r in old]))

    assert report.mismatched == {Check.PLACE: 34}
    assert len(report.first) == 20
