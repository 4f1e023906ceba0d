from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

from services.cli.export.outcome_join import OutcomeJoin
from shared.adapters.schemas.prediction_messages import PredictionMessage
from shared.adapters.schemas.predictions import encode_prediction, parse_prediction
from tests.support.builders import (
    STEP_MS,
    a_model,
    a_promotion,
    a_walk,
    candles,
    fold_all,
)


def predictions(symbol: str = "BTCUSDT") -> list[PredictionMessage]:
    model = a_model()
    _, found = fold_all([a_promotion(model), *candles(a_walk(22), symbol)], {model.version: model})
    return [parse_prediction(encode_prediction(one)) for one in found]


def outcomes(found: list[PredictionMessage]) -> Iterator[tuple[int, float | None]]:
    join = OutcomeJoin(STEP_MS)
    for prediction in found:
        scored = join.add(0, prediction)
        if scored is not None:
            yield scored.prediction.open_time_ms, scored.outcome_close
    for scored in join.flush():
        yield scored.prediction.open_time_ms, scored.outcome_close


def test_the_outcome_is_the_close_that_the_next_prediction_starts_from() -> None:
    found = predictions()

    joined = dict(outcomes(found))

    assert len(found) > 3
    for before, after in pairwise(found):
        assert joined[before.open_time_ms] == after.close
        assert after.previous is not None
        assert after.close / before.close - 1.0 == after.previous.outcome_change


def test_the_newest_prediction_has_no_outcome() -> None:
    found = predictions()

    assert list(outcomes(found))[-1] == (found[-1].open_time_ms, None)


def test_across_a_gap_there_is_no_outcome() -> None:
    found = predictions()
    del found[2]

    assert dict(outcomes(found))[found[1].open_time_ms] is None


def test_a_prediction_that_is_not_newer_is_counted() -> None:
    found, join = predictions(), OutcomeJoin(STEP_MS)
    join.add(0, found[1])

    assert join.add(0, found[1]) is None
    assert join.add(0, found[0]) is None
    assert join.out_of_order == 2


def test_symbols_do_not_mix() -> None:
    first, second = predictions("BTCUSDT"), predictions("ETHUSDT")
    mixed = [one for pair in zip(first, second, strict=True) for one in pair]

    assert Counter(outcomes(mixed)) == Counter([*outcomes(first), *outcomes(second)])
