import re

import pytest
from playwright.sync_api import Page, expect

from tests.support.folded_market import FAMILIAR, FoldedMarket
from tests.support.live_page import BrowserPages, LivePage
from tests.support.page_parts import cell, expect_number, expect_table, percent, row, shown_symbols
from tests.support.waiting import eventually

FIRST = FAMILIAR[0]


def close_of(market: FoldedMarket, symbol: str) -> float:
    return float(market.closes[market.symbols.index(symbol)])


def test_the_first_paint_shows_every_symbol_with_its_close_and_its_bounds(
    pages: BrowserPages, market: FoldedMarket
) -> None:
    page = pages.open()

    expect_table(page)
    assert sorted(shown_symbols(page)) == sorted(FAMILIAR)
    for symbol in FAMILIAR[:3]:
        inner_90 = market.newest[symbol].intervals[2]
        expect_number(cell(page, symbol, "close"), close_of(market, symbol))
        bounds = cell(page, symbol, "upper_change")
        expect(bounds).to_contain_text(percent(inner_90.lower_change))
        expect(bounds).to_contain_text(percent(inner_90.upper_change))
        expect(cell(page, symbol, "model_version")).to_have_text(
            market.newest[symbol].model_version.split("-")[-1]
        )


def test_a_candle_that_closes_shows_without_a_reload(
    pages: BrowserPages, market: FoldedMarket
) -> None:
    page = pages.open()
    expect_table(page)
    page.evaluate("window.stayed = true")

    market.close(closes={FIRST: 1.25 * close_of(market, FIRST)})

    expect_number(cell(page, FIRST, "close"), close_of(market, FIRST))
    expect_number(cell(page, FIRST, "steps"), market.newest[FIRST].steps, 9)
    assert page.evaluate("window.stayed")


def test_sorting_filtering_and_choosing_survive_an_update(
    pages: BrowserPages, market: FoldedMarket
) -> None:
    page = pages.open()
    expect_table(page)
    heading = page.locator('.ag-header-cell[col-id="close"]')
    heading.click()
    expect(heading).to_have_attribute("aria-sort", "ascending")
    chosen = next(name for name in shown_symbols(page) if "X" in name)
    cell(page, chosen, "close").click()
    expect(row(page, chosen).first).to_have_attribute("aria-selected", "true")
    page.locator("#filter").fill("x")
    wanted = {name for name in FAMILIAR if "X" in name}

    market.close()

    expect_number(cell(page, chosen, "close"), close_of(market, chosen))
    shown = shown_symbols(page)
    assert set(shown) == wanted
    assert shown == sorted(shown, key=lambda name: close_of(market, name))
    expect(heading).to_have_attribute("aria-sort", "ascending")
    expect(row(page, chosen).first).to_have_attribute("aria-selected", "true")


def test_the_keyboard_alone_filters_reaches_a_row_and_opens_it(pages: BrowserPages) -> None:
    page = pages.open()
    expect_table(page)
    for _ in range(30):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "filter":
            break
    page.keyboard.type("SOL")
    expect(row(page, FIRST)).to_have_count(0)
    page.keyboard.press("ArrowDown")

    page.keyboard.press("Enter")

    expect(page).to_have_url(re.compile("/symbols/SOLUSDT$"))


@pytest.mark.parametrize(
    ("name", "path"), [("Overview", "/"), ("Models", "/models"), ("Health", "/health")]
)
def test_every_page_is_reached_by_a_link_and_by_its_address(
    pages: BrowserPages, name: str, path: str
) -> None:
    linked = pages.open("/symbols/BTCUSDT")
    linked.get_by_role("link", name=name, exact=True).click()
    addressed = pages.open(path)

    expect(linked).to_have_url(re.compile(f"{path}$"))
    for page in (linked, addressed):
        expect(page.locator("main h1").first).to_have_text(name)


@pytest.mark.parametrize("value", [b"", b"\xff\x00", b'{"type":"candle"}', b"[1, 2]"])
def test_foreign_records_are_counted_and_change_nothing_else(
    pages: BrowserPages, market: FoldedMarket, live_page: LivePage, value: bytes
) -> None:
    page = pages.open()
    expect_table(page)
    before = live_page.get("/api/overview")["summary"]["unreadable_records"]

    market.write_foreign_records(value)
    market.close()

    expect_number(cell(page, FIRST, "close"), close_of(market, FIRST))
    assert live_page.get("/api/overview")["summary"]["unreadable_records"] > before
    assert sorted(shown_symbols(page)) == sorted(FAMILIAR)


def show_tab(page: Page, *, hidden: bool) -> None:
    """Hide or show a page as if another tab were chosen."""
    page.evaluate(
        """hidden => {
            Object.defineProperty(document, "hidden", {configurable: true, get: () => hidden});
            document.dispatchEvent(new Event("visibilitychange"));
        }""",
        hidden,
    )


def test_a_hidden_tab_gives_its_connection_back_and_catches_up_when_it_is_seen(
    pages: BrowserPages, market: FoldedMarket, live_page: LivePage
) -> None:
    page = pages.open()
    expect_table(page)
    server = live_page.process
    assert server is not None
    eventually(lambda: server.metric("ulstm_dashboard_browsers") == 1.0)

    # A browser opens few connections to one host, for all its tabs together.
    show_tab(page, hidden=True)
    eventually(lambda: server.metric("ulstm_dashboard_browsers") == 0.0)
    market.close(closes={FIRST: 1.25 * close_of(market, FIRST)})
    show_tab(page, hidden=False)

    expect_number(cell(page, FIRST, "close"), close_of(market, FIRST))
