"""What documentation tells a reader to type exists: commands, options, settings, metrics, code."""

import re
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import pytest
import typer

from scripts.write_reference import METRICS
from services.cli.__main__ import app
from shared.adapters.prometheus import Telemetry
from tests.support.documents import PAGES, code_of, command_lines, fenced_blocks, name_of
from tests.support.imports import ROOT, source_files

MAKEFILE: Final = (ROOT / "Makefile").read_text(encoding="utf-8")
TARGETS: Final = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))
FORMER: Final = {"dead-letters replay", "verify --group"}  # the changelog says what they are now
OPTION: Final = re.compile(r"--?[a-z][a-z-]*")
CAPITALS: Final = re.compile(r"\b[A-Z][A-Z0-9]*_[A-Z0-9_]*[A-Z0-9]\b")
METRIC: Final = re.compile(r"\bulstm_[a-z_]+[a-z]\b")
SERIES: Final = re.compile(r"_(?:bucket|count|sum)$")
ULSTM: Final = ("ulstm", "docker compose run --rm cli")
PROGRAMS: Final = ("services", "tests", "benchmarks", "scripts")


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_command_of_ulstm_exists_with_its_options(page: Path) -> None:
    mistakes = [
        mistake
        for program in ULSTM
        for words in command_lines(page.read_text(), program)
        for alternative in alternatives(words)
        for mistake in mistakes_of(alternative)
    ]

    assert [mistake for mistake in mistakes if mistake not in FORMER] == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_make_target_exists_with_its_variables(page: Path) -> None:
    calls = list(command_lines(page.read_text(), "make"))

    assert [words[0] for words in calls if words and words[0] not in TARGETS] == []
    variables = {word.partition("=")[0] for words in calls for word in words[1:] if "=" in word}
    assert {name for name in variables if f"$({name})" not in MAKEFILE} == set()


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_module_that_is_run_exists_with_its_options(page: Path) -> None:
    mistakes = [
        mistake
        for module, *words in command_lines(page.read_text(), "python -m")
        if module.startswith(PROGRAMS)
        for mistake in mistakes_of_module(module, words)
    ]

    assert mistakes == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_setting_that_is_named_exists(page: Path) -> None:
    found = set(CAPITALS.findall(code_of(page.read_text())))
    # `ulstm copy` takes the settings of the other deployment with TO_ before their names.
    named = {name.removeprefix("TO_") for name in found}

    assert named - names_in_the_code() == set()


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_metric_that_is_named_exists(page: Path) -> None:
    named = {SERIES.sub("", name) for name in METRIC.findall(page.read_text())}

    assert named - metrics() == set()


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_python_in_a_page_compiles(page: Path) -> None:
    for block in fenced_blocks(page.read_text(), "python"):
        compile(block, name_of(page), "exec")


def test_messages_help_and_alerts_name_commands_that_exist() -> None:
    texts = [path.read_text(encoding="utf-8") for path in files_with_messages()]
    calls = [words.split() for text in texts for words in re.findall(r"`ulstm ([^`\\\n]+)`", text)]
    targets = {name for text in texts for name in re.findall(r"`make ([a-z-]+)", text)}

    assert [words for words in calls for _ in mistakes_of(words)] == []
    assert targets - TARGETS == set()


def files_with_messages() -> Iterator[Path]:
    for file in source_files("services", "shared", "benchmarks", "scripts"):
        yield ROOT / file
    for pattern in ("services/dashboard/page/**/*.js", "observability/**/*.yml"):
        yield from ROOT.glob(pattern)


def test_every_figure_of_the_readme_leads_to_its_command() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    table = readme.partition("## How good, how fast")[2].partition("## ")[0]
    pages = re.findall(r"\((docs/evidence/[\w-]+\.md)\) \|$", table, re.MULTILINE)

    assert len(pages) == table.count("\n| ") - 2  # a page for each row below the head
    assert [page for page in pages if not has_command((ROOT / page).read_text())] == []


def has_command(text: str) -> bool:
    return any(list(command_lines(text, program)) for program in ("make", "python -m", "ulstm"))


def alternatives(words: list[str]) -> Iterator[list[str]]:
    """Write out the alternatives of a word, such as in `symbols add|remove`."""
    at = next((at for at, word in enumerate(words) if "|" in word), None)
    if at is None:
        yield words
    else:
        yield from ([*words[:at], choice, *words[at + 1 :]] for choice in words[at].split("|"))


def mistakes_of(words: list[str]) -> Iterator[str]:
    """Yield the commands and options of a call of `ulstm` that do not exist."""
    command: Any = typer.main.get_command(app)
    path: list[str] = []
    while words and hasattr(command, "commands") and not words[0].startswith("-"):
        path.append(words[0])
        command = command.commands.get(words[0])
        words = words[1:]
        if command is None:
            yield " ".join(path)
            return
    known = {"--help", *(name for each in command.params for name in options_of(each))}
    for word in words:
        if OPTION.fullmatch(word.partition("=")[0]) and word.partition("=")[0] not in known:
            yield " ".join([*path, word])


def options_of(parameter: Any) -> list[str]:
    return [*parameter.opts, *parameter.secondary_opts]


def mistakes_of_module(module: str, words: list[str]) -> Iterator[str]:
    """Yield a module that cannot be run, or its options that its package does not declare."""
    if find_spec(module) is None:
        yield module
        return
    options = {word.partition("=")[0] for word in words if word.startswith("--")}
    declared = {"--help", *options_declared_in(module.partition(".")[0])}
    yield from (f"{module} {option}" for option in sorted(options - declared))


@cache
def options_declared_in(package: str) -> frozenset[str]:
    """Return the options that the files of a package name in quotes."""
    texts = [(ROOT / file).read_text(encoding="utf-8") for file in source_files(package)]
    return frozenset(re.findall(r'"(--[a-z][a-z-]*)"', "\n".join(texts)))


@cache
def names_in_the_code() -> frozenset[str]:
    """Return every name in capitals that code, the Makefile, Compose or the images have."""
    files = [*source_files("services", "shared", "tests", "benchmarks", "scripts")]
    others = ["Makefile", "docker-compose.yml", "Dockerfile", ".env.example"]
    others += map(str, ROOT.glob("docker-compose.*.yml"))
    texts = [(ROOT / file).read_text(encoding="utf-8") for file in [*files, *map(Path, others)]]
    settings = (ROOT / "docs/reference/settings.md").read_text(encoding="utf-8")
    return frozenset(CAPITALS.findall("\n".join([*texts, settings])))


@cache
def metrics() -> frozenset[str]:
    """Return the names of all metrics, of counters with their suffix."""
    return frozenset(name for service in METRICS for name in metrics_of(service))


def metrics_of(service: str) -> Iterator[str]:
    telemetry = Telemetry(service)
    METRICS[service](telemetry)
    for metric in telemetry.registry.collect():
        yield f"{metric.name}_total" if metric.type == "counter" else metric.name
