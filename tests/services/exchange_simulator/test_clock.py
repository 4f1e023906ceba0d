from services.exchange_simulator.clock import AcceleratedClock
from services.exchange_simulator.synthetic import ORIGIN_MS
from tests.support.builders import STEP_MS


def test_the_exchanges_time_passes_at_its_own_speed() -> None:
    clock = AcceleratedClock(start_ms=ORIGIN_MS, started_s=7.0, speed=300.0)
    assert clock.time_ms(8.0) == ORIGIN_MS + STEP_MS
    assert clock.seconds_until(ORIGIN_MS + STEP_MS, 7.5) == 0.5
