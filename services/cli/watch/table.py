"""Live rows as lines of text: cells in their colours, aligned within the columns' widths."""

from collections.abc import Sequence

from rich.text import Text

from services.cli.terminal import plain_text
from services.cli.watch.board import WatchRow
from services.cli.watch.columns import GAP, Column, choose_columns


def row_line(columns: Sequence[Column], row: WatchRow) -> Text:
    """Return a row as a line."""
    cells = (_fit(plain_text(column.text(row), column.style(row)), column) for column in columns)
    return Text(" " * GAP, end="").join(cells)


def heading_line(columns: Sequence[Column], marks: Sequence[str] = ()) -> Text:
    """Return the columns' titles as a line, with a mark at some of them."""
    titles = [column.title for column in columns]
    marked = [
        f"{mark}{title}" for mark, title in zip(marks or [""] * len(titles), titles, strict=True)
    ]
    cells = (
        _fit(plain_text(title, "bold"), column)
        for title, column in zip(marked, columns, strict=True)
    )
    return Text(" " * GAP, end="").join(cells)


def live_table(rows: Sequence[WatchRow], width: int, height: int) -> Text:
    """Return a table of the first rows that fit a terminal that is not taken over.

    Args:
        rows: in their order.
        width: of the terminal, in cells.
        height: lines that the table may take.
    """
    columns, shown = choose_columns(width), max(height - 2, 1)
    lines = [heading_line(columns), *(row_line(columns, row) for row in rows[:shown])]
    if len(rows) > shown:
        more = f"and {len(rows) - shown:,} more symbols: `ulstm watch` shows all"
        lines.append(plain_text(more, "dim"))
    return Text("\n").join(lines)


def _fit(text: Text, column: Column) -> Text:
    text.truncate(column.width, overflow="ellipsis")
    text.align("left" if column.is_left else "right", column.width)
    return text
