import pytest

from services.trainer.settings import TrainerSettings
from shared.core.errors import BadSetting
from shared.core.model.architecture import Architecture
from shared.core.model.optimiser import Optimiser
from shared.core.timestamps import parse_timestamp_ms


def test_the_preset_original_is_the_original_network_and_its_parts_can_be_set() -> None:
    original = TrainerSettings.from_env({"PRESET": "original", "DROPOUT": "0"})

    assert original.architecture == Architecture((32, 32), 288, 6)
    assert (original.feature_set, original.online_rate, original.common_move) == (
        "levels",
        1e-3,
        "kept",
    )
    assert not original.labels_standardised
    assert original.optimiser == Optimiser("adam", 1e-3)
    assert original.shrinkage.largest == 8 * 0.002  # fractions, not standard deviations
    assert original.dropout == 0.0
    assert (original.learns, original.shrinkage.memory) == ("gradient", 1.0)


def test_the_default_trains_on_symbols_beside_their_market() -> None:
    settings = TrainerSettings.from_env({})

    assert settings.architecture == Architecture((32,), 16, 24)
    assert (settings.common_move, settings.mirrored) == ("removed", True)
    assert settings.learns == "gradient"
    assert settings.head.prior_observations == 24_000
    assert settings.head.forgetting**13_824 == pytest.approx(0.5)
    assert settings.shrinkage.memory**2_016 == pytest.approx(0.5)
    assert settings.wanted_symbols == ()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("WIDTHS", "32,x"),
        ("WIDTHS", "33"),
        ("WIDTHS", """,,"""),
        ("WINDOW_LENGTH", "8"),
        ("FEATURE_SET", "unheard-of"),
        ("TRAIN_FROM", "yesterday"),
        ("PROMOTE", "maybe"),
        ("EPOCHS", "0"),
        ("HELD_OUT_SHARE", "0.9"),
        ("DROPOUT", "1"),
        ("PRESET", "modern"),
        ("REPORT", "/nowhere/at/all/report.html"),
        ("REPORT", "report.txt"),
        ("COMMON_MOVE", "halved"),
        ("HUBER_DELTA", "-1"),
        ("ONLINE_OPTIMISER", "rmsprop"),
        ("CHOOSE_BY", "luck"),
        ("DRIFT_CANDLES", "5"),
        ("DRIFT_CANDLES", "-1"),
        ("DRIFT_PAUSE_HOURS", "-1"),
    ],
)
def test_a_wrong_setting_is_refused(name: str, value: str) -> None:
    with pytest.raises(BadSetting):
        TrainerSettings.from_env({name: value})


@pytest.mark.parametrize(
    "text",
    ["1735693200000", "2025-01-01T01:00", "2025-01-01 01:00+00:00", "2025-01-01T02:00+01:00"],
)
def test_times_are_iso_or_milliseconds(text: str) -> None:
    assert parse_timestamp_ms(text) == 1_735_693_200_000
