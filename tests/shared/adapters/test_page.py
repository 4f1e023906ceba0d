"""A report is one page that needs nothing else."""

from shared.adapters.page import Report, page
from tests.builders import a_contest, some_tracks


def test_the_page_needs_nothing_else_and_tells_the_decision_every_forecast_and_every_symbol() -> None:
    contest = a_contest()

    html = page(Report("v1<b>", contest, "Not promoted: it is no better & slower.", (0.5, 0.4), (0.6, 0.5)))

    assert "Not promoted: it is no better &amp; slower." in html
    assert "v1<b>" not in html
    assert all(f">{name}</" in html for name in [*contest.names, *some_tracks()])
    assert "http" not in html
    assert html.count("<svg") == 2


def test_what_was_not_trained_has_no_learning_curves() -> None:
    html = page(Report("v1", a_contest()))

    assert "Learning curves" not in html


def test_a_page_of_nothing_scored_says_so() -> None:
    assert "Nothing was scored." in page(Report("v1", a_contest({})))
