"""The documentation as a site: it builds without a warning and needs nothing from elsewhere."""

import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Final

import pytest

from tests.support.documents import PAGES
from tests.support.imports import ROOT

pytestmark = pytest.mark.slow

ASSETS: Final = {"img", "script", "link", "source", "iframe", "object", "video", "audio", "embed"}
ELSEWHERE: Final = re.compile(r"^(?:\w+:)?//")
FROM_ELSEWHERE: Final = re.compile(r"""(?:url\(|@import)\s*["']?(?:https?:)?//""")
SITE_PAGES: Final = [
    page.relative_to(ROOT)
    for page in PAGES
    if page.parent == ROOT or page.is_relative_to(ROOT / "docs")
]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site as `make docs` does: a warning, such as a broken link, is an error."""
    folder = tmp_path_factory.mktemp("site")
    options = ["-q", "-W", "--keep-going", "-d", str(folder / "doctrees"), "-c", "docs"]
    command = [sys.executable, "-m", "sphinx", *options, ".", str(folder / "html")]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    return folder / "html"


def test_every_page_is_in_the_site(site: Path) -> None:
    assert [page for page in SITE_PAGES if not (site / page.with_suffix(".html")).exists()] == []
    assert (site / "index.html").exists()


def test_no_page_loads_anything_from_elsewhere(site: Path) -> None:
    loaded = {asset for page in site.rglob("*.html") for asset in assets_of(page)}

    assert {asset for asset in loaded if ELSEWHERE.match(asset)} == set()
    styles = [style for style in site.rglob("*.css") if FROM_ELSEWHERE.search(style.read_text())]
    assert styles == []


def test_every_asset_is_in_the_site(site: Path) -> None:
    missing = [
        f"{page.relative_to(site)}: {asset}"
        for page in site.rglob("*.html")
        for asset in assets_of(page)
        if not asset.startswith("data:") and not (page.parent / asset.partition("?")[0]).exists()
    ]

    assert missing == []


def test_the_search_knows_the_pages_without_a_server(site: Path) -> None:
    index = (site / "searchindex.js").read_text(encoding="utf-8")

    assert index.startswith("Search.setIndex(")
    assert [page for page in SITE_PAGES if f'"{page.with_suffix("")}"' not in index] == []


def test_the_menu_of_a_page_leads_to_every_page_of_the_front_page(site: Path) -> None:
    front_page = (site / "docs/index.html").read_text(encoding="utf-8")
    menu = re.search(r'<div class="sidebar-tree">.*?</div>', front_page, re.DOTALL)
    listed = re.findall(r"^\* \[[^\]]+\]\(([^)]+)\.md\)", front_page_source(), re.MULTILINE)

    assert menu is not None
    assert [page for page in listed if f'href="{page}.html"' not in menu[0]] == []


def front_page_source() -> str:
    return (ROOT / "docs/index.md").read_text(encoding="utf-8")


def assets_of(page: Path) -> Iterator[str]:
    """Yield the addresses of what a page loads by itself: not of what it links to."""
    reader = AssetReader()
    reader.feed(page.read_text(encoding="utf-8"))
    yield from reader.assets


class AssetReader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.assets: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        is_link = tag == "link" and values.get("rel") not in {"stylesheet", "icon", "preload"}
        address = values.get("src") or values.get("href") or values.get("data")
        if tag in ASSETS and not is_link and address:
            self.assets.append(address)
