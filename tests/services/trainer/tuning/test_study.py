"""A search: its proposals, its resumption, its files."""

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.trial import BaseTrial
from rich.console import Console

from services.trainer.settings import SearchSettings, TrainerSettings
from services.trainer.tuning.proposals import SearchSpace, default_values, propose, search_space
from services.trainer.tuning.study import NothingFound, Study, StudyBudget
from services.trainer.tuning.study_record import (
    BEST,
    StudyRecord,
    TrialResult,
    Values,
    estimate_cost,
    fixed_settings,
    load,
    rank,
    save,
    to_environment,
    with_environment,
)
from shared.core.arrays import Float64s
from shared.core.errors import BadSetting
from shared.core.records import Candle
from shared.core.sequence import CLOSE, HIGH, candle_row
from shared.log.archive import TimeSpan
from tests.support.builders import START_MS, STEP_MS, a_walk, candles

SPACE = search_space(with_dropout=False)
DEFAULTS = default_values(SPACE)
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
    count: int,
    seed: int,
    score: Callable[[Values], float | None] = a_score,
    space: SearchSpace = SPACE,
) -> list[TrialResult]:
    trials: list[TrialResult] = []
    for _ in range(count):
        values = propose(space, trials, seed)
        assert values is not None
        trials.append(TrialResult(values, score(values), None, None, 1.0))
    return trials


def test_the_first_trial_has_the_default_settings() -> None:
    first = propose(SPACE, [], seed=5)

    assert first is not None
    default = TrainerSettings.from_env({})
    assert with_environment(default, to_environment(first)) == default


@settings(max_examples=20)
@given(seed=st.integers(0, 2**31 - 1), at=st.integers(1, 9))
def test_proposals_are_valid_settings(seed: int, at: int) -> None:
    values = proposed(at + 1, seed, lambda _: None)[-1].values

    chosen = with_environment(SETTINGS, to_environment(values))
    assert len(chosen.architecture.widths) == values["layers"]
    assert chosen.window_length == values["window_length"]
    assert chosen.online_rate == values["online_rate"]


def test_dropout_is_searched_only_if_it_is_asked_for() -> None:
    assert "dropout" not in DEFAULTS
    assert "dropout" in default_values(search_space(with_dropout=True))


def test_the_same_seed_proposes_the_same_and_another_seed_does_not() -> None:
    one, again, other = proposed(13, 3), proposed(13, 3), proposed(13, 4)

    assert one == again
    assert one[1:] != other[1:]
    assert len({str(trial.values) for trial in one}) == 13


def test_proposals_move_to_where_the_scores_are_high() -> None:
    # A space without the feature sets: one more of them must not change what is drawn here.
    def rates(trial: BaseTrial) -> None:
        trial.suggest_float("learning_rate", 1e-4, 3e-2, log=True)
        trial.suggest_float("online_rate", 1e-6, 1e-2, log=True)

    trials = proposed(24, 1, space=rates)

    drawn, chosen = (
        np.mean([trial.skill or 0.0 for trial in part]) for part in (trials[1:10], trials[-8:])
    )
    assert chosen > drawn + 0.0003


def test_nothing_is_proposed_once_everything_was_tried() -> None:
    def tiny(trial: BaseTrial) -> None:
        trial.suggest_categorical("batch_size", (128, 256, 512, 1024, 2048))

    tried: list[TrialResult] = []
    while (values := propose(tiny, tried, seed=0)) is not None:
        tried.append(TrialResult({"batch_size": values["batch_size"]}, None, None, None, 1.0))

    assert sorted(int(trial.values["batch_size"]) for trial in tried) == [128, 256, 512, 1024, 2048]


class Clock:
    """Advances by a second at each call."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        self.now_s += 1.0
        return self.now_s


class RecordedReads:
    """An archive that records the spans that were read."""

    def __init__(self) -> None:
        self.spans: list[TimeSpan] = []
        self.sequences = SEQUENCES
        self.span = SPAN

    def available_span(self) -> TimeSpan:
        return self.span

    def read(self, span: TimeSpan) -> dict[str, Float64s]:
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


def run(
    search: Study, trials: int, reads: RecordedReads | None = None, **limits: float
) -> dict[str, str]:
    reads = reads or RecordedReads()
    return search.run(StudyBudget(**{"seconds": 1e9, **limits}, trials=trials), reads)


def scores(search: Study) -> list[tuple[Values, float | None]]:
    return [(trial.values, trial.skill) for trial in search.trials]


def test_an_interrupted_search_resumes_with_the_same_trials_over_the_same_candles(
    tmp_path: Path,
) -> None:
    whole, first = a_search(tmp_path / "a"), a_search(tmp_path / "b")
    run(whole, 3)
    run(first, 1)
    grown = RecordedReads()
    grown.span = TimeSpan(SPAN.from_ms + STEP_MS, SPAN.through_ms + STEP_MS)

    second = a_search(tmp_path / "b")
    run(second, 3, grown)

    assert scores(second) == scores(whole)
    assert all(trial.skill is not None for trial in whole.trials)
    assert grown.spans == [SPAN]


def test_a_finished_search_reads_nothing_and_returns_the_best_again(tmp_path: Path) -> None:
    best = run(a_search(tmp_path), 2)
    reads = RecordedReads()

    assert run(a_search(tmp_path), 2, reads) == best
    assert reads.spans == []


def test_held_out_candles_change_no_score(tmp_path: Path) -> None:
    doubled = RecordedReads()
    doubled.sequences = {symbol: sequence.copy() for symbol, sequence in SEQUENCES.items()}
    for sequence in doubled.sequences.values():
        sequence[int(CANDLES * 0.85) :, CLOSE] *= 2.0
        sequence[int(CANDLES * 0.85) :, HIGH] *= 2.0
    plain, other = a_search(tmp_path / "a"), a_search(tmp_path / "b")

    run(plain, 2)
    run(other, 2, doubled)

    assert scores(plain) == scores(other)


def test_a_trial_that_takes_too_long_has_no_score_and_the_next_one_runs(tmp_path: Path) -> None:
    search = a_search(tmp_path)

    run(search, 3, trial_seconds=1.0)

    first, *others = search.trials
    assert first.skill is not None  # it tells the machine's speed, so it is not limited
    assert [trial.skill for trial in others] == [None, None]
    assert all(
        "longer than 1 s" in trial.note or "would take about" in trial.note for trial in others
    )


def test_all_starts_share_one_time_budget(tmp_path: Path) -> None:
    with pytest.raises(NothingFound, match="no trial has a score after"):
        run(a_search(tmp_path), 3, seconds=10.0)
    used_s = (load(tmp_path) or StudyRecord({}, 0, 0)).used_s
    reads = RecordedReads()

    with pytest.raises(NothingFound):
        run(a_search(tmp_path), 3, reads, seconds=10.0)

    assert used_s >= 10.0
    assert reads.spans == []


def test_a_stopped_search_keeps_its_finished_trials(tmp_path: Path) -> None:
    stop = threading.Event()
    best = run(a_search(tmp_path), 1)
    search = a_search(tmp_path, stop)

    class StoppedReads(RecordedReads):
        def read(self, span: TimeSpan) -> dict[str, Float64s]:
            stop.set()
            return super().read(span)

    assert search.run(StudyBudget(1e9, 5), StoppedReads()) == best
    assert len(search.trials) == 1
    assert load(tmp_path) is not None


def test_other_settings_are_refused_in_the_same_folder(tmp_path: Path) -> None:
    run(a_search(tmp_path), 1)

    with pytest.raises(BadSetting, match="EPOCHS is 1 there and 2 here"):
        a_search(tmp_path, EPOCHS="2")
    with pytest.raises(BadSetting, match="name another --folder"):
        a_search(tmp_path, SEED="2")
    a_search(tmp_path, WIDTHS="8", PROMOTE="never", CHECKPOINTS="elsewhere")


def test_the_best_settings_are_written_for_the_trainer(tmp_path: Path) -> None:
    good, bad = (
        TrialResult({**DEFAULTS, "online_rate": rate}, rate, 0.0, 1.0, 2.0) for rate in (3e-4, 1e-4)
    )
    failed = replace(good, skill=None, low=None, high=None, note='longer than "9", s')

    save(tmp_path, StudyRecord(fixed_settings(SETTINGS, DEFAULTS), 1, 2, 3.0, (bad, good, failed)))

    environ = dict(line.split("=") for line in (tmp_path / BEST).read_text().splitlines())
    assert TrainerSettings.from_env(environ).online_rate == 3e-4
    assert environ == to_environment(good.values)
    table = (tmp_path / "trials.csv").read_text().splitlines()
    assert table[0].startswith("trial,skill,low,high,seconds,note,BATCH_SIZE")
    assert [line.split(",")[:2] for line in table[1:]] == [
        ["1", "0.0001"],
        ["2", "0.0003"],
        ["3", ""],
    ]


def test_a_record_survives_its_file(tmp_path: Path) -> None:
    record = StudyRecord(fixed_settings(SETTINGS, DEFAULTS), 1, 2, 3.5, tuple(proposed(3, 1)))

    save(tmp_path, record)

    assert load(tmp_path) == record
    assert load(tmp_path / "nothing") is None


@pytest.mark.parametrize("text", ["", "[]", '{"trials": [{}]}', '{"fixed": {}}'])
def test_a_file_that_is_not_a_record_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "search.json").write_text(text)

    with pytest.raises(BadSetting, match="is not the record of a search"):
        load(tmp_path)


def test_a_folder_that_cannot_be_created_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(BadSetting, match="name another --folder"):
        save(tmp_path / "file", StudyRecord({}, 1, 2))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SEARCH_MINUTES", "0"),
        ("SEARCH_HOURS", "-1"),
        ("SEARCH_TRIALS", "0"),
        ("SEARCH_TRIAL_MINUTES", "-0.1"),
    ],
)
def test_an_empty_budget_is_refused(name: str, value: str) -> None:
    with pytest.raises(BadSetting, match=f"{name} is '{value}'"):
        SearchSettings.from_env({name: value})


def test_hours_and_minutes_add_up_and_default_to_an_hour() -> None:
    both = {"SEARCH_HOURS": "2", "SEARCH_MINUTES": "5"}

    assert SearchSettings.from_env(both).budget_minutes == 125
    assert SearchSettings.from_env({}).budget_minutes == 60


def test_a_long_window_costs_more() -> None:
    assert estimate_cost(with_environment(SETTINGS, {"WINDOW_LENGTH": "32"})) == 2 * estimate_cost(
        SETTINGS
    )


def test_the_earliest_of_equal_trials_is_the_best() -> None:
    trials = [TrialResult({}, skill, None, None, 1.0) for skill in (0.1, 0.2, 0.2, None)]

    assert rank(trials) == [1, 2, 0]


def test_changed_settings_keep_how_kafka_is_reached_and_its_password() -> None:
    environ = {
        "KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
        "KAFKA_SASL_USERNAME": "trainer",
        "KAFKA_SASL_PASSWORD": "hunter2hunter2",
    }
    settings = TrainerSettings.from_env(environ)

    changed = with_environment(settings, {"EPOCHS": "7"})

    assert changed.epochs == 7
    assert changed.kafka.client_config() == settings.kafka.client_config()
    assert changed.topic_replicas == settings.topic_replicas
