"""Phone, dark and light: what the page looks like, as far as a program can tell."""

from collections.abc import Sequence

import pytest
from playwright.sync_api import Page, expect

from tests.support.live_page import BrowserPages
from tests.support.page_parts import expect_values

PATHS = ["/", "/symbols/BTCUSDT", "/models", "/health"]
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}


def colour(page: Page, selector: str, name: str) -> Sequence[float]:
    """Return red, green and blue (0 to 255) of a computed colour."""
    found: list[float] = page.evaluate(
        """([selector, name]) => {
            const canvas = new OffscreenCanvas(1, 1).getContext("2d");
            canvas.fillStyle = getComputedStyle(document.querySelector(selector))[name];
            canvas.fillRect(0, 0, 1, 1);
            return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
        }""",
        [selector, name],
    )
    return found


def luminance(colour: Sequence[float]) -> float:
    """Return the relative luminance of WCAG 2.2 (2023)."""
    parts = [c / 255 for c in colour]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", PATHS)
def test_light_and_dark_follow_the_viewers_preference_and_can_be_read(
    pages: BrowserPages, path: str, scheme: str
) -> None:
    page = pages.open(path, color_scheme=scheme)
    expect_values(page)

    ground = luminance(colour(page, "html", "backgroundColor"))
    ink = luminance(colour(page, "body", "color"))

    assert (ground > ink) == (scheme == "light")
    assert (max(ground, ink) + 0.05) / (min(ground, ink) + 0.05) >= 7.0  # WCAG's level AAA


@pytest.mark.parametrize("path", PATHS)
def test_a_phone_shows_every_page_without_scrolling_sideways(
    pages: BrowserPages, path: str
) -> None:
    page = pages.open(path, **PHONE)
    expect_values(page)
    expect(page.locator("main")).to_be_visible()

    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    for link in page.locator("header, nav").get_by_role("link").all():
        box = link.bounding_box()
        assert box is not None
        assert box["height"] >= 24.0  # WCAG 2.2's least size of a target


@pytest.mark.parametrize(
    ("low", "high"),
    [(-0.00023, 0.00035), (-0.202, 0.108), (-1.204, 0.151), (0.0011, 0.0019), (-0.0042, -0.0036)],
)
def test_a_skill_fits_its_cell_with_its_whole_interval(
    pages: BrowserPages, low: float, high: float
) -> None:
    page = pages.open("/")
    expect_values(page)

    widths = page.evaluate(
        """async (data) => {
            const { SkillCell } = await import("/assets/scripts/overview/skill_cell.js");
            const cell = document.querySelector('.ag-row [col-id="skill"]');
            const skill = new SkillCell();
            skill.init({ data });
            cell.replaceChildren(skill.getGui());
            return [cell.scrollWidth, cell.clientWidth];
        }""",
        {"skill": (low + high) / 2, "skill_low": low, "skill_high": high, "skill_n": 288},
    )

    assert widths[0] <= widths[1]
