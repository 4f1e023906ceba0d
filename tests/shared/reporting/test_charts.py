"""Charts: readable axes, lines within the frame, colours with enough contrast."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.core.evaluation.comparison import CalibrationBin
from shared.core.evaluation.report import Curve
from shared.core.evaluation.skill_score import Skill
from shared.reporting.charts import (
    COLOURS,
    MAX_POINTS,
    AxisFormat,
    bar_chart,
    calibration_chart,
    interval_chart,
    line_chart,
    numbers,
    percents,
    times,
    whole_numbers,
)
from tests.support.builders import START_MS

DAY_MS = 86_400_000


def a_curve(*values: float, x: list[float] | None = None) -> Curve:
    positions = np.arange(len(values), dtype=np.float64) if x is None else np.array(x)
    return Curve("a <line>", 0, positions, np.array(values))


def texts(svg: str) -> list[str]:
    return [text.text or "" for text in ElementTree.fromstring(svg).iter("text")]


def points_of(element: ElementTree.Element) -> list[tuple[float, float]]:
    pairs = re.findall(r"[ML] ([\d.-]+) ([\d.-]+)", element.get("d", ""))
    return [(float(x), float(y)) for x, y in pairs]


def drawn_in(svg: str, colour: str) -> list[ElementTree.Element]:
    """Return what is drawn in a colour: lines, or marks of points."""
    every = ElementTree.fromstring(svg).iter()
    return [element for element in every if f": {colour}" in element.get("style", "")]


def frame_of(svg: str) -> tuple[float, float, float, float]:
    """Return the left, top, right and bottom of the axes."""
    clip = next(ElementTree.fromstring(svg).iter("clipPath")).find("rect")
    assert clip is not None
    x, y, width, height = (float(clip.get(name, "")) for name in ("x", "y", "width", "height"))
    return x, y, x + width, y + height


def assert_within(svg: str, points: list[tuple[float, float]]) -> None:
    left, top, right, bottom = frame_of(svg)
    assert all(left <= x <= right and top <= y <= bottom for x, y in points)


@pytest.mark.parametrize(
    ("y_format", "highest", "expected"),
    [
        (numbers, 0.21, ["0.00", "0.05", "0.10", "0.15", "0.20"]),
        (percents, 0.0011, ["0.000%", "0.050%", "0.100%"]),
        (whole_numbers, 3.0, ["0", "1", "2", "3"]),
    ],
)
def test_ticks_are_round(y_format: AxisFormat, highest: float, expected: list[str]) -> None:
    found = texts(line_chart("", [a_curve(0.0, highest)], whole_numbers, y_format))

    assert set(expected) <= set(found)


@pytest.mark.parametrize(
    ("days", "expected"),
    [
        (1, ["06:00", "12:00", "18:00", "2025-Jan-02"]),
        (4, ["Jan", "02", "03", "04", "05", "2025-Jan"]),
    ],
)
def test_times_are_in_utc(days: int, expected: list[str]) -> None:
    curve = a_curve(0.0, 1.0, x=[START_MS, START_MS + days * DAY_MS])

    assert set(expected) <= set(texts(line_chart("", [curve], times, percents)))


finite = st.floats(-1e6, 1e6)


@pytest.mark.slow
@settings(max_examples=25)
@given(st.lists(finite, min_size=1, max_size=2000), st.sampled_from([numbers, percents]))
def test_every_line_is_drawn_within_the_frame(values: list[float], y_format: AxisFormat) -> None:
    x = (START_MS + 300_000.0 * np.arange(len(values), dtype=np.float64)).tolist()

    svg = line_chart("A & B", [a_curve(*values, x=x)], times, y_format)

    chart = ElementTree.fromstring(svg)
    assert chart.get("aria-label") == chart.findtext("title") == "A & B"
    assert "a <line>" in texts(svg)
    points = points_of(next(e for e in drawn_in(svg, COLOURS[0]) if e.get("clip-path")))
    assert 1 <= len(points) <= MAX_POINTS
    assert_within(svg, points)


@pytest.mark.slow
@settings(max_examples=25)
@given(st.lists(st.tuples(finite, finite, st.floats(0.0, 1e3)), min_size=1, max_size=10))
def test_bins_that_come_true_in_full_lie_on_the_diagonal(
    values: list[tuple[float, float, float]],
) -> None:
    bins = [CalibrationBin(raw, outcome, outcome, error, 9) for raw, outcome, error in values]

    svg = calibration_chart("Calibration", bins)

    marks = [
        (float(mark.get("x", "")), float(mark.get("y", "")))
        for mark in drawn_in(svg, COLOURS[0])
        if mark.tag == "use"
    ]
    grey = [e for e in drawn_in(svg, "#57606a") if "stroke-dasharray" in e.get("style", "")]
    (x1, y1), (x2, y2) = points_of(grey[0])
    assert_within(svg, [*marks[: len(bins)], (x1, y1), (x2, y2)])
    for x, y in marks[: len(bins)]:
        assert (x - x1) * (y2 - y1) == pytest.approx((y - y1) * (x2 - x1), abs=0.1)


def test_an_interval_chart_names_each_row_and_colours_it_by_its_sign() -> None:
    rows = [
        ("UPUSDT", Skill(0.02, 0.01, 0.03, 0.0, 9)),
        ("DOWNUSDT", Skill(-0.02, -0.03, -0.01, 1.0, 9)),
        ("FLATUSDT", Skill(0.0, -0.01, 0.01, 0.5, 9)),
    ]

    svg = interval_chart("Skill", rows)

    assert {"UPUSDT", "+2.000%", "DOWNUSDT", "-2.000%", "FLATUSDT"} <= set(texts(svg))
    better, worse, undecided = (
        next(y for e in drawn_in(svg, colour) for _, y in points_of(e) if e.get("clip-path"))
        for colour in (COLOURS[3], COLOURS[4], COLOURS[5])
    )
    assert better < worse < undecided


def test_a_bar_chart_has_a_bar_and_a_text_for_each_row() -> None:
    svg = bar_chart("Cost", [("64 symbols", 0.3, "0.3 ms"), ("window 1024", 2.0, "2 ms")])

    assert {"64 symbols", "0.3 ms", "window 1024", "2 ms"} <= set(texts(svg))
    assert len(drawn_in(svg, COLOURS[0])) == 2


def test_the_same_chart_has_the_same_bytes() -> None:
    one, two = (line_chart("A", [a_curve(1.0, 2.0)], numbers, numbers) for _ in range(2))

    assert one == two


def test_ids_differ_between_the_charts_of_a_page() -> None:
    one, two = (
        set(re.findall('id="([^"]*)"', line_chart(title, [a_curve(1.0, 2.0)], numbers, numbers)))
        for title in ("A", "B")
    )

    assert one
    assert not one & two


def test_colours_stand_out_from_white_and_from_black() -> None:
    """Three to one is what the Web Content Accessibility Guidelines ask of graphics."""
    for colour in COLOURS:
        bright = _luminance(colour)
        assert 1.05 / (bright + 0.05) >= 3.0
        assert (bright + 0.05) / (_luminance("#121212") + 0.05) >= 3.0


def _luminance(colour: str) -> float:
    parts = [int(part, 16) / 255 for part in re.findall("[0-9a-f]{2}", colour)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
