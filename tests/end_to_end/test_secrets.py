"""A password is in no log, no message and no page, whatever Redis does."""

import os
import subprocess
import sys
from typing import Final
from urllib.parse import urlsplit

import pytest

from shared.local_servers.programs import free_port
from tests.support.builders import interleaved_candles
from tests.support.deployment import Deployment, Replica
from tests.support.waiting import eventually

pytestmark = [pytest.mark.integration, pytest.mark.end_to_end]

SECRET: Final = "hunter2hunter2"
PAGES: Final = ("/metrics", "/health/live", "/health/ready")


def texts_of(replica: Replica) -> str:
    return replica.log_text() + "".join(replica.get(page)[1] for page in PAGES)


@pytest.mark.parametrize(
    ("url", "form"),
    [
        (f"redis://user:{SECRET}@127.0.0.1:{{free}}/0", "console"),
        (f"redis://127.0.0.1:{{free}}/0?password={SECRET}", "json"),
    ],
    ids=["in front", "in the query"],
)
def test_a_redis_that_is_away_is_named_without_its_password(
    deployment: Deployment, url: str, form: str
) -> None:
    url = url.format(free=free_port())
    deployment.publish(interleaved_candles(["BTCUSDT"], 0, 20))
    deployment.release()

    replica = deployment.start_predictor(REDIS_URL=url, LOG_FORMAT=form, LOG_LEVEL="DEBUG")
    deployment.publish(interleaved_candles(["BTCUSDT"], 20, 22))
    deployment.await_predictions(["BTCUSDT"], 21)
    eventually(lambda: replica.metric("ulstm_predictor_redis_save_failures_total") > 0, 30)

    text = texts_of(replica)
    assert "Redis at redis://" in text
    assert SECRET not in text
    assert replica.kill() != 0


def test_a_redis_that_refuses_the_password_is_named_without_it(deployment: Deployment) -> None:
    port = urlsplit(deployment.redis_url).port
    replica = deployment.start_predictor(REDIS_URL=f"redis://user:{SECRET}@127.0.0.1:{port}/0")
    eventually(lambda: replica.process.poll() is not None)

    assert replica.kill() == 1
    assert f"127.0.0.1:{port}" in replica.log_text()
    assert SECRET not in replica.log_text()


@pytest.mark.parametrize(
    "url", [f"redis://:{SECRET}", f"http://:{SECRET}@h", f"redis://h:{SECRET}/0", SECRET]
)
def test_an_address_that_is_none_is_refused_without_its_password(url: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "services.predictor"],
        env={**os.environ, "REDIS_URL": url, "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 2
    assert "REDIS_URL" in done.stderr
    assert SECRET not in done.stdout + done.stderr
