"""From an archived topic to a promoted model version, as a process on a real Kafka."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import IO

import numpy as np
import pytest

from services.trainer.drift_monitor import DriftMonitor
from services.trainer.settings import TrainerSettings
from shared.adapters.bundle_codec import version_of
from shared.adapters.kafka.admin import ensure_topics
from shared.adapters.kafka.producer import ProducerRecord
from shared.adapters.schemas.predictions import encode_prediction
from shared.core.model.architecture import Architecture
from shared.core.sequence import CLOSE, OPEN_TIME
from shared.core.topics import partition_for
from shared.local_servers import launcher
from shared.log.archive import Archive, TimeSpan
from tests.services.trainer.test_drift import SCALE, a_prediction
from tests.support.builders import START_MS, STEP_MS, a_card, a_walk, bundle_bytes, candle_bytes
from tests.support.deployment import Deployment
from tests.support.waiting import eventually

pytestmark = [pytest.mark.integration, pytest.mark.slow]

SYMBOLS = ("AAAUSDT", "BBBUSDT", "CCCUSDT")
GROUPS = 2
CANDLES = 400


class TrainerDeployment(Deployment):
    def trainer(
        self,
        *arguments: str,
        settings: Mapping[str, str] | None = None,
        stderr: int | IO[str] = subprocess.PIPE,
    ) -> "subprocess.Popen[str]":
        small = {
            **self.environ,
            "WINDOW_LENGTH": "16",
            "WIDTHS": "8",
            "MIN_CANDLES": "100",
            "ONLINE_RATE": "0.001",
        }
        return subprocess.Popen(
            [sys.executable, "-m", "services.trainer", *arguments],
            env={**os.environ, **small, **(settings or {})},
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )

    def finished(
        self, *arguments: str, settings: Mapping[str, str] | None = None
    ) -> tuple[int, str, str]:
        process = self.trainer(*arguments, settings=settings)
        out, err = process.communicate(timeout=100)
        return process.returncode, out, err

    def candle(self, symbol: str, at: int, close: float) -> ProducerRecord:
        group = partition_for(symbol, GROUPS)
        value = candle_bytes(at, symbol, f"{close:.6f}")
        return ProducerRecord(
            self.topics.klines, group, symbol.encode(), value, START_MS + at * STEP_MS
        )

    def fill(self) -> None:
        walks = {symbol: a_walk(CANDLES, seed) for seed, symbol in enumerate(SYMBOLS)}
        records = [
            self.candle(s, at, walk[at]) for at in range(CANDLES) for s, walk in walks.items()
        ]
        self.write(records)
        eventually(
            lambda: sum(Archive(self.kafka_bootstrap, self.topics).ends().values()) >= len(records)
        )


@pytest.fixture
def deployment(
    kafka_bootstrap: str, redis_url: str, topic_prefix: str, tmp_path: Path
) -> Iterator[TrainerDeployment]:
    with TrainerDeployment(
        kafka_bootstrap, redis_url, topic_prefix, tmp_path, partitions=GROUPS
    ) as deployment:
        yield deployment


def test_a_fit_publishes_and_promotes_a_version_that_exports_and_imports(
    deployment: TrainerDeployment, tmp_path: Path
) -> None:
    deployment.fill()

    code, out, err = deployment.finished("fit", "--epochs", "1", "--windows", "200", "--seed", "3")

    assert code == 0, err
    version = out.splitlines()[-1]
    assert "candidate" in out
    placed = deployment.registry.promotions.current()
    assert placed is not None
    assert placed.promotion.model_version == version
    card = deployment.registry.bundles.load(version).card
    assert card.architecture == Architecture((8,), 16, 11)
    assert set(card.training["symbols"]) == set(SYMBOLS)
    assert card.trained_through_ms == START_MS + (CANDLES - int(CANDLES * 0.15) - 1) * STEP_MS
    forecasts = card.scores["forecasts"]
    assert set(forecasts) == {"candidate", "candidate, raw", "candidate, frozen", "online linear"}
    assert forecasts["candidate"]["skill"]["n"] == int(CANDLES * 0.15) - 1
    assert set(forecasts["candidate"]["symbols"]) == set(SYMBOLS)
    assert card.scores["decision"] == {"promote": True, "reason": "no version is in use yet"}

    code, _, err = deployment.finished("export", version, str(tmp_path / "m.keras"))
    assert code == 0, err
    code, out, err = deployment.finished("import", str(tmp_path / "m.keras"), "--like", version)

    assert code == 0, err
    imported = deployment.registry.bundles.load(out.strip())
    assert imported.card.parent == version
    assert imported.weights.tobytes() == deployment.registry.bundles.load(version).weights.tobytes()
    assert deployment.registry.promotions.current() == placed


def test_a_report_tells_of_the_version_in_use_before_and_after_it_was_to_be_replaced(
    deployment: TrainerDeployment, tmp_path: Path
) -> None:
    deployment.fill()
    quick, page = ("fit", "--epochs", "1", "--windows", "100"), tmp_path / "report.html"

    first, _, told_first = deployment.finished(*quick)
    code, _, err = deployment.finished(*quick, "--promote", "never", "--report", str(page))

    assert (first, code) == (0, 0), told_first + err
    assert "published, not promoted: the policy is never" in page.read_text()
    assert "Before and after promotion" in page.read_text()


def test_without_enough_candles_nothing_is_released_and_the_reason_is_said(
    deployment: TrainerDeployment,
) -> None:
    code, _, err = deployment.finished("fit")

    assert code == 1
    assert "has no candles yet" in err
    assert deployment.registry.bundles.versions() == []


def test_a_wrong_setting_is_refused_by_its_name(deployment: TrainerDeployment) -> None:
    code, _, err = deployment.finished("fit", "--promote", "maybe")

    assert code == 2
    assert "PROMOTE is 'maybe'" in err


def test_the_service_waits_for_candles_and_stops_when_told_to(
    deployment: TrainerDeployment, tmp_path: Path
) -> None:
    deployment.write([deployment.candle("AAAUSDT", 0, 100.0)])
    log = tmp_path / "log"
    with log.open("w") as stderr:
        process = deployment.trainer(stderr=stderr)
    eventually(lambda: "looking again" in log.read_text())

    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=20)

    assert process.returncode == 0
    assert out == ""


def progress_of(folder: Path) -> int:
    """How many epochs a training in this folder has kept."""
    found = list(folder.glob("*/progress.json"))
    return json.loads(found[0].read_text())["epochs"] if found else 0


def has_kept(folder: Path, epochs: int) -> bool:
    return progress_of(folder) >= epochs


def test_a_training_that_is_ended_in_the_midst_goes_on_and_gives_the_same_bits(
    deployment: TrainerDeployment, tmp_path: Path
) -> None:
    deployment.fill()
    long = ("fit", "--epochs", "60", "--windows", "2000", "--promote", "always")
    kept = {"CHECKPOINTS": str(tmp_path / "kept"), "CHOOSE_BY": "online", "PATIENCE": "60"}

    for number, code in ((signal.SIGTERM, 1), (signal.SIGKILL, -signal.SIGKILL)):
        reached = progress_of(tmp_path / "kept")
        process = deployment.trainer(*long, settings=kept)
        eventually(partial(has_kept, tmp_path / "kept", reached + 2))
        process.send_signal(number)
        _, err = process.communicate(timeout=50)
        assert process.returncode == code, err
    assert deployment.registry.bundles.versions() == []
    deployment.write(
        [deployment.candle(s, at, 100.0) for at in range(CANDLES, CANDLES + 9) for s in SYMBOLS]
    )
    code, resumed, err = deployment.finished(*long, settings=kept)
    assert code == 0, err
    assert "the training goes on after epoch" in err
    assert list((tmp_path / "kept").iterdir()) == []
    newest = str(START_MS + (CANDLES - 1) * STEP_MS)
    code, whole, err = deployment.finished(
        *long, "--to", newest, settings={**kept, "CHECKPOINTS": ""}
    )
    assert code == 0, err

    one, other = (
        deployment.registry.bundles.load(out.splitlines()[-1]) for out in (resumed, whole)
    )
    assert one.weights.tobytes() == other.weights.tobytes()
    assert one.card.training == other.card.training
    assert len(one.card.training["online_skills"]) == 60


def predictions_that_fail(
    deployment: TrainerDeployment, version: str, count: int
) -> list[ProducerRecord]:
    """What a predictor would have published, were its forecasts wrong by more and more."""
    draw, records = np.random.default_rng(1), []
    for symbol in SYMBOLS:
        group = partition_for(symbol, GROUPS)
        placed = deployment.registry.promotions.current(group)
        assert placed is not None
        for at, outcome in enumerate(draw.normal(0, SCALE, count), CANDLES - count):
            made = a_prediction(
                at, (float(-at / CANDLES * outcome), float(outcome)), symbol, version
            )
            failing = replace(made, promotion_offset=placed.offset, source_offset=placed.offset + 1)
            value = encode_prediction(failing)
            where = deployment.topics.predictions
            records.append(
                ProducerRecord(where, group, symbol.encode(), value, failing.open_time_ms)
            )
    return records


def test_predictions_that_fail_start_a_training_long_before_it_is_due(
    deployment: TrainerDeployment, tmp_path: Path
) -> None:
    deployment.fill()
    short = {
        "EPOCHS": "1",
        "WINDOWS_PER_EPOCH": "200",
        "DRIFT_CANDLES": "40",
        "DRIFT_PAUSE_HOURS": "0",
    }
    with (tmp_path / "log").open("w") as log:
        process = deployment.trainer(settings={**short, "TRAIN_EVERY_HOURS": "8000"}, stderr=log)
    try:
        eventually(deployment.registry.promotions.current, 60)
        (first,) = deployment.registry.bundles.versions()

        deployment.write(predictions_that_fail(deployment, first, 100))

        eventually(lambda: len(deployment.registry.bundles.versions()) >= 2, 60)
        second = deployment.registry.bundles.versions()[1]
        assert deployment.registry.bundles.load(second).card.parent == first
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)
    assert process.returncode == 0


def test_a_watch_outlives_a_kafka_that_is_away(kafka_bootstrap: str, tmp_path: Path) -> None:
    where = f"127.0.0.1:{launcher.free_port()}"
    settings = {
        "KAFKA_BOOTSTRAP_SERVERS": where,
        "SYMBOL_GROUPS": str(GROUPS),
        "DRIFT_CANDLES": "40",
    }
    watch = DriftMonitor(TrainerSettings.from_env(settings))
    assert watch.look() is None

    with launcher.start(
        tmp_path / "servers", kafka_port=int(where.split(":")[1]), redis_port=launcher.free_port()
    ):
        deployment = TrainerDeployment(
            where, "redis://127.0.0.1:1/0", "", tmp_path, partitions=GROUPS
        )
        ensure_topics(where, deployment.topics)
        deployment.fill()
        assert watch.look() is None
        version = version_of(a_card(), bundle_bytes())
        deployment.registry.release(bundle_bytes(), version, START_MS, promote=True)
        deployment.write(predictions_that_fail(deployment, version, 100))

        reason = watch.look()

        assert reason is not None
        assert "over the last 40 candles" in reason
        assert watch.look() is None  # of the same predictions all has been said


def test_the_archive_keeps_the_first_of_two_and_the_last_amendment(
    deployment: TrainerDeployment,
) -> None:
    symbol, group = "AAAUSDT", partition_for("AAAUSDT", GROUPS)
    amendment = candle_bytes(1, symbol, "7.0", type="amendment")
    junk = [
        ProducerRecord(deployment.topics.klines, group, None, value, START_MS)
        for value in (b"junk", b"", amendment)
    ]
    closes = [(0, 1.0), (1, 2.0), (1, 3.0), (0, 4.0), (3, 5.0)]
    deployment.write([deployment.candle(symbol, at, close) for at, close in closes] + junk)
    archive = Archive(deployment.kafka_bootstrap, deployment.topics)
    eventually(lambda: archive.ends()[group] >= len(closes) + len(junk))

    everything = archive.read(TimeSpan())
    newest = archive.read(TimeSpan(), keep=2)
    between = archive.read(
        TimeSpan(START_MS + STEP_MS, START_MS + STEP_MS), symbols=[symbol, "BBBUSDT"]
    )

    assert everything.sequences[symbol][:, CLOSE].tolist() == [1.0, 7.0, 5.0]
    assert everything.refused == 4
    assert newest.sequences[symbol][:, CLOSE].tolist() == [7.0, 5.0]
    assert between.sequences[symbol][:, OPEN_TIME].tolist() == [START_MS + STEP_MS]
    assert archive.newest_ms() == START_MS + 3 * STEP_MS
