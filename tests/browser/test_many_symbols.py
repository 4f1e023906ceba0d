from collections.abc import Sequence

import pytest
from playwright.sync_api import expect

from tests.support.folded_market import FoldedMarket, many_symbols
from tests.support.live_page import BrowserPages, LivePage
from tests.support.page_parts import cell, expect_number, expect_table, row, shown_symbols

COUNT = 2_000


@pytest.fixture(scope="module")
def symbols() -> Sequence[str]:
    return many_symbols(COUNT)


@pytest.fixture(scope="module")
def history() -> int:
    return 18  # two more than a window: predictions that are few, but there


def test_two_thousand_symbols_are_shown_filtered_and_updated(
    pages: BrowserPages, market: FoldedMarket, live_page: LivePage
) -> None:
    page = pages.open()
    expect_table(page)
    last = market.symbols[-1]
    # The table draws the rows on screen only.
    assert len(shown_symbols(page)) < 200
    assert len(live_page.get("/api/overview")["rows"]) == COUNT

    page.locator(".ag-body-viewport").hover()
    heading = page.locator('.ag-header-cell[col-id="symbol"]')
    expect(heading).to_have_attribute("aria-sort", "ascending")
    heading.click()
    expect(heading).to_have_attribute("aria-sort", "descending")
    expect(row(page, max(market.symbols)).first).to_be_visible()
    page.locator("#filter").fill(last)
    expect(row(page, last).first).to_be_visible()
    assert shown_symbols(page) == [last]

    market.close(closes={last: 1.25 * float(market.closes[-1])})

    expect_number(cell(page, last, "close"), float(market.closes[-1]))
    page.locator("#filter").fill("")
    expect(row(page, max(market.symbols)).first).to_be_visible()
