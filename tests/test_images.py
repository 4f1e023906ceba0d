"""What the service images carry, held against what the services import."""

import re
import sys
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from tests.support.imports import ROOT, imported_modules, reachable_files, source_files

STAGE = re.compile(r"^FROM (\S+) AS (\S+)$", re.MULTILINE)
ENVIRONMENT = re.compile(r"^COPY --from=(\S+-environment) /venv/", re.MULTILINE)
REQUIREMENTS = re.compile(r" -r (requirements/\S+\.txt)$", re.MULTILINE)
PACKAGE = re.compile(r"^([a-z0-9._-]+)==", re.MULTILINE)
DISTRIBUTIONS = {"binance": "binance-connector", "keras": "tensorflow"}  # several have a part
COPIED = re.compile(r"^COPY --from=code /app/(\S+) ", re.MULTILINE)
IMAGES = {
    "producer": "producer",
    "predictor": "predictor",
    "trainer": "trainer",
    "dashboard": "dashboard",
    "cli": "cli",
    "exchange-simulator": "exchange_simulator",
}
each_image = pytest.mark.parametrize("image", IMAGES)


@cache
def read_stages() -> dict[str, tuple[str, str]]:
    """Return the base and the text of each stage of the Dockerfile."""
    parts = STAGE.split((ROOT / "Dockerfile").read_text())[1:]
    return {name: (base, text) for base, name, text in zip(*[iter(parts)] * 3, strict=True)}


def stage_text(stage: str) -> str:
    return read_stages()[stage][1]


def copied_paths(image: str) -> list[str]:
    """Return the paths of the project's code that an image's stages copy."""
    stages, paths, stage = read_stages(), list[str](), image
    while stage in stages:
        stage, text = stages[stage]
        paths += COPIED.findall(text)
    return paths


def is_copied(file: Path, paths: list[str]) -> bool:
    return any(str(file) == path or str(file).startswith(path) for path in paths)


def needed_files(image: str) -> set[Path]:
    files = source_files(f"services/{IMAGES[image]}")
    return {needed for file in files for needed in reachable_files(file)}


@each_image
def test_an_image_carries_every_module_that_its_service_imports(image: str) -> None:
    paths = copied_paths(image)

    assert [file for file in needed_files(image) if not is_copied(file, paths)] == []


@pytest.mark.parametrize("image", sorted(set(IMAGES) - {"cli"}))
def test_no_service_image_carries_what_starts_servers_on_a_developers_machine(image: str) -> None:
    assert not is_copied(Path("shared/local_servers/launcher.py"), copied_paths(image))


def test_no_service_but_the_command_line_imports_the_local_servers() -> None:
    importers = {
        str(file)
        for file in source_files("services")
        for needed in reachable_files(file)
        if needed.is_relative_to("shared/local_servers")
    }

    assert {name for name in importers if not name.startswith("services/cli/")} == set()
    assert importers


@each_image
def test_an_image_has_every_library_that_its_modules_import(image: str) -> None:
    outside = {
        module.partition(".")[0]
        for file in needed_files(image)
        if not file.is_relative_to("shared/local_servers")
        for module in imported_modules(file)
    } - {"services", "shared", *sys.stdlib_module_names}

    assert {
        library for library in outside if distribution_of(library) not in locked(image)
    } == set()


def locked(image: str) -> set[str]:
    """Return the packages that an image's environment is made of."""
    environment = ENVIRONMENT.search(stage_text(image))
    assert environment is not None
    files = REQUIREMENTS.findall(stage_text(environment[1]))
    return {name for file in files for name in PACKAGE.findall((ROOT / file).read_text())}


distributions = cache(packages_distributions)  # it reads each package's list of files


def distribution_of(library: str) -> str:
    """Return the name of the package that an import comes from, as lock files write it."""
    named = DISTRIBUTIONS.get(library) or distributions()[library][0]
    return named.lower().replace("_", "-")


def test_no_image_of_a_service_has_pip() -> None:
    assert "rm -rf /usr/local/bin/pip*" in stage_text("service")
    assert "--without-pip" in stage_text("environment")
