"""The page's files fit together, and stay within what its content security policy allows."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Final

import pytest

PAGE: Final = Path(__file__).parents[3] / "services" / "dashboard" / "page"
INDEX: Final = PAGE / "index.html"
VENDOR: Final = {"/assets/vendor/aggrid/index.js", "/assets/vendor/echart/index.js"}
OWN_FILES: Final = sorted(
    path for path in PAGE.rglob("*") if path.suffix in {".html", ".css", ".js", ".svg"}
)
SCRIPTS: Final = [path for path in OWN_FILES if path.suffix == ".js"]
XML_NAMESPACE: Final = "http://www.w3.org/2000/svg"  # a name, not an address that is fetched


class IndexReader(HTMLParser):
    """Collects the assets, the ids and what a strict policy forbids."""

    def __init__(self) -> None:
        super().__init__()
        self.assets: list[str] = []
        self.forbidden: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        if tag == "style" or (tag == "script" and "src" not in named):
            self.forbidden.append(tag)
        self.forbidden += [name for name in named if name == "style" or name.startswith("on")]
        address = named.get("src") or (named.get("href") if tag == "link" else None)
        if address is not None:
            self.assets.append(address)


def read_index() -> IndexReader:
    reader = IndexReader()
    reader.feed(INDEX.read_text(encoding="utf-8"))
    return reader


def imports_of(script: Path) -> Iterator[str]:
    text = script.read_text(encoding="utf-8")
    yield from re.findall(r'^\s*(?:import|export)\b[^;]*?from "([^"]+)";', text, re.MULTILINE)
    yield from re.findall(r'\bimport\("([^"]+)"\)', text)


def asset_path(address: str) -> Path:
    return PAGE / address.removeprefix("/assets/")


def test_the_index_names_assets_that_exist() -> None:
    missing = [each for each in read_index().assets if not asset_path(each).is_file()]

    assert missing == []


def test_every_stylesheet_is_named_by_the_index() -> None:
    named = {asset_path(each) for each in read_index().assets}

    assert set(PAGE.rglob("*.css")) <= named


def test_every_script_is_reached_from_the_index() -> None:
    entries = {"/assets/scripts/before_paint.js", "/assets/scripts/main.js"}
    waiting = [asset_path(each) for each in read_index().assets if each in entries]
    reached: set[Path] = set()
    while waiting:
        script = waiting.pop()
        if script not in reached:
            reached.add(script)
            own = [each for each in imports_of(script) if each not in VENDOR]
            waiting += [(script.parent / each).resolve() for each in own]

    assert reached == set(SCRIPTS)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_script_imports_names_that_exist(script: Path) -> None:
    text = script.read_text(encoding="utf-8")
    statements = re.findall(r'^import \{([^}]*)\} from "(\.[^"]+)";', text, re.MULTILINE)
    missing = []
    for names, address in statements:
        source = (script.parent / address).read_text(encoding="utf-8")
        exported = set(
            re.findall(r"^export (?:async )?(?:function|class|const) (\w+)", source, re.M)
        )
        missing += [f"{name} of {address}" for name in imported(names) if name not in exported]

    assert missing == []


def imported(names: str) -> list[str]:
    return [each.strip().split(" as ")[0] for each in names.split(",") if each.strip()]


def test_the_index_loads_what_main_imports_beside_it() -> None:
    preloaded = {each for each in read_index().assets if each.endswith(".js")}
    main = PAGE / "scripts" / "main.js"
    imported = {f"/assets/scripts/{each.removeprefix('./')}" for each in imports_of(main)}

    assert {each for each in imported if "/view.js" not in each} <= preloaded


def test_what_is_loaded_before_the_paint_exists() -> None:
    script = PAGE / "scripts" / "before_paint.js"
    named = re.findall(r'"(/assets/[^"]+)"', script.read_text(encoding="utf-8"))
    missing = [each for each in named if each not in VENDOR and not asset_path(each).is_file()]

    assert named
    assert missing == []


def test_the_index_has_no_inline_script_or_style() -> None:
    assert read_index().forbidden == []


@pytest.mark.parametrize("path", OWN_FILES, ids=lambda path: path.name)
def test_a_file_names_no_other_host(path: Path) -> None:
    text = path.read_text(encoding="utf-8").replace(XML_NAMESPACE, "")

    assert re.findall(r"""(?:https?:)?//[\w.-]+\.\w""", without_comments(text)) == []


def without_comments(text: str) -> str:
    return re.sub(r"(?<!:)//\s.*", "", text)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_script_makes_no_markup_out_of_text(script: Path) -> None:
    text = script.read_text(encoding="utf-8")
    risky = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|cssText"

    assert re.findall(risky, text) == []


def test_the_nonce_has_one_place() -> None:
    assert INDEX.read_text(encoding="utf-8").count("{{style_nonce}}") == 1


@pytest.mark.parametrize("path", OWN_FILES, ids=lambda path: path.name)
def test_lines_are_short_and_clean(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()

    assert [line for line in lines if len(line) > 100 or line != line.rstrip()] == []


def test_every_variable_of_a_style_is_defined() -> None:
    styles = [path.read_text(encoding="utf-8") for path in PAGE.rglob("*.css")]
    defined = set(re.findall(r"^\s*(--[\w-]+):", "\n".join(styles), re.MULTILINE))
    scripts = [path.read_text(encoding="utf-8") for path in SCRIPTS]
    used = set(re.findall(r"var\((--[\w-]+)\)", "\n".join([*styles, *scripts])))

    assert used <= defined
