from services.producer.backfill.dead_letter_limit import MAX_LETTERS, SPAN_S, DeadLetterLimit
from services.producer.backfill.sequencer import KlineOrigin, UnreadableKline
from shared.core.records import Gap

GAP = Gap("BTCUSDT", 0, 300_000)


def letters(count: int, reason: str = "not_json") -> list[UnreadableKline]:
    origin = KlineOrigin(b"?", "stream", 0)
    return [UnreadableKline(f"S{n}USDT", None, reason, "nonsense", origin) for n in range(count)]


def test_dead_letters_of_one_reason_are_bounded_whatever_the_symbol() -> None:
    limit = DeadLetterLimit()

    assert len(limit.keep(letters(2_000), 0.0)) == MAX_LETTERS
    assert limit.keep(letters(1, "bad_field"), 1.0) == letters(1, "bad_field")
    assert limit.keep(letters(5), SPAN_S - 1.0) == []
    assert len(limit.keep(letters(2_000), SPAN_S)) == MAX_LETTERS


def test_everything_else_is_kept() -> None:
    limit = DeadLetterLimit()

    assert limit.keep([GAP] * 50, 0.0) == [GAP] * 50


def test_what_was_left_out_is_told_once_in_a_while() -> None:
    limit = DeadLetterLimit()
    assert limit.report(0.0) is None

    limit.keep(letters(2_000), 0.0)
    message = limit.report(0.0)
    assert message is not None
    assert f"{2_000 - MAX_LETTERS} not_json" in message

    limit.keep(letters(30), 1.0)
    assert limit.report(1.0) is None
    message = limit.report(SPAN_S)
    assert message is not None
    assert "30 not_json" in message
