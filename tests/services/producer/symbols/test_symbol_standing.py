from dataclasses import replace

import pytest

from services.producer.symbols.symbol_standing import LATE_S, StandingBook, SymbolFacts

STEP_MS = 300_000
FINE = SymbolFacts("BTCUSDT", 9 * STEP_MS)


def judge(facts: SymbolFacts, without_stream: dict[str, str] | None = None) -> str:
    book = StandingBook(STEP_MS)
    for now_s in (0.0, LATE_S):
        book.update([facts], without_stream or {}, 0, now_s)
    return book.standings[facts.symbol].standing


def many(*odd: SymbolFacts, fine: int) -> StandingBook:
    book = StandingBook(STEP_MS)
    others = [replace(FINE, symbol=f"S{number}USDT") for number in range(fine)]
    book.update([*odd, *others], {}, 0, 0.0)
    return book


@pytest.mark.parametrize(
    ("facts", "standing"),
    [
        (FINE, "following"),
        (replace(FINE, is_behind=True), "late"),
        (replace(FINE, is_backfilled=False), "history"),
        (replace(FINE, is_behind=True, is_doubtful=True), "doubtful"),
        (replace(FINE, is_behind=True, is_halted=True), "halted"),
        (replace(FINE, is_backfilled=False, refusal="Invalid symbol."), "refused"),
    ],
)
def test_a_symbol_has_a_standing(facts: SymbolFacts, standing: str) -> None:
    assert judge(facts) == standing


def test_one_without_a_stream_is_named_though_its_candles_arrive() -> None:
    assert judge(FINE, {"BTCUSDT": "refused"}) == "no_stream"


def test_a_standing_keeps_the_time_when_it_began() -> None:
    book = StandingBook(STEP_MS)
    for wall_ms, is_halted in ((1, False), (2, True), (3, True)):
        book.update([replace(FINE, is_halted=is_halted)], {}, wall_ms, 0.0)

    assert book.standings["BTCUSDT"].since_ms == 2


def test_a_candle_that_arrives_in_time_is_not_late() -> None:
    book = StandingBook(STEP_MS)
    for number in range(5):
        behind = replace(FINE, next_open_time_ms=number * STEP_MS, is_behind=True)
        book.update([behind], {}, 0, number * LATE_S)

    assert book.counts()["following"] == 1


def test_it_is_ready_while_candles_of_most_symbols_arrive() -> None:
    slow = replace(FINE, is_backfilled=False)

    assert many(slow, fine=9).not_ready_reason() is None
    assert "1 of 9 symbols" in str(many(slow, fine=8).not_ready_reason())
    assert "BTCUSDT" in str(many(slow, fine=8).not_ready_reason())


def test_refused_and_halted_symbols_do_not_take_readiness_away() -> None:
    refused = [replace(FINE, symbol=f"R{number}", refusal="Invalid") for number in range(5)]

    assert many(*refused, fine=1).not_ready_reason() is None
    assert "all 5 symbols" in str(many(*refused, fine=0).not_ready_reason())
    assert many(fine=0).not_ready_reason() == "no symbol is followed"


def test_the_worst_lag_is_of_a_symbol_that_is_wanted() -> None:
    book = many(replace(FINE, symbol="OLD", next_open_time_ms=0, is_halted=True), FINE, fine=0)

    assert book.worst_lag_s(11 * STEP_MS) == STEP_MS / 1000


def test_the_page_names_those_that_lack_candles_first() -> None:
    page = many(replace(FINE, is_backfilled=False), fine=3).to_json()

    assert page["symbols"][0]["symbol"] == "BTCUSDT"
    assert page["counts"]["history"] == 1
