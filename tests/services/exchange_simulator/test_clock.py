from services.exchange_simulator.clock import AcceleratedClock
from services.exchange_simulator.synthetic import ORIGIN_MS
from tests.support.builders import STEP_MS


def test_the_exchanges_time_passes_at_its_own_speed() -> None:
    now_s = 7.0
    clock = AcceleratedClock(ORIGIN_MS, 300.0, lambda: now_s)

    now_s = 8.0
    assert clock.now_ms() == ORIGIN_MS + STEP_MS
    now_s = 7.5
    assert clock.seconds_until(ORIGIN_MS + STEP_MS) == 0.5
