"""An interrupted training resumes and gives the same bits."""

import os
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.trainer.data.dataset import Dataset
from services.trainer.fitting.checkpoints import (
    FitCheckpoint,
    FitCheckpointFile,
    TrainingCheckpoints,
)
from services.trainer.fitting.fit import fit
from services.trainer.fitting.options import FitOptions, FitResult
from services.trainer.fitting.training_loop import FitCallbacks
from shared.core.arrays import Float32s
from shared.core.errors import BadSetting
from shared.core.model.architecture import Architecture
from shared.log.archive import TimeSpan
from tests.support.fakes import SetAfter

SMALL = Architecture((8,), 16, 3)
EPOCHS = 4
OPTIONS = FitOptions(
    epochs=EPOCHS,
    patience=EPOCHS,
    windows_per_epoch=60,
    validation_windows=20,
    batch_size=20,
    learning_rate=0.01,
    dropout=0.0,
    seed=5,
    learning_rate_falls=True,
    averaging=0.9,
)
# Of the stop signal: before each of three batches and the validation, and once after.
CHECKS_PER_EPOCH = 3 + 1 + 1
SEQUENCES = {"BTCUSDT": np.ones((3, 6))}


def a_dataset(seed: int = 1) -> Dataset:
    rows = np.random.default_rng(seed).uniform(-1.0, 1.0, (200, SMALL.features)).astype(np.float32)
    ends = np.arange(SMALL.window_length - 1, len(rows))
    return Dataset(rows, rows[:, 0].copy(), ends[:150], ends[150:], SMALL.window_length, 1.0)


class Killed(Exception):
    """Stands for a SIGKILL during a fit."""


def score_epoch(weights: Float32s) -> float:
    return -float(np.abs(weights - 0.1).sum())


def killing_scorer(at: int) -> Callable[[Float32s], float]:
    """Return a scorer that ends the fit at an epoch, counted from 0 of this process."""
    left = [at]

    def score(weights: Float32s) -> float:
        left[0] -= 1
        if left[0] < 0:
            raise Killed
        return score_epoch(weights)

    return score


def trained(
    checkpoints: TrainingCheckpoints | None,
    stop: threading.Event | None = None,
    score: Callable[[Float32s], float] = score_epoch,
    options: FitOptions = OPTIONS,
    dataset: Dataset | None = None,
    profile: str = "4-test",
) -> FitResult:
    checkpoint = None if checkpoints is None else checkpoints.for_candles(profile, SEQUENCES)
    callbacks = FitCallbacks(score, checkpoint)
    return fit(SMALL, dataset or a_dataset(), options, stop or threading.Event(), 2, callbacks)


def assert_same(one: FitResult, other: FitResult) -> None:
    assert one.weights.tobytes() == other.weights.tobytes()
    assert one.training_losses == other.training_losses
    assert one.validation_losses == other.validation_losses
    assert one.skills == other.skills


@pytest.fixture
def checkpoints(tmp_path: Path) -> TrainingCheckpoints:
    return TrainingCheckpoints(tmp_path, {"seed": 5})


@pytest.mark.parametrize(
    ("looks", "dropout"),
    [
        (0, 0.0),
        (2, 0.0),
        (CHECKS_PER_EPOCH, 0.0),
        (2 * CHECKS_PER_EPOCH + 3, 0.0),
        (4 * CHECKS_PER_EPOCH, 0.0),
        # With dropout Keras trains; this stops it in the third epoch.
        pytest.param(8, 0.3, marks=pytest.mark.slow),
    ],
)
def test_a_fit_that_was_stopped_anywhere_resumes_to_the_same_bits(
    checkpoints: TrainingCheckpoints, looks: int, dropout: float
) -> None:
    options = replace(OPTIONS, dropout=dropout)

    first = trained(checkpoints, SetAfter(looks), options=options)
    resumed = trained(checkpoints, options=options)

    assert first.epochs <= EPOCHS
    assert_same(resumed, trained(None, options=options))


@pytest.mark.parametrize("epoch", range(EPOCHS))
def test_a_fit_that_was_killed_in_an_epoch_runs_it_again(
    checkpoints: TrainingCheckpoints, epoch: int
) -> None:
    with pytest.raises(Killed):
        trained(checkpoints, score=killing_scorer(epoch))

    with pytest.raises(Killed):  # one more scored epoch would raise later
        trained(checkpoints, score=killing_scorer(EPOCHS - epoch - 1))

    assert_same(trained(checkpoints), trained(None))


def test_a_finished_fit_is_not_run_again(checkpoints: TrainingCheckpoints) -> None:
    done = trained(checkpoints)

    assert_same(trained(checkpoints, score=killing_scorer(0)), done)


def test_the_checkpoint_of_another_training_is_not_used(checkpoints: TrainingCheckpoints) -> None:
    trained(checkpoints, SetAfter(2 * CHECKS_PER_EPOCH))

    for other in (
        {"dataset": a_dataset(2)},
        {"options": replace(OPTIONS, learning_rate=0.02)},
        {"options": replace(OPTIONS, seed=6)},
    ):
        assert_same(
            trained(checkpoints, SetAfter(9 * CHECKS_PER_EPOCH), **other), trained(None, **other)
        )
    with pytest.raises(Killed):
        trained(checkpoints, score=killing_scorer(EPOCHS - 1), profile="2-other")


def test_other_settings_have_another_folder(
    tmp_path: Path, checkpoints: TrainingCheckpoints
) -> None:
    checkpoints.save_span(TimeSpan(1, 2), 0.0)

    assert TrainingCheckpoints(tmp_path, {"seed": 6}).load_span(0.0, 1.0) is None
    assert TrainingCheckpoints(tmp_path, {"seed": 5}).load_span(0.0, 1.0) == TimeSpan(1, 2)


@settings(max_examples=200)
@given(
    st.sampled_from(["progress.json", "epoch-2.npz"]),
    st.floats(0, 1, exclude_max=True),
    st.integers(0, 255),
)
def test_a_damaged_checkpoint_is_never_used(name: str, share: float, byte: int) -> None:
    checkpoint = FitCheckpoint(
        FitResult(np.ones(3, np.float32), (0.5, 0.4), (0.6, 0.5), (0.1, None)),
        {"more": np.arange(4)},
    )
    with TemporaryDirectory() as folder:
        progress = FitCheckpointFile(Path(folder), "this")
        progress.save(checkpoint)
        path = Path(folder) / name
        data = path.read_bytes()
        place = int(share * len(data))

        path.write_bytes(data[:place] + bytes([byte]) + data[place + 1 :])
        changed = progress.load()
        path.write_bytes(data[:place])
        cut = progress.load()

    assert cut is None
    if changed is not None:  # that byte has no meaning: white space, or the number of epochs
        assert_same(changed.fitted, checkpoint.fitted)
        assert changed.arrays["more"].tolist() == [0, 1, 2, 3]


def test_a_fit_starts_again_if_a_file_of_its_checkpoint_is_missing(
    tmp_path: Path, checkpoints: TrainingCheckpoints
) -> None:
    for name in ("progress.json", "epoch-2.npz"):
        trained(checkpoints, SetAfter(2 * CHECKS_PER_EPOCH))
        (found,) = tmp_path.glob(f"*/{name}")
        found.unlink()
        assert_same(trained(checkpoints), trained(None))
        checkpoints.delete()


def test_only_the_last_epoch_is_kept_and_nothing_after_delete(
    tmp_path: Path, checkpoints: TrainingCheckpoints
) -> None:
    checkpoints.save_span(TimeSpan(1, 2), 0.0)
    trained(checkpoints)

    assert {path.name for path in tmp_path.glob("*/*")} == {
        f"epoch-{EPOCHS}.npz",
        "progress.json",
        "span.json",
    }
    checkpoints.delete()
    assert list(tmp_path.iterdir()) == []


def test_a_fit_continues_without_its_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    nowhere = TrainingCheckpoints(tmp_path / "file" / "below", {})

    assert_same(trained(nowhere), trained(None))


def test_a_folder_that_cannot_be_written_is_refused_by_its_setting(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(
        BadSetting, match=f"CHECKPOINTS is {tmp_path}/file, which cannot be written"
    ):
        TrainingCheckpoints(tmp_path / "file", {}).prepare(0.0)


def test_a_span_is_loaded_up_to_its_maximum_age(checkpoints: TrainingCheckpoints) -> None:
    checkpoints.save_span(TimeSpan(1, 2), 1000.0)

    assert checkpoints.load_span(1060.0, 60.0) == TimeSpan(1, 2)
    assert checkpoints.load_span(1061.0, 60.0) is None


def test_a_damaged_span_is_not_loaded(tmp_path: Path, checkpoints: TrainingCheckpoints) -> None:
    checkpoints.save_span(TimeSpan(1, 2), 1000.0)
    (found,) = tmp_path.glob("*/span.json")
    found.write_bytes(found.read_bytes()[:-3])

    assert checkpoints.load_span(1000.0, 60.0) is None


def test_abandoned_checkpoints_are_deleted_and_other_folders_stay(
    tmp_path: Path, checkpoints: TrainingCheckpoints
) -> None:
    old = TrainingCheckpoints(tmp_path, {"seed": 7})
    old.save_span(TimeSpan(1, 2), 0.0)
    (folder,) = tmp_path.iterdir()
    (tmp_path / "mine").mkdir()
    for path in (folder, tmp_path / "mine"):
        os.utime(path, (0, 0))

    checkpoints.prepare(6 * 86_400.0)
    assert old.load_span(0.0, 1.0) is not None
    checkpoints.prepare(8 * 86_400.0)

    assert old.load_span(0.0, 1.0) is None
    assert (tmp_path / "mine").exists()
