"""A search: what is proposed, how it goes on, what it leaves."""

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from services.trainer.settings import TrainerSettings
from services.trainer.tuning.search_space import propose, space
from services.trainer.tuning.study import NothingFound, Study, StudyBudget
from services.trainer.tuning.study_file import BEST, load, save
from services.trainer.tuning.trial import (
    Record,
    Trial,
    Values,
    cost_of,
    environment_of,
    fixed_of,
    ranked,
    with_environment,
)
from shared.core.arrays import Float64s
from shared.core.errors import BadSetting
from shared.core.records import Candle
from shared.core.sequence import CLOSE, HIGH, candle_row
from shared.log.archive import TimeSpan
from tests.support.builders import START_MS, STEP_MS, a_walk, candles

SPACE = space("change", with_dropout=False)
TINY = {"MIN_CANDLES": "100", "EPOCHS": "1", "WINDOWS_PER_EPOCH": "40", "VALIDATION_WINDOWS": "20"}
SETTINGS = TrainerSettings.from_env(TINY)
CANDLES = 500
SPAN = TimeSpan(START_MS, START_MS + (CANDLES - 1) * STEP_MS)


def a_sequence(seed: int) -> Float64s:
    return np.concatenate(
        [candle_row(c) for c in candles(a_walk(CANDLES, seed)) if isinstance(c, Candle)]
    )


SEQUENCES = {f"S{seed}USDT": a_sequence(seed) for seed in range(2)}


def a_score(values: Values) -> float:
    """Score only the online rate: 1e-4 is the best."""
    return -0.001 * abs(float(np.log10(float(values["online_rate"]))) + 4.0)


def proposed(
    count: int, seed: int, score: Callable[[Values], float | None] = a_score
) -> list[Trial]:
    trials: list[Trial] = []
    for _ in range(count):
        values = propose(SPACE, trials, seed)
        assert values is not None
        trials.append(Trial(values, score(values), None, None, 1.0))
    return trials


def test_the_first_trial_is_the_trainers_own_settings() -> None:
    first = propose(SPACE, [], seed=5)

    assert first is not None
    default = TrainerSettings.from_env({})
    assert with_environment(default, environment_of(first)) == default


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**31 - 1), at=st.integers(1, 9))
def test_what_is_drawn_are_possible_settings(seed: int, at: int) -> None:
    tried = [Trial({"layers": 1, "number": number}, None, None, None, 1.0) for number in range(at)]

    values = propose(SPACE, tried, seed)

    assert values is not None
    chosen = with_environment(SETTINGS, environment_of(values))
    assert len(chosen.architecture.widths) == values["layers"]
    assert chosen.window_length == values["window_length"]
    assert chosen.online_rate == values["online_rate"]


def test_a_level_on_the_scaler_is_searched_within_what_it_allows() -> None:
    original = TrainerSettings.from_env({"PRESET": "original"})
    level = space("level", with_dropout=False)

    values = propose(level, [Trial(dict(level.values), None, None, None, 1.0)], seed=1)

    assert values is not None
    assert with_environment(original, environment_of(values)).target == "level"


def test_dropout_is_tried_only_when_asked_for() -> None:
    assert "dropout" not in SPACE
    assert "dropout" in space("change", with_dropout=True)


def test_the_same_seed_proposes_the_same_and_another_seed_does_not() -> None:
    one, again, other = proposed(13, 3), proposed(13, 3), proposed(13, 4)

    assert one == again
    assert one[1:] != other[1:]
    assert len({str(trial.values) for trial in one}) == 13


def test_proposals_come_to_where_the_scores_are_high() -> None:
    trials = proposed(24, 0)

    drawn, chosen = (
        np.mean([trial.skill or 0.0 for trial in part]) for part in (trials[1:10], trials[-8:])
    )
    assert chosen > drawn + 0.0003


def test_nothing_is_proposed_once_everything_was_tried() -> None:
    tiny = space("change", with_dropout=False)
    tiny.space[:] = [
        hyperparameter for hyperparameter in tiny.space if hyperparameter.name == "batch_size"
    ]
    tried: list[Trial] = []
    while (values := propose(tiny, tried, seed=0)) is not None:
        tried.append(Trial({"batch_size": values["batch_size"]}, None, None, None, 1.0))

    assert sorted(int(trial.values["batch_size"]) for trial in tried) == [128, 256, 512, 1024, 2048]


class Clock:
    """Goes on by a second at each look."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        self.now_s += 1.0
        return self.now_s


class Reads:
    """The archive; how often and what of it was read."""

    def __init__(self) -> None:
        self.spans: list[TimeSpan] = []
        self.sequences = SEQUENCES
        self.span = SPAN

    def __call__(self, span: TimeSpan) -> dict[str, Float64s]:
        self.spans.append(span)
        return self.sequences


def a_search(folder: Path, stop: threading.Event | None = None, **changed: str) -> Study:
    return Study(
        TrainerSettings.from_env({**TINY, **changed}),
        folder,
        stop or threading.Event(),
        clock=Clock(),
        console=Console(quiet=True),
    )


def run(search: Study, trials: int, reads: Reads | None = None, **limits: float) -> dict[str, str]:
    reads = reads or Reads()
    return search.run(
        StudyBudget(**{"seconds": 1e9, **limits}, trials=trials), lambda: reads.span, reads
    )


def scores(search: Study) -> list[tuple[Values, float | None]]:
    return [(trial.values, trial.skill) for trial in search.trials]


def test_a_search_broken_off_goes_on_to_the_same_trials_over_the_same_candles(
    tmp_path: Path,
) -> None:
    whole, first = a_search(tmp_path / "a"), a_search(tmp_path / "b")
    run(whole, 3)
    run(first, 1)
    grown = Reads()
    grown.span = TimeSpan(SPAN.from_ms + STEP_MS, SPAN.through_ms + STEP_MS)

    second = a_search(tmp_path / "b")
    run(second, 3, grown)

    assert scores(second) == scores(whole)
    assert all(trial.skill is not None for trial in whole.trials)
    assert grown.spans == [SPAN]


def test_a_search_that_has_its_trials_reads_nothing_and_says_the_best_again(tmp_path: Path) -> None:
    best = run(a_search(tmp_path), 2)
    reads = Reads()

    assert run(a_search(tmp_path), 2, reads) == best
    assert reads.spans == []


def test_held_out_candles_decide_nothing(tmp_path: Path) -> None:
    doubled = Reads()
    doubled.sequences = {symbol: sequence.copy() for symbol, sequence in SEQUENCES.items()}
    for sequence in doubled.sequences.values():
        sequence[int(CANDLES * 0.85) :, CLOSE] *= 2.0
        sequence[int(CANDLES * 0.85) :, HIGH] *= 2.0
    plain, other = a_search(tmp_path / "a"), a_search(tmp_path / "b")

    run(plain, 2)
    run(other, 2, doubled)

    assert scores(plain) == scores(other)


def test_a_trial_that_takes_too_long_has_no_score_and_the_next_comes(tmp_path: Path) -> None:
    search = a_search(tmp_path)

    run(search, 3, trial_seconds=1.0)

    first, *others = search.trials
    assert first.skill is not None  # it tells the machine's speed, so it is not limited
    assert [trial.skill for trial in others] == [None, None]
    assert all(
        "longer than 1 s" in trial.note or "would take about" in trial.note for trial in others
    )


def test_the_time_of_all_starts_is_one_budget(tmp_path: Path) -> None:
    with pytest.raises(NothingFound, match="no trial has a score after"):
        run(a_search(tmp_path), 3, seconds=10.0)
    used_s = (load(tmp_path) or Record({}, 0, 0)).used_s
    reads = Reads()

    with pytest.raises(NothingFound):
        run(a_search(tmp_path), 3, reads, seconds=10.0)

    assert used_s >= 10.0
    assert reads.spans == []


def test_told_to_stop_it_keeps_what_is_finished(tmp_path: Path) -> None:
    stop = threading.Event()
    best = run(a_search(tmp_path), 1)
    search = a_search(tmp_path, stop)
    reads = Reads()

    def stopped(span: TimeSpan) -> dict[str, Float64s]:
        stop.set()
        return reads(span)

    assert search.run(StudyBudget(1e9, 5), lambda: SPAN, stopped) == best
    assert len(search.trials) == 1
    assert load(tmp_path) is not None


def test_other_settings_are_refused_in_the_same_folder(tmp_path: Path) -> None:
    run(a_search(tmp_path), 1)

    with pytest.raises(BadSetting, match="EPOCHS is 1 there and 2 here"):
        a_search(tmp_path, EPOCHS="2")
    with pytest.raises(BadSetting, match="name another --folder"):
        a_search(tmp_path, SEED="2")
    a_search(tmp_path, WIDTHS="8", PROMOTE="never", CHECKPOINTS="elsewhere")


def test_the_best_ones_settings_are_there_for_the_trainer(tmp_path: Path) -> None:
    good, bad = (
        Trial({**SPACE.values, "online_rate": rate}, rate, 0.0, 1.0, 2.0) for rate in (3e-4, 1e-4)
    )
    failed = replace(good, skill=None, low=None, high=None, note='longer than "9", s')

    save(tmp_path, Record(fixed_of(SETTINGS, SPACE.values), 1, 2, 3.0, (bad, good, failed)))

    environ = dict(line.split("=") for line in (tmp_path / BEST).read_text().splitlines())
    assert TrainerSettings.from_env(environ).online_rate == 3e-4
    assert environ == environment_of(good.values)
    table = (tmp_path / "trials.csv").read_text().splitlines()
    assert table[0].startswith("trial,skill,low,high,seconds,note,BATCH_SIZE")
    assert [line.split(",")[:2] for line in table[1:]] == [
        ["1", "0.0001"],
        ["2", "0.0003"],
        ["3", ""],
    ]


def test_a_record_comes_back_as_it_was(tmp_path: Path) -> None:
    record = Record(fixed_of(SETTINGS, SPACE.values), 1, 2, 3.5, tuple(proposed(3, 1)))

    save(tmp_path, record)

    assert load(tmp_path) == record
    assert load(tmp_path / "nothing") is None


@pytest.mark.parametrize("text", ["", "[]", '{"trials": [{}]}', '{"fixed": {}}'])
def test_a_file_that_is_no_record_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "search.json").write_text(text)

    with pytest.raises(BadSetting, match="is no record of a search"):
        load(tmp_path)


def test_a_folder_that_cannot_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(BadSetting, match="name another --folder"):
        save(tmp_path / "file", Record({}, 1, 2))


@pytest.mark.parametrize(
    ("budget", "named"),
    [
        ((0.0, None), "--minutes is 0"),
        ((1.0, 0), "--trials is 0"),
        ((1.0, 1, -6.0), "--trial-minutes is -0.1"),
    ],
)
def test_a_budget_of_nothing_is_refused(
    budget: tuple[float, int | None] | tuple[float, int, float], named: str
) -> None:
    with pytest.raises(BadSetting, match=named):
        StudyBudget(*budget)


def test_a_long_window_costs_more() -> None:
    assert cost_of(with_environment(SETTINGS, {"WINDOW_LENGTH": "32"})) == 2 * cost_of(SETTINGS)


def test_of_equals_the_earliest_is_the_best() -> None:
    trials = [Trial({}, skill, None, None, 1.0) for skill in (0.1, 0.2, 0.2, None)]

    assert ranked(trials) == [1, 2, 0]
