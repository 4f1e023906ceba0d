"""Configuration of the documentation's site, built with Sphinx by `make docs`.

The source folder is the repository itself: a link from one Markdown file to another, or to a file
of the code, is the same on a forge, in an editor and in the site, and no text is copied. The menu
is made of the lists on the front page, so that a page is entered in one place.
"""

import re
from pathlib import Path
from typing import Final

from sphinx.application import Sphinx

FRONT_PAGE: Final = "docs/index"
PAGES_WITH_MENU: Final = (FRONT_PAGE, "docs/adr/README")
HEADING: Final = re.compile(r"^## (.+)$", re.MULTILINE)
LISTED_PAGE: Final = re.compile(r"^\* \[([^\]]+)\]\(([^)#]+\.md)\)", re.MULTILINE)

project = "Updating LSTM"
extensions = ["myst_parser"]
root_doc = FRONT_PAGE
include_patterns = ["*.md", "docs/**.md"]
exclude_patterns = [".*", "build", "requirements", "services", "shared", "tests"]
templates_path = ["_templates"]
myst_heading_anchors = 4  # the anchors that forges give to headings

html_theme = "furo"
html_title = project
html_copy_source = False
html_show_copyright = False
html_use_index = False
html_additional_pages = {"index": "front-page.html"}  # the site's root leads to the front page
html_theme_options = {
    "navigation_with_keys": True,
    "light_css_variables": {"color-brand-primary": "#0072b2", "color-brand-content": "#0072b2"},
    "dark_css_variables": {"color-brand-primary": "#56b4e9", "color-brand-content": "#56b4e9"},
}


def setup(app: Sphinx) -> None:
    """Add the menu whenever a page that has one is read."""
    app.connect("source-read", add_menu)


def add_menu(_app: Sphinx, page: str, source: list[str]) -> None:
    """Append the pages that a page lists to its text, as a menu that is hidden there."""
    if page in PAGES_WITH_MENU:
        _, *parts = HEADING.split(source[0])
        titles, bodies = parts[::2], parts[1::2]
        source[0] += "".join(map(menu_part, titles, bodies))


def menu_part(heading: str, body: str) -> str:
    """Return a toctree of the pages that are listed below a heading; nothing if there are none."""
    listed = [(" ".join(title.split()), page) for title, page in LISTED_PAGE.findall(body)]
    entries = [f"{title} <{Path(page).with_suffix('')}>" for title, page in listed]
    options = [":hidden:", f":caption: {heading}"]
    return "\n".join(["\n", "```{toctree}", *options, "", *entries, "```"]) if entries else ""
