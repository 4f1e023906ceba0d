"""Pictures: round marks on their axes, colours that are readable on light and dark."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.evaluation.comparison import CalibrationBin
from shared.reporting.charts import (
    COLOURS,
    Line,
    dates,
    lines,
    numbers,
    percents,
    reliability,
    wholes,
)
from tests.support.builders import START_MS

DAY_MS = 86_400_000


def test_marks_are_round() -> None:
    assert numbers(0.0, 0.21) == [
        (0.0, "0.00"),
        (0.05, "0.05"),
        (0.1, "0.10"),
        (0.15, "0.15"),
        (0.2, "0.20"),
    ]
    assert [text for _, text in percents(-0.001, 0.0011)] == [
        "-0.10%",
        "-0.05%",
        "+0.00%",
        "+0.05%",
        "+0.10%",
    ]
    assert [text for _, text in wholes(1.0, 3.0)] == ["1", "2", "3"]


@pytest.mark.parametrize(
    ("days", "texts"),
    [
        (1, ["2025-01-01 00:00", "2025-01-01 12:00", "2025-01-02 00:00"]),
        (4, ["2025-01-01", "2025-01-02", "2025-01-03", "2025-01-04", "2025-01-05"]),
    ],
)
def test_times_are_told_in_utc(days: int, texts: list[str]) -> None:
    assert [text for _, text in dates(START_MS, START_MS + days * DAY_MS)] == texts


finite = st.floats(-1e6, 1e6)


@given(st.lists(finite, min_size=1, max_size=2000), st.sampled_from([numbers, percents]))
def test_every_line_is_drawn_within_its_picture(values: list[float], up: type) -> None:
    drawn = Line(
        "a <line>",
        0,
        START_MS + 300_000.0 * np.arange(len(values), dtype=np.float64),
        np.array(values),
    )

    picture = ElementTree.fromstring(lines("A & B", [drawn], dates, up))

    assert picture.get("aria-label") == picture.findtext("title") == "A & B"
    polyline = picture.find("polyline")
    assert polyline is not None
    points = [tuple(map(float, point.split(","))) for point in polyline.get("points", "").split()]
    assert 1 <= len(points) <= 500
    assert all(70 <= x <= 505 and 10 <= y <= 250 for x, y in points)


@given(st.lists(st.tuples(finite, finite, finite, st.floats(0.0, 1e3)), min_size=1, max_size=10))
def test_every_bin_is_drawn_within_its_picture_and_on_the_diagonal_where_it_came_as_forecast(
    values: list[tuple[float, float, float, float]],
) -> None:
    borne_out = [
        CalibrationBin(raw, outcome, outcome, error, 9) for raw, _, outcome, error in values
    ]

    picture = ElementTree.fromstring(reliability("Calibration", borne_out))

    dots = [
        (float(dot.get("cx", "")), float(dot.get("cy", ""))) for dot in picture.findall("circle")
    ]
    (x1, y1), (x2, y2) = _ends(
        next(line for line in picture.findall("line") if line.get("stroke-dasharray") == "4 3")
    )
    assert all(70 <= x <= 505 and 10 <= y <= 250 for x, y in dots)
    for x, y in dots[::2]:
        assert (x - x1) * (y2 - y1) == pytest.approx(
            (y - y1) * (x2 - x1), abs=100.0
        )  # tenths of a pixel, over 500


def _ends(line: ElementTree.Element) -> tuple[tuple[float, float], tuple[float, float]]:
    x1, y1, x2, y2 = (float(line.get(name, "")) for name in ("x1", "y1", "x2", "y2"))
    return (x1, y1), (x2, y2)


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
