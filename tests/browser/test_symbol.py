import json

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.support.folded_market import FAMILIAR, FoldedMarket
from tests.support.live_page import BrowserPages
from tests.support.page_parts import expect_values

SYMBOL = FAMILIAR[1]


def open_symbol(pages: BrowserPages) -> tuple[Page, Locator]:
    page = pages.open(f"/symbols/{SYMBOL}")
    expect_values(page)
    chart = page.locator("#candles")
    expect(chart.locator("canvas").first).to_be_visible()
    return page, chart


def newest_ms_is(chart: Locator, market: FoldedMarket) -> None:
    expect(chart).to_have_attribute("data-newest-ms", str(market.newest_open_ms))


def test_a_closed_candle_is_drawn_at_once(pages: BrowserPages, market: FoldedMarket) -> None:
    _, chart = open_symbol(pages)
    expect(chart).to_have_attribute("data-candles", str(market.candles))
    newest_ms_is(chart, market)

    market.close()

    newest_ms_is(chart, market)
    expect(chart).to_have_attribute("data-candles", str(market.candles))


@pytest.mark.parametrize("hit", [True, False], ids=["hit", "miss"])
def test_a_prediction_turns_into_a_hit_or_a_miss_when_its_candle_closes(
    pages: BrowserPages, market: FoldedMarket, hit: bool
) -> None:
    page, chart = open_symbol(pages)
    newest_ms_is(chart, market)
    prediction = market.newest[SYMBOL]
    assert prediction.calibrated_change != 0.0
    expected_up = prediction.calibrated_change > 0.0

    factor = 1.004 if expected_up == hit else 0.996
    market.close(closes={SYMBOL: prediction.close * factor})

    outcome = page.locator("#newest-outcome")
    newest_ms_is(chart, market)
    expect(outcome).to_have_attribute("data-hit", "true" if hit else "false")
    expect(outcome).to_contain_text("hit" if hit else "miss", ignore_case=True)


def test_zoom_survives_a_new_candle(pages: BrowserPages, market: FoldedMarket) -> None:
    page, chart = open_symbol(pages)
    newest_ms_is(chart, market)
    chart.scroll_into_view_if_needed()
    before = chart.get_attribute("data-zoom")
    chart.hover()
    for _ in range(4):
        page.mouse.wheel(0, -240)
    expect(chart).not_to_have_attribute("data-zoom", before or "")
    zoomed = chart.get_attribute("data-zoom")

    market.close()

    newest_ms_is(chart, market)
    start, end = map(float, (zoomed or "").split(","))
    start_after, end_after = map(float, (chart.get_attribute("data-zoom") or "").split(","))
    assert end_after - start_after == pytest.approx(end - start, abs=3.0)
    assert end - start < 95.0


def test_an_unknown_symbol_says_so(pages: BrowserPages) -> None:
    pages.expect("404")
    page = pages.open("/symbols/NOSUCHUSDT")

    expect(page.locator("main")).to_contain_text("NOSUCHUSDT")
    expect(page.locator("main")).to_contain_text("no ", ignore_case=True)


def test_a_symbols_name_cannot_become_markup(pages: BrowserPages) -> None:
    pages.expect("40[04]")
    page = pages.open("/symbols/%3Cimg%20src=x%20onerror=alert(1)%3E")

    expect(page.locator("main")).to_be_visible()
    assert page.locator("main img").count() == 0
    assert json.loads(page.evaluate("JSON.stringify([...document.scripts].map(s => s.src))"))
