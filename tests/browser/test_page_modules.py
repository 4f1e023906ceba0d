"""The page's modules by themselves: what numbers, states, histories and zooms become.

They run in the browser, served out of the folder; neither Kafka nor the page's server is needed.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.sync_api import Browser, Page, Route

PAGE: Final = Path(__file__).parents[2] / "services" / "dashboard" / "page"
ORIGIN: Final = "http://page.test"
EMPTY_PAGE: Final = f"{ORIGIN}/"
MINUTES: Final = 60_000
HISTORY: Final = """async (parts) => {
  const { History } = await import("/assets/scripts/symbol/history.js");
  const history = new History();
  for (const [part, kind] of parts) history.add(part, kind);
  const { candles, predictions, calibration, next, newestOutcome, isAtBeginning } = history;
  const times = candles.map((each) => each.open_time_ms);
  return { times, candles, predictions, calibration, next, newestOutcome, isAtBeginning };
}"""
ZOOM: Final = """async ([chosen, spans]) => {
  const { Zoom } = await import("/assets/scripts/symbol/zoom.js");
  const zoom = new Zoom();
  zoom.reset(spans[0], 10, 10);
  if (chosen !== null) zoom.set(...chosen, spans[0], 10);
  for (const span of spans.slice(1)) zoom.follow(span);
  return [zoom.from, zoom.until];
}"""


def serve_file(route: Route) -> None:
    if route.request.url == EMPTY_PAGE:
        route.fulfill(content_type="text/html", body="<!doctype html>")
    else:
        path = route.request.url.removeprefix(f"{ORIGIN}/assets/")
        route.fulfill(path=PAGE / path, content_type="text/javascript")


@pytest.fixture(scope="module")
def modules(chromium: Browser) -> Iterator[Page]:
    with chromium.new_page() as page:
        page.route("**/*", serve_file)
        page.goto(EMPTY_PAGE)
        yield page


def call(page: Page, module: str, name: str, *arguments: Any) -> Any:
    script = "async ([path, name, all]) => (await import(path))[name](...all)"
    return page.evaluate(script, [f"/assets/scripts/{module}.js", name, list(arguments)])


def part(open_times: list[int], **rest: Any) -> dict[str, Any]:
    n = len(open_times)
    prices = {name: [1.0] * n for name in ("open", "high", "low", "close")}
    candles = {"open_time_ms": open_times, "corrected": [False] * n, **prices}
    return {"interval_ms": 5 * MINUTES, "candles": candles, "at_beginning": False, **rest}


def predictions(open_time_ms: int, outcome_close: float | None) -> dict[str, list[Any]]:
    return {"open_time_ms": [open_time_ms], "outcome_close": [outcome_close]}


@pytest.mark.parametrize(
    ("price", "text"),
    [
        (82519.6, "82,519.60"),
        (1.2345678, "1.2346"),
        (0.5, "0.50000"),
        (0.00001234, "0.000012340"),
        (1e-8, "0.000000010000"),
        (None, "–"),
    ],
)
def test_a_price_has_five_digits_that_say_something(
    modules: Page, price: float | None, text: str
) -> None:
    assert call(modules, "format", "price", price) == text


@pytest.mark.parametrize(
    ("fraction", "text"),
    [(0.0123, "+1.23"), (-0.0123, "\u22121.23"), (0.00001, "0.00"), (-0.00001, "0.00")],
)
def test_a_change_has_a_sign_unless_it_is_shown_as_zero(
    modules: Page, fraction: float, text: str
) -> None:
    assert call(modules, "format", "change", fraction) == f"{text}\u202f%"


@pytest.mark.parametrize(
    ("duration_ms", "text"),
    [
        (-5, "0 s"),
        (999, "0 s"),
        (59_999, "59 s"),
        (5 * MINUTES, "5 min"),
        (192 * MINUTES, "3 h 12 min"),
        (2 * 24 * 60 * MINUTES + 30_000, "2 d"),
    ],
)
def test_a_duration_has_its_two_largest_units(modules: Page, duration_ms: int, text: str) -> None:
    assert call(modules, "format", "duration", duration_ms) == text


@pytest.mark.parametrize(
    ("passed_ms", "text"),
    [(59_999, "59 s"), (MINUTES + 30_000, "1 min"), (192 * MINUTES + 30_000, "3 h 12 min")],
)
def test_an_age_counts_seconds_below_a_minute_alone(
    modules: Page, passed_ms: int, text: str
) -> None:
    assert call(modules, "format", "age", passed_ms) == text


@pytest.mark.parametrize(
    ("low", "high", "n", "value", "tone"),
    [
        (0.001, 0.021, 288, "+1.0\u202f%", "good"),
        (-0.021, -0.001, 288, "\u22121.0\u202f%", "bad"),
        (-0.001, 0.021, 288, "not shown", "muted"),
        (0.001, 0.021, 11, "too few", "muted"),
    ],
)
def test_skill_is_shown_where_its_interval_is_beside_zero(
    modules: Page, low: float, high: float, n: int, value: str, tone: str
) -> None:
    skill = {"value": 0.01 if low > 0 else -0.01, "low": low, "high": high, "n": n}
    text = call(modules, "skill_text", "describeSkill", skill)

    assert (text["value"], text["tone"]) == (value, tone)


def test_an_end_of_an_interval_that_is_not_zero_is_not_shown_as_zero(modules: Page) -> None:
    skill = {"value": 0.01, "low": 0.0003, "high": 0.02, "n": 288}

    assert call(modules, "skill_text", "describeSkill", skill)["interval"] == "[+0.03, +2.00]"


def test_a_server_that_does_not_answer_outranks_its_last_state(modules: Page) -> None:
    summary = {"state": "live", "state_reason": "", "time_ms": 0}
    state = call(modules, "page_state", "describeState", summary, False)

    assert state["name"] == "disconnected"
    assert "00:00:00 UTC" in state["reason"]


def test_a_reason_of_the_server_becomes_a_sentence(modules: Page) -> None:
    summary = {"state": "stale", "state_reason": "the feed is silent", "time_ms": 0}
    state = call(modules, "page_state", "describeState", summary, True)

    assert state["reason"] == "The feed is silent."


def test_older_candles_come_before_and_newer_ones_behind(modules: Page) -> None:
    parts = [[part([300, 400]), "page"], [part([500]), "news"], [part([100, 200]), "page"]]

    assert modules.evaluate(HISTORY, parts)["times"] == [100, 200, 300, 400, 500]


def test_news_of_a_candle_that_is_there_replaces_it(modules: Page) -> None:
    news = part([400])
    news["candles"]["close"] = [2.0]
    history = modules.evaluate(HISTORY, [[part([300, 400]), "page"], [news, "news"]])

    assert [each["close"] for each in history["candles"]] == [1.0, 2.0]


def test_a_prediction_is_the_next_one_until_its_outcome_comes(modules: Page) -> None:
    first = [part([300], predictions=predictions(400, None)), "page"]
    outcome = [part([400], predictions=predictions(400, 1.5)), "news"]

    before, after = (modules.evaluate(HISTORY, parts) for parts in ([first], [first, outcome]))

    assert (before["next"]["open_time_ms"], before["newestOutcome"]) == (400, None)
    assert (after["next"], after["newestOutcome"]["outcome_close"]) == (None, 1.5)


def test_a_page_of_the_past_leaves_the_calibration_of_now(modules: Page) -> None:
    now, past = [{"n": 2}], [{"n": 1}]
    parts = [[part([300], calibration=now), "page"], [part([200], calibration=past), "page"]]

    assert modules.evaluate(HISTORY, parts)["calibration"] == now


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [(None, [920, 1020]), ([500, 600], [500, 600])],
    ids=["newest in sight", "the past in sight"],
)
def test_a_zoom_follows_the_newest_candle_if_that_was_in_sight(
    modules: Page, chosen: list[int] | None, expected: list[int]
) -> None:
    assert modules.evaluate(ZOOM, [chosen, [[0, 1000], [0, 1010], [0, 1020]]]) == expected
