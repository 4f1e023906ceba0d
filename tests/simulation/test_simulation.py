"""The production loop among faults. `make soak SCHEDULES=100000` runs more of the same."""

import re

import pytest

from tests.simulation.log import SCRIPTS, expected_output, log_script
from tests.simulation.mutants import MUTANTS
from tests.simulation.network import RequestFault
from tests.simulation.schedules import EVENTS, FaultSchedule, draw_schedule, shrink
from tests.simulation.soak import SoakReport, soak
from tests.simulation.world import run, run_seed
from tests.support.imports import ROOT

SCHEDULES = 300
CONSUMER_SCHEDULES = 100
PAGE = (ROOT / "docs/evidence/simulation.md").read_text(encoding="utf-8")
# After how many schedules each mutant is caught, by the page.
CAUGHT_AFTER = {
    name: int(schedules)
    for name, schedules in re.findall(r"^\| ([\w ]+) \| (\d+) \|$", PAGE, re.MULTILINE)
}

pytestmark = pytest.mark.slow


@pytest.mark.timeout(600)
def test_no_schedule_of_faults_changes_a_byte_or_stops_the_publishing() -> None:
    def report_progress(report: SoakReport) -> None:
        assert not report.problems, (
            f"python -m tests.simulation --schedules 1 --seed {min(report.problems)}"
        )

    report = soak(range(SCHEDULES), None, report_progress)

    assert report.schedules == SCHEDULES
    assert set(report.counts) == {fault.value for fault in RequestFault} | set(EVENTS)
    assert min(report.counts.values()) > SCHEDULES / 100


@pytest.mark.timeout(300)
def test_the_same_holds_for_groups_of_the_protocol_consumer() -> None:
    report = soak(range(CONSUMER_SCHEDULES), None, lambda _: None, protocol="consumer")

    assert report.problems == {}


@pytest.mark.parametrize("number", range(SCRIPTS))
def test_without_a_fault_every_log_is_predicted(number: int) -> None:
    result = run(
        FaultSchedule(number, number, 1 + number % 3, slow_markers=False, faults=(), events=())
    )

    assert result.problem is None
    assert all(len(predictions) > 5 for predictions in expected_output(number).predictions)


def test_the_logs_hold_what_a_log_can_hold() -> None:
    values = [
        data.value or b""
        for n in range(SCRIPTS)
        for chunk, _ in log_script(n).chunks
        for _, data in chunk
    ]

    corrections, statuses = (b'"amendment"', b'"fill"'), (b'"removed"', b'"listed"')
    kinds = (b'"candle"', b'"gap"', *corrections, *statuses, b'"promotion"', b"{no json")
    for kind in kinds:
        assert sum(kind in value for value in values) > 5, kind
    assert any(not committed for n in range(SCRIPTS) for _, committed in log_script(n).chunks)


@pytest.mark.parametrize("seed", [3, 96, 241])
def test_a_seed_gives_one_run(seed: int) -> None:
    assert run_seed(seed) == run_seed(seed)


@pytest.mark.parametrize("name", MUTANTS)
def test_a_shortcut_is_caught_by_the_schedule_on_the_page(name: str) -> None:
    problem = run_seed(CAUGHT_AFTER[name] - 1, MUTANTS[name]).problem

    assert problem is not None, "find it anew: python -m tests.simulation --mutants"


def test_a_schedule_that_fails_is_shrunk_to_what_makes_it_fail() -> None:
    parts = MUTANTS["batch written again after an unknown outcome"]
    failing = next(
        s for s in (draw_schedule(seed, SCRIPTS) for seed in range(1000)) if run(s, parts).problem
    )

    smallest = shrink(failing, lambda schedule: run(schedule, parts).problem is not None)

    assert run(smallest, parts).problem
    assert smallest.size < failing.size
    assert smallest.size <= 3
