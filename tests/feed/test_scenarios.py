"""The quick scenarios of `make feed`: the log is what the exchange has, whatever it does."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from shared.adapters.kafka.connection import KafkaConnection
from tests.feed.run import ScenarioResult, run_scenario
from tests.feed.table import SCENARIOS

AT_ONCE = 6  # scenarios wait more than they compute
QUICK = [scenario for scenario in SCENARIOS if scenario.quick]


def test_there_are_scenarios_of_every_kind_each_with_a_name_of_its_own() -> None:
    assert len({scenario.name for scenario in SCENARIOS}) == len(SCENARIOS) >= 80
    assert {scenario.kind for scenario in SCENARIOS} == set(range(1, 12))


@pytest.fixture(scope="module")
def results(
    kafka: KafkaConnection, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Future[ScenarioResult]]]:
    """Run the quick scenarios side by side."""
    folder: Path = tmp_path_factory.mktemp("feed")
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield {each.name: pool.submit(run_scenario, each, kafka, folder) for each in QUICK}


@pytest.mark.integration
@pytest.mark.end_to_end
@pytest.mark.parametrize("name", [scenario.name for scenario in QUICK])
def test_whatever_the_exchange_does_the_log_is_what_it_has(
    results: dict[str, "Future[ScenarioResult]"], name: str
) -> None:
    assert results[name].result().wrong == []
