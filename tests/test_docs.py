"""Documentation names what exists: links, files, commands, make targets. Lines are short."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from services.cli.__main__ import app

ROOT = Path(__file__).parents[1]
LISTED = subprocess.run(
    ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"],
    cwd=ROOT,
    check=True,
    capture_output=True,
    text=True,
).stdout.split()
PAGES = [ROOT / name for name in sorted(LISTED) if (ROOT / name).exists()]
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
REPOSITORY_PATH = re.compile(
    r"`((?:shared|services|tests|benchmarks|scripts|docs|requirements)/[\w./-]+)(?:::\w+)?`"
)
COMMAND = re.compile(r"\bulstm ((?:[a-z]+-?[a-z]*)(?: [a-z]+)?)")
TARGET = re.compile(r"\bmake ([a-z]+(?:-[a-z]+)*)\b")
LINE_LENGTH = 100


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def prose_lines(text: str) -> Iterator[tuple[int, str]]:
    in_code = False
    for number, line in enumerate(text.splitlines(), 1):
        in_code ^= line.lstrip().startswith("```")
        is_one_word = len(line.split()) == 1
        if not in_code and not is_one_word and not line.startswith(("|", "    ")):
            yield number, line


def code_of(text: str) -> str:
    """Return the parts of a page that a reader would type: code spans and blocks."""
    blocks = [line for line in text.splitlines() if line.startswith("    ")]
    return "\n".join([*re.findall(r"`([^`\n]+)`", text), *blocks])


def commands() -> set[str]:
    group = typer.main.get_command(app)
    found = set()
    for name, command in group.commands.items():  # type: ignore[attr-defined]
        found.add(name)
        found |= {f"{name} {inner}" for inner in getattr(command, "commands", {})}
    return found


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in LINK.findall(page.read_text()):
        path, _, anchor = target.partition("#")
        if path.startswith(("http:", "https:")):
            continue
        linked = (page.parent / path) if path else page
        assert linked.exists(), f"{named(page)} links to {target}"
        if anchor:
            headings = re.findall(r"^#+ (.*)$", linked.read_text(), re.MULTILINE)
            anchors = {
                re.sub(r"[^\w -]", "", h).strip().lower().replace(" ", "-") for h in headings
            }
            assert anchor in anchors, f"{named(page)} links to {target}"


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_file_that_is_named_exists(page: Path) -> None:
    paths = [p for p in REPOSITORY_PATH.findall(page.read_text()) if "NAME" not in p]

    assert [path for path in paths if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_command_and_make_target_exists(page: Path) -> None:
    code, known = code_of(page.read_text()), commands()
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))

    typed = set(COMMAND.findall(code))
    assert {t for t in typed if t not in known and t.split()[0] not in known} == set()
    assert set(TARGET.findall(code)) - targets == set()


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_lines_of_prose_end_at_one_hundred_characters(page: Path) -> None:
    long = [number for number, line in prose_lines(page.read_text()) if len(line) > LINE_LENGTH]

    assert long == [], f"{named(page)}: lines {long}"


def test_the_index_leads_to_every_page() -> None:
    index = ROOT / "docs" / "index.md"
    linked = {
        (index.parent / t.partition("#")[0]).resolve() for t in LINK.findall(index.read_text())
    }
    pages = {page for page in PAGES if page.is_relative_to(ROOT / "docs") and page != index}

    assert {named(p) for p in pages if p not in linked and p.parent.name != "adr"} == set()


def test_the_readme_shows_the_example_that_runs() -> None:
    example = (ROOT / "examples" / "read_predictions.py").read_text()

    assert f"```python\n{example}```" in (ROOT / "README.md").read_text()
