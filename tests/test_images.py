"""What the service images carry, held against what the services import."""

import re
from pathlib import Path

import pytest

from tests.support.imports import ROOT, reachable_files, source_files

STAGE = re.compile(r"^FROM (\S+) AS (\S+)$", re.MULTILINE)
COPIED = re.compile(r"^COPY --from=code /app/(\S+) ", re.MULTILINE)
IMAGES = {
    "producer": "producer",
    "predictor": "predictor",
    "trainer": "trainer",
    "dashboard": "dashboard",
    "exchange-simulator": "exchange_simulator",
}
each_image = pytest.mark.parametrize("image", IMAGES)


def copied_paths(image: str) -> list[str]:
    """Return the paths of the project's code that an image's stages copy."""
    parts = STAGE.split((ROOT / "Dockerfile").read_text())[1:]
    stages = {name: (base, text) for base, name, text in zip(*[iter(parts)] * 3, strict=True)}
    paths, stage = list[str](), image
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


@each_image
def test_no_image_carries_what_starts_servers_on_a_developers_machine(image: str) -> None:
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
