"""Where things are on the live page, and what they say."""

import re
from typing import Final

from playwright.sync_api import Locator, Page, expect

from tests.support.waiting import eventually

NUMBER: Final = re.compile(r"[-+−]?[\d,]*\.?\d+")


def row(page: Page, symbol: str) -> Locator:
    """Return a symbol's row of the table."""
    return page.locator(f'.ag-row[row-id="{symbol}"]')


def cell(page: Page, symbol: str, column: str) -> Locator:
    """Return a cell of the table."""
    # A pinned column lies in a row of its own, with the same id.
    return page.locator(f'.ag-row[row-id="{symbol}"] [col-id="{column}"]')


def expect_state(page: Page, state: str) -> None:
    """Expect the page to be in a state, within a time that a slow machine needs."""
    expect(page.locator("html")).to_have_attribute("data-state", state, timeout=30_000)


def expect_values(page: Page) -> None:
    """Expect the newest values to be there, however old they are."""
    # The closes of a test follow each other within a second: what comes after is a pause.
    known = re.compile("^(live|stale)$")
    expect(page.locator("html")).to_have_attribute("data-state", known, timeout=30_000)


def expect_table(page: Page) -> None:
    """Expect the overview to show its table."""
    expect_values(page)
    expect(page.locator(".ag-row").first).to_be_visible(timeout=15_000)


def percent(fraction: float) -> str:
    """Return a change as the page shows it."""
    return f"{fraction * 100:+.2f}".replace("-", "−")


def expect_number(place: Locator, number: float, digits: int = 4) -> None:
    """Expect a place to show a number, rounded to as few significant digits as here."""

    def shown() -> float:
        found = NUMBER.search(place.inner_text())
        return float(found[0].replace(",", "").replace("−", "-")) if found else float("nan")

    expect(place).to_have_text(NUMBER)
    try:
        eventually(lambda: abs(shown() - number) <= abs(number) * 10.0**-digits, 10.0, 0.05)
    except TimeoutError as error:
        raise AssertionError(f"{number} is wanted, {place.inner_text()!r} is shown") from error


def shown_symbols(page: Page) -> list[str]:
    """Return the symbols of the rows on screen, from top to bottom."""
    rows = page.locator(".ag-center-cols-container .ag-row").evaluate_all(
        "rows => rows.map(row => [Number(row.getAttribute('row-index')),"
        " row.getAttribute('row-id')])"
    )
    return [symbol for _, symbol in sorted(rows)]
