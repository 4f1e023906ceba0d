"""The audit of the market's moves in a log."""

from collections.abc import Callable, Sequence

import numpy as np

from services.cli.audit.market import MarketSpanAudit, merge_spans
from services.cli.audit.market_entries import CandleCollector, market_spans
from services.cli.audit.report import MarketReport
from shared.adapters.kafka.reader import ConsumerRecord
from shared.adapters.schemas.klines import KlineCodec
from shared.adapters.schemas.market_messages import to_market_message
from shared.core.market import BasketDefinition, define_baskets, market_moves
from shared.core.records import MarketMove
from shared.core.topics import Topics, partition_for
from tests.support.builders import START_MS, STEP_MS, a_walk, candle_bytes

PARTITIONS = 3
NAMES = [f"C{number}USDT" for number in range(12)]
BASKETS = define_baskets([NAMES[:6], NAMES[6:]], 0, 0)
COUNT = 150
Change = Callable[[str, int, MarketMove | None], MarketMove | None]


def closes() -> dict[str, list[float]]:
    market = np.array(a_walk(COUNT, 99)) / 100.0
    return {
        name: [round(float(c), 6) for c in np.array(a_walk(COUNT, seed)) * market**3]
        for seed, name in enumerate(NAMES)
    }


def a_log(
    change: Change = lambda _, __, move: move, baskets: BasketDefinition | None = None
) -> list[ConsumerRecord]:
    """Return the records of all symbols; `change` may change the move of each."""
    walks = closes()
    moves = market_moves(np.array(list(walks.values())).T, NAMES, NAMES, baskets)
    offsets = dict.fromkeys(range(PARTITIONS), 0)
    records = []
    for at in range(COUNT):
        right = moves.move(at - 1) if at else None
        for name, walk in walks.items():
            partition = partition_for(name, PARTITIONS)
            value = a_record(name, at, walk, change(name, at, right))
            records.append(ConsumerRecord(partition, offsets[partition], 0, name.encode(), value))
            offsets[partition] += 1
    return records


def a_record(name: str, at: int, walk: Sequence[float], move: MarketMove | None) -> bytes:
    opened, close = walk[max(at - 1, 0)], walk[at]
    prices = {
        "open": f"{opened:.6f}",
        "high": f"{max(opened, close):.6f}",
        "low": f"{min(opened, close):.6f}",
    }
    market = None if move is None else to_market_message(move)
    return candle_bytes(at, name, f"{close:.6f}", market=market, **prices)


def run_audit(
    records: Sequence[ConsumerRecord],
    definitions: Sequence[BasketDefinition] = (),
    partitions: Sequence[int] = range(PARTITIONS),
) -> MarketReport:
    collector = CandleCollector(KlineCodec("5m", STEP_MS, PARTITIONS))
    for record in records:
        collector.add(record)
    topics, candles = Topics("5m", PARTITIONS), collector.candles()
    times_ms = range(START_MS, START_MS + COUNT * STEP_MS)
    return merge_spans(
        topics.klines,
        (
            MarketSpanAudit(topics, definitions, candles, span).run(partitions)
            for span in market_spans(times_ms, len(NAMES), STEP_MS)
        ),
    )


def only(name: str, at: int, wrong: MarketMove) -> Change:
    return lambda n, t, move: wrong if (n, t) == (name, at) else move


def test_a_log_with_the_right_moves_agrees() -> None:
    report = run_audit(a_log(baskets=BASKETS), [BASKETS])

    assert (report.mismatches, report.candles, report.missing) == (0, 12 * COUNT, 12)
    assert report.compared == 12 * (COUNT - 1)
    assert report.typical_distance is not None
    assert report.typical_distance < 1e-5
    assert report.baskets == {BASKETS.version: 12 * (COUNT - 1)}
    assert report.undefined_baskets == set()


def test_a_wrong_move_is_reported_with_its_place() -> None:
    records = a_log(only("C5USDT", 77, MarketMove(0.02, 12)))
    report = run_audit(records)

    (mismatch,) = report.first
    place = next(r for r in reversed(records[: 78 * 12]) if r.key == b"C5USDT")
    assert (mismatch.partition, mismatch.offset) == (place.partition, place.offset)
    (difference,) = {d.name for d in mismatch.violation.differences}
    assert difference == "change"
    assert report.mismatches == 1


def test_a_wrong_move_of_a_basket_is_reported_with_its_number() -> None:
    wrong = MarketMove(None, 12, BASKETS.version, (None, 0.02))

    (mismatch,) = run_audit(a_log(only("C5USDT", 77, wrong), BASKETS), [BASKETS]).first

    assert {d.name for d in mismatch.violation.differences} == {"basket_changes.1"}


def test_moves_one_candle_late_are_reported_as_typically_far() -> None:
    right: dict[int, MarketMove | None] = {}

    def late(_: str, at: int, move: MarketMove | None) -> MarketMove | None:
        right[at] = move
        return right.get(at - 1)

    report = run_audit(a_log(late))

    assert report.typical_distance is not None
    assert report.typical_distance > 1.0
    assert report.mismatches > 20


def test_missing_moves_are_counted_and_are_no_fault() -> None:
    report = run_audit(a_log(lambda name, _, move: None if name == "C3USDT" else move))

    assert report.mismatches == 0
    assert report.missing == COUNT + 11


def test_a_version_that_the_log_does_not_define_is_named() -> None:
    report = run_audit(a_log(baskets=BASKETS))

    assert report.mismatches == 0
    assert report.undefined_baskets == {BASKETS.version}


def test_only_the_wanted_partitions_are_audited_but_all_tell_what_the_market_did() -> None:
    wanted = partition_for("C5USDT", PARTITIONS)
    mine = [name for name in NAMES if partition_for(name, PARTITIONS) == wanted]

    report = run_audit(a_log(), partitions=[wanted])

    assert report.candles == len(mine) * COUNT
    assert report.compared == len(mine) * (COUNT - 1)


def test_an_empty_log_agrees() -> None:
    report = run_audit([])

    assert (report.mismatches, report.candles) == (0, 0)


def test_records_that_readers_reject_are_passed_over() -> None:
    junk = ConsumerRecord(0, 10_000, 0, b"x", b"junk")
    first = a_log()[0]

    report = run_audit([*a_log(), junk, first])

    assert (report.mismatches, report.candles) == (0, 12 * COUNT)


def test_the_counts_are_given_to_programs() -> None:
    found = run_audit(a_log(baskets=BASKETS), [BASKETS]).to_json()

    assert found["baskets"] == {BASKETS.version: 12 * (COUNT - 1)}
    assert found["undefined_baskets"] == []
