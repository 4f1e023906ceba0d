"""Whether the log still fills with the past of the symbols that are followed."""

import pytest

from services.trainer.data.backfill import BackfillWatch, symbols_behind
from services.trainer.data.preparation import NotEnoughCandles
from shared.core.control import SymbolControl
from shared.log.control_topic import ControlTopic
from tests.services.trainer.trainer_deployment import TrainerDeployment

LATE_MS = 600_000


def test_a_symbol_far_behind_the_newest_one_and_one_without_candles_are_behind() -> None:
    positions = {"AAAUSDT": 10_000_000, "BBBUSDT": 9_400_000, "CCCUSDT": 9_399_999}

    behind = symbols_behind(["AAAUSDT", "BBBUSDT", "CCCUSDT", "DDDUSDT"], positions, LATE_MS)

    assert behind == ["CCCUSDT", "DDDUSDT"]


def test_a_log_that_nobody_fills_is_not_waited_for() -> None:
    assert symbols_behind([], {}, LATE_MS) == []


@pytest.mark.integration
def test_a_training_waits_until_nearly_all_followed_symbols_have_their_past(
    deployment: TrainerDeployment,
) -> None:
    settings = deployment.trainer_settings()
    watch = BackfillWatch(settings)
    watch.check()  # nobody is followed: candles that were imported are trained on

    names = [f"S{number:02}USDT" for number in range(10)]
    control = ControlTopic(settings.kafka, settings.topics, "producer")
    control.publish([SymbolControl(name, "joined", 0, "named") for name in names])
    deployment.write([deployment.candle(name, 500, 1.0) for name in names[:8]])
    deployment.write([deployment.candle(name, 20, 1.0) for name in names[8:]])
    with pytest.raises(NotEnoughCandles, match=r"the back-fill of 2 of 10 symbols goes on"):
        watch.check()

    deployment.write([deployment.candle(names[8], 499, 1.0)])
    watch.check()
