"""Tables for the terminal."""

from shared.core.evaluation.comparison import CHALLENGER_FROZEN, ZERO_CHANGE
from shared.core.evaluation.costs import FILLS, NetReturn
from shared.reporting.tables import comparison_lines, comparison_table, net_returns_table
from tests.support.builders import a_comparison, some_forecasts


def test_each_contender_has_a_row_and_the_nested_one_a_second_test() -> None:
    comparison = a_comparison()
    comparison.add(CHALLENGER_FROZEN, some_forecasts(realised=0.2))

    table, lines = comparison_table(comparison), list(comparison_lines(comparison))

    assert list(table.columns[0].cells) == comparison.names
    assert comparison.names[0] == ZERO_CHANGE
    assert ["nested" in line for line in lines] == [False, True]
    assert all(line.startswith("challenger against ") for line in lines)


def test_net_returns_are_in_basis_points() -> None:
    rows = [NetReturn(0.001, fill, 2e-4, 1e-4, 0.0, 3e-4, 0.04, 0.5, 0.25, 1234) for fill in FILLS]

    table = net_returns_table(rows)

    cells = [next(iter(column.cells)) for column in table.columns]
    assert cells[:5] == ["10", "last close", "1,234", "+2.000", "+1.000"]
    assert cells[5:] == ["+0.000 to +3.000", "0.04", "0.500", "25.0%"]
