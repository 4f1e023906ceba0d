import runpy
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.services.cli.foreign_records import FOREIGN_VALUES
from tests.support.recorded_log import eventful_klines, record_log

SCRIPT = Path(__file__).parents[1] / "scripts" / "read_predictions.py"
decode: Callable[[bytes | None], tuple[str, int]] = runpy.run_path(str(SCRIPT))["decode"]


def test_symbol_and_open_time_of_a_prediction_are_read() -> None:
    symbol, open_time_ms = decode(record_log(eventful_klines()).predictions[0].value)

    assert symbol == "BTCUSDT"
    assert open_time_ms > 0


@pytest.mark.parametrize("value", [*FOREIGN_VALUES, b"1" * 5000], ids=lambda v: repr(v)[:20])
def test_a_foreign_record_is_refused_with_a_reason(value: bytes | None) -> None:
    with pytest.raises(ValueError, match=r".+"):
        decode(value)
