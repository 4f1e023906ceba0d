"""Documentation names what exists: links, files, pages. Lines are short."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.documents import LINK, PAGES, name_of
from tests.support.imports import ROOT

REPOSITORY_PATH = re.compile(
    r"`((?:shared|services|tests|benchmarks|scripts|docs|requirements)/[\w./-]+)(?:::\w+)?`"
)
LINE_LENGTH = 100


def prose_lines(text: str) -> Iterator[tuple[int, str]]:
    in_code = False
    for number, line in enumerate(text.splitlines(), 1):
        in_code ^= line.lstrip().startswith("```")
        is_one_word = len(line.split()) == 1
        if not in_code and not is_one_word and not line.startswith(("|", "    ")):
            yield number, line


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in LINK.findall(page.read_text()):
        path, _, anchor = target.partition("#")
        if path.startswith(("http:", "https:")):
            continue
        linked = (page.parent / path) if path else page
        assert linked.exists(), f"{name_of(page)} links to {target}"
        if anchor:
            headings = re.findall(r"^#+ (.*)$", linked.read_text(), re.MULTILINE)
            anchors = {
                re.sub(r"[^\w -]", "", h).strip().lower().replace(" ", "-") for h in headings
            }
            assert anchor in anchors, f"{name_of(page)} links to {target}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_file_that_is_named_exists(page: Path) -> None:
    paths = [p for p in REPOSITORY_PATH.findall(page.read_text()) if "NAME" not in p]

    assert [path for path in paths if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_lines_of_prose_end_at_one_hundred_characters(page: Path) -> None:
    long = [number for number, line in prose_lines(page.read_text()) if len(line) > LINE_LENGTH]

    assert long == [], f"{name_of(page)}: lines {long}"


def test_the_front_page_leads_to_every_page() -> None:
    listed = pages_listed_on("docs/index.md")
    pages = {page for page in PAGES if page.is_relative_to(ROOT / "docs")}

    assert [
        name_of(p) for p in pages - listed if p.parent.name != "adr" and p.stem != "index"
    ] == []


def test_the_list_of_decisions_has_each_once() -> None:
    listed = [name for name in links_of("docs/adr/README.md") if name.startswith("00")]

    assert sorted(listed) == [page.name for page in sorted((ROOT / "docs/adr").glob("0*.md"))]


def pages_listed_on(page: str) -> set[Path]:
    return {(ROOT / page).parent.joinpath(link).resolve() for link in links_of(page)}


def links_of(page: str) -> list[str]:
    return [link.partition("#")[0] for link in LINK.findall((ROOT / page).read_text())]


def test_the_readme_shows_the_example_that_runs() -> None:
    example = (ROOT / "examples" / "read_predictions.py").read_text()

    assert f"```python\n{example}```" in (ROOT / "README.md").read_text()
