"""What is said about the packages in the images."""

import json
import re
from importlib.metadata import distributions
from pathlib import Path

import pytest

from scripts.supply_chain import LICENCES_PAGE, LOCKS, judge, locked_packages, write_sbom

ROOT = Path(__file__).parents[1]


def answer(*dependencies: dict[str, object]) -> str:
    return json.dumps({"dependencies": list(dependencies), "fixes": []})


INSTALLED = {each.name.lower().replace("_", "-") for each in distributions()}
SAFE: dict[str, object] = {"name": "numpy", "version": "2.4.6", "vulns": []}
UNKNOWN: dict[str, object] = {"name": "redis", "skip_reason": "not found"}
VULNERABLE: dict[str, object] = {
    "name": "redis",
    "version": "8.1.0",
    "vulns": [{"id": "PYSEC-2026-1", "fix_versions": ["8.1.1"]}],
}


def test_the_packages_of_every_image_are_looked_at() -> None:
    named = set(re.findall(r"requirements/\w+\.txt", (ROOT / "Dockerfile").read_text()))

    # The kernel's compiler is in no image: it works in a stage of its own.
    assert named - {"requirements/kernel.txt"} == {str(lock) for lock in LOCKS.values()}


def test_packages_that_were_all_looked_at_and_are_safe_may_be_shipped() -> None:
    assert judge(answer(SAFE), {"numpy": "2.4.6"}) == (True, "1 packages, no known vulnerability")


def test_a_vulnerable_package_is_named_with_what_fixes_it() -> None:
    verdict, message = judge(answer(SAFE, VULNERABLE), {"numpy": "2.4.6", "redis": "8.1.0"})

    assert verdict is False
    assert message == "known vulnerabilities: redis 8.1.0: PYSEC-2026-1 (fixed in 8.1.1)"


@pytest.mark.parametrize("text", ["", "[", "{}", "Traceback: no connection"])
def test_a_service_out_of_reach_is_no_proof_of_safety(text: str) -> None:
    verdict, message = judge(text, {"numpy": "2.4.6"})

    assert verdict is None
    assert message.startswith("NOT CHECKED")


def test_a_package_that_the_service_does_not_know_is_not_called_safe() -> None:
    verdict, message = judge(answer(SAFE, UNKNOWN), {"numpy": "2.4.6", "redis": "8.1.0"})

    assert verdict is None
    assert message == "NOT CHECKED: the advisory service does not know redis"


@pytest.mark.slow
def test_a_bill_of_materials_names_every_locked_package(tmp_path: Path) -> None:
    lock = LOCKS["producer, predictor"]
    bill = json.loads(write_sbom(lock, tmp_path).read_text(encoding="utf-8"))
    named = {component["name"] for component in bill["components"]}

    assert bill["bomFormat"] == "CycloneDX"
    assert named == set(locked_packages(lock))


def test_the_licence_of_every_package_in_an_image_is_listed() -> None:
    page = (ROOT / LICENCES_PAGE).read_text(encoding="utf-8").lower().replace("_", "-")
    for lock in LOCKS.values():
        # A lock is of every Python: some packages are for others than this one.
        for name in set(locked_packages(ROOT / lock)) & INSTALLED:
            assert f"| {name.lower().replace('_', '-')} |" in page, name
