"""Some seconds of `make cluster`: what moves and dies in a cluster changes no byte."""

from pathlib import Path

import pytest

from tests.cluster.__main__ import SEED
from tests.cluster.faults import FAULTS
from tests.cluster.run import run_faults
from tests.cluster.system import ClusterUnderFaults

# The death of a broker alone takes longer than all of these: `make cluster` has the rest.
SHORT = ("leaders moved", "broker 1 stopped", "replica stopped")


@pytest.mark.integration
@pytest.mark.end_to_end
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_what_moves_and_stops_in_a_cluster_changes_no_byte(tmp_path: Path) -> None:
    faults = [fault for fault in FAULTS if fault.name in SHORT]
    with ClusterUnderFaults(tmp_path, SEED, "consumer") as system:
        report = run_faults(system, faults, lambda _: None)

    assert [*report.wrong, *report.findings.wrong] == []
    assert report.findings.predictions > 100
    assert report.pauses_s.keys() == set(SHORT)
