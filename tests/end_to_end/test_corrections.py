"""Fills, amendments, ends and new beginnings of symbols, on a real Kafka."""

import json
import signal

import pytest

from shared.adapters.schemas.predictions import encode_prediction
from tests.support.builders import candle_bytes, interleaved_candles
from tests.support.deployment import Deployment
from tests.support.recorded_log import SYMBOLS, candles, gap, later_klines

pytestmark = [pytest.mark.integration, pytest.mark.end_to_end]

FIRST, SECOND = SYMBOLS
THIRD = "SOLUSDT"


@pytest.mark.parametrize("with_redis", [True, False])
def test_a_log_with_corrections_and_ends_is_predicted_replayed_and_verified_alike(
    deployment: Deployment, *, with_redis: bool
) -> None:
    environ = {} if with_redis else {"REDIS_URL": "redis://127.0.0.1:1/0"}
    publish_first_part(deployment)
    deployment.start_predictor(**environ)
    deployment.await_predictions(SYMBOLS, 35)
    deployment.kill_replicas(signal.SIGKILL)
    deployment.publish(later_klines())
    deployment.start_predictor(**environ)
    found = deployment.await_predictions(SYMBOLS, 62)
    deployment.kill_replicas(signal.SIGTERM)

    # The second symbol is not predicted from its end on, until its new life has a full window.
    times = [p.source_offset for p in found[SECOND]]
    assert len(found[SECOND]) == len(set(times)) == 20 + 2 + 3
    assert [p.corrections for p in found[SECOND]][-4:] == [1, 0, 0, 0]
    assert found[FIRST][-1].corrections == 1
    assert b'"corrections":1' in encode_prediction(found[FIRST][-1])
    assert deployment.replay_agrees()
    shown = deployment.ulstm("verify", "--json")
    assert shown.returncode == 0, shown.stderr
    report = json.loads(shown.stdout)
    assert (report["agrees"], report["mismatches"]) == (True, 0)
    assert report["checks"]["dead_letters"] == {"checked": 1, "mismatches": 0}


def publish_first_part(deployment: Deployment) -> None:
    deployment.publish(candles(0, 16))
    deployment.release(seed=1)
    deployment.publish(
        [
            *candles(16, 19),
            *candles(19, 21)[1::2],
            gap(19, 21, FIRST),
            *candles(21, 28),
            (SECOND, candle_bytes(23, SECOND, "101.5", type="amendment")),
            *candles(28, 36),
            *interleaved_candles([THIRD], 0, 3),
        ]
    )
