"""A training reads the newest candles that its memory has room for, of one span."""

import pytest

from services.trainer.data.memory import candles_in_memory, with_one_span
from services.trainer.settings import TrainerSettings
from shared.core.records import Candle
from shared.core.sequence import OPEN_TIME
from shared.log.archived_sequences import ArchivedSequences, SequenceBuilder
from tests.support.builders import START_MS, STEP_MS


def sequences_of(total: int, moments: dict[str, range]) -> ArchivedSequences:
    builder = SequenceBuilder(total=total)
    for symbol, opens in moments.items():
        for at in opens:
            builder.append(Candle(symbol, START_MS + at * STEP_MS, 1.0, 1.0, 1.0, 1.0, 1.0))
    return with_one_span(builder.sequences(), total, STEP_MS)


def moments_of(sequences: ArchivedSequences) -> dict[str, list[int]]:
    times = {symbol: sequences[symbol][:, OPEN_TIME] - START_MS for symbol in sequences}
    return {symbol: (own / STEP_MS).tolist() for symbol, own in times.items()}


def test_symbols_that_share_the_memory_begin_at_the_same_time() -> None:
    every_other = range(1, 100, 2)

    sequences = sequences_of(30, {"AAA": range(100), "BBB": every_other, "OLD": range(10)})

    newest = range(90, 100)
    assert moments_of(sequences) == {
        "AAA": list(newest),
        "BBB": [at for at in newest if at in every_other],
    }


def test_what_fits_stays_as_it_is() -> None:
    moments = {"AAA": range(90, 100), "OLD": range(10)}

    assert moments_of(sequences_of(30, moments)) == {
        symbol: list(opens) for symbol, opens in moments.items()
    }


def settings_with(**environ: str) -> TrainerSettings:
    return TrainerSettings.from_env({"KAFKA_BOOTSTRAP_SERVERS": "localhost:9092", **environ})


@pytest.mark.parametrize("feature_set", ["market", "returns", "levels"])
def test_more_memory_takes_more_candles(feature_set: str) -> None:
    least, more = (
        candles_in_memory(settings_with(FEATURE_SET=feature_set, TRAINING_MEMORY_MB=memory))
        for memory in ("1500", "4096")
    )

    assert 500_000 < least < more < 4096e6 / 80
