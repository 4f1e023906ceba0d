"""A training that was interrupted goes on, and comes to the same bits."""

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
from services.trainer.fitting.checkpoint_file import FitCheckpointFile
from services.trainer.fitting.checkpoints import TrainingCheckpoints
from services.trainer.fitting.fit import fit
from services.trainer.fitting.options import FitOptions
from services.trainer.fitting.result import FitResult
from services.trainer.fitting.training_loop import FitCallbacks, FitCheckpoint
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
    is_falling=True,
    averaging=0.9,
)
LOOKS_OF_AN_EPOCH = (
    3 + 1 + 1
)  # at the stop signal: before each batch and the validation, and once after
SEQUENCES = {"BTCUSDT": np.ones((3, 6))}


def a_dataset(seed: int = 1) -> Dataset:
    rows = np.random.default_rng(seed).uniform(-1.0, 1.0, (200, SMALL.features)).astype(np.float32)
    ends = np.arange(SMALL.window_length - 1, len(rows))
    return Dataset(rows, rows[:, 0].copy(), ends[:150], ends[150:], SMALL.window_length, 1.0)


class Killed(Exception):
    """Stands for the end of a process in the midst of a fit."""


def judged(weights: Float32s) -> float:
    return -float(np.abs(weights - 0.1).sum())


def killing(at: int) -> Callable[[Float32s], float]:
    """Judges, and ends it all while judging an epoch, counted from 0 of this process."""
    left = [at]

    def found(weights: Float32s) -> float:
        left[0] -= 1
        if left[0] < 0:
            raise Killed
        return judged(weights)

    return found


def trained(
    checkpoints: TrainingCheckpoints | None,
    stop: threading.Event | None = None,
    judge: Callable[[Float32s], float] = judged,
    options: FitOptions = OPTIONS,
    dataset: Dataset | None = None,
    profile: str = "1-test",
) -> FitResult:
    checkpoint = None if checkpoints is None else checkpoints.for_candles(profile, SEQUENCES)
    callbacks = FitCallbacks(judge, checkpoint)
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
        (LOOKS_OF_AN_EPOCH, 0.0),
        (2 * LOOKS_OF_AN_EPOCH + 3, 0.0),
        (4 * LOOKS_OF_AN_EPOCH, 0.0),
        # With dropout Keras trains; this stops it in the third epoch.
        pytest.param(8, 0.3, marks=pytest.mark.slow),
    ],
)
def test_a_training_that_was_stopped_anywhere_comes_to_the_same_bits(
    checkpoints: TrainingCheckpoints, looks: int, dropout: float
) -> None:
    options = replace(OPTIONS, dropout=dropout)

    first = trained(checkpoints, SetAfter(looks), options=options)
    resumed = trained(checkpoints, options=options)

    assert first.epochs <= EPOCHS
    assert_same(resumed, trained(None, options=options))


@pytest.mark.parametrize("epoch", range(EPOCHS))
def test_a_training_that_was_killed_in_an_epoch_begins_that_one_anew(
    checkpoints: TrainingCheckpoints, epoch: int
) -> None:
    with pytest.raises(Killed):
        trained(checkpoints, judge=killing(epoch))

    with pytest.raises(Killed):  # were one epoch more to be judged, it would live
        trained(checkpoints, judge=killing(EPOCHS - epoch - 1))

    assert_same(trained(checkpoints), trained(None))


def test_a_training_that_is_done_is_not_done_again(checkpoints: TrainingCheckpoints) -> None:
    done = trained(checkpoints)

    assert_same(trained(checkpoints, judge=killing(0)), done)


def test_the_checkpoint_of_another_training_is_not_used(checkpoints: TrainingCheckpoints) -> None:
    trained(checkpoints, SetAfter(2 * LOOKS_OF_AN_EPOCH))

    for other in (
        {"dataset": a_dataset(2)},
        {"options": replace(OPTIONS, learning_rate=0.02)},
        {"options": replace(OPTIONS, seed=6)},
    ):
        assert_same(
            trained(checkpoints, SetAfter(9 * LOOKS_OF_AN_EPOCH), **other), trained(None, **other)
        )
    with pytest.raises(Killed):
        trained(checkpoints, judge=killing(EPOCHS - 1), profile="2-other")


def test_other_settings_have_another_place(
    tmp_path: Path, checkpoints: TrainingCheckpoints
) -> None:
    checkpoints.save_span(TimeSpan(1, 2), 0.0)

    assert TrainingCheckpoints(tmp_path, {"seed": 6}).load_span(0.0, 1.0) is None
    assert TrainingCheckpoints(tmp_path, {"seed": 5}).load_span(0.0, 1.0) == TimeSpan(1, 2)


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(["progress.json", "epoch-2.npz"]),
    st.floats(0, 1, exclude_max=True),
    st.integers(0, 255),
)
def test_what_was_damaged_is_never_taken_for_progress(name: str, share: float, byte: int) -> None:
    reached = FitCheckpoint(
        FitResult(np.ones(3, np.float32), (0.5, 0.4), (0.6, 0.5), (0.1, None)),
        {"more": np.arange(4)},
    )
    with TemporaryDirectory() as folder:
        progress = FitCheckpointFile(Path(folder), "this")
        progress.save(reached)
        path = Path(folder) / name
        data = path.read_bytes()
        place = int(share * len(data))

        path.write_bytes(data[:place] + bytes([byte]) + data[place + 1 :])
        changed = progress.load()
        path.write_bytes(data[:place])
        cut = progress.load()

    assert cut is None
    if changed is not None:  # that byte says nothing: white space, or how many epochs are told of
        assert_same(changed.fitted, reached.fitted)
        assert changed.arrays["more"].tolist() == [0, 1, 2, 3]


def test_files_that_are_gone_or_empty_start_it_anew(
    tmp_path: Path, checkpoints: TrainingCheckpoints
) -> None:
    for name in ("progress.json", "epoch-2.npz"):
        trained(checkpoints, SetAfter(2 * LOOKS_OF_AN_EPOCH))
        (found,) = tmp_path.glob(f"*/{name}")
        found.unlink()
        assert_same(trained(checkpoints), trained(None))
        checkpoints.delete()


def test_only_the_last_epoch_is_kept_and_nothing_once_it_is_forgotten(
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


def test_a_training_goes_on_where_its_folder_is_taken_away(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    nowhere = TrainingCheckpoints(tmp_path / "file" / "below", {})

    assert_same(trained(nowhere), trained(None))


def test_a_folder_that_cannot_be_written_is_refused_by_its_setting(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(
        BadSetting, match=f"CHECKPOINTS is {tmp_path}/file, which cannot be written"
    ):
        TrainingCheckpoints(tmp_path / "file", {}).prepare(0.0)


def test_a_span_is_remembered_for_so_long(checkpoints: TrainingCheckpoints) -> None:
    checkpoints.save_span(TimeSpan(1, 2), 1000.0)

    assert checkpoints.load_span(1060.0, 60.0) == TimeSpan(1, 2)
    assert checkpoints.load_span(1061.0, 60.0) is None


def test_a_damaged_span_is_none(tmp_path: Path, checkpoints: TrainingCheckpoints) -> None:
    checkpoints.save_span(TimeSpan(1, 2), 1000.0)
    (found,) = tmp_path.glob("*/span.json")
    found.write_bytes(found.read_bytes()[:-3])

    assert checkpoints.load_span(1000.0, 60.0) is None


def test_what_was_left_over_long_ago_goes_and_what_is_not_ours_stays(
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
