"""`ulstm watch` on a terminal: a screen that scrolls, sorts and filters thousands of symbols."""

import asyncio
import signal
import time
from collections.abc import Callable, Sequence
from typing import ClassVar, Final

from textual import events, on, work
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.widgets import Footer, Input, Static
from textual.worker import get_current_worker

from services.cli.terminal import plain_text
from services.cli.watch.board import WatchBoard, WatchRow
from services.cli.watch.columns import Column, choose_columns, filter_rows, sort_rows
from services.cli.watch.summary import status_lines
from services.cli.watch.table import heading_line, row_line
from shared.adapters.kafka.tail import TailRecord
from shared.core.errors import UlstmError

Poll = Callable[[], Sequence[TailRecord]]
"""Returns the records that have arrived since the last call, waiting a moment for the first."""

_REFRESH_S: Final = 0.5


class SymbolTable(ScrollView, can_focus=True):
    """A line for each row; only the lines on the screen are drawn, however many there are."""

    def __init__(self) -> None:
        """Begin empty."""
        super().__init__()
        self._columns: Sequence[Column] = ()
        self.rows: Sequence[WatchRow] = ()

    def show(self, columns: Sequence[Column], rows: Sequence[WatchRow]) -> None:
        """Show these rows; the place that the user has scrolled to stays."""
        self._columns, self.rows = columns, rows
        self.virtual_size = Size(self.size.width, len(rows))
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """Draw the line at a height on the screen."""
        at = self.scroll_offset.y + y
        if at >= len(self.rows):
            return Strip.blank(self.size.width)
        return Strip(row_line(self._columns, self.rows[at]).render(self.app.console))


class WatchApp(App[UlstmError | None]):
    """Shows a live board until the user quits; returns the error that ended it, if one did."""

    CSS = """
    #status { height: 2; }
    #filter { height: 1; border: none; display: none; }
    #filter.open { display: block; }
    #heading { height: 1; }
    SymbolTable { scrollbar-size-vertical: 1; overflow-x: hidden; height: 1fr; }
    """
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "open_filter", "Filter", key_display="/"),
        Binding("escape", "close_filter", "All", show=False),
        Binding("s", "sort_by_next", "Sort"),
        Binding("r", "reverse", "Reverse"),
        Binding("q", "quit", "Quit"),
        Binding("ctrl+c", "quit", "Quit", show=False, priority=True),
    ]

    def __init__(self, board: WatchBoard, poll: Poll, seconds: float = 0.0) -> None:
        """Show a board.

        Args:
            board: takes the records.
            poll: called again and again, in a thread of its own.
            seconds: quit after so many; 0: never.
        """
        super().__init__(ansi_color=True)
        self._board, self._poll, self._seconds = board, poll, seconds
        self._columns, self._sorted_by, self._is_reversed = list[Column](), 0, False
        self._rows: Sequence[WatchRow] = ()
        self._shown: tuple[object, ...] = ()  # what the rows on the screen were made of

    def compose(self) -> ComposeResult:
        """Put the screen together: status, filter, table, keys."""
        yield Static(id="status")
        yield Input(placeholder="part of a symbol, or a standing such as late", id="filter")
        yield Static(id="heading")
        yield SymbolTable()
        yield Footer()

    def on_mount(self) -> None:
        """Begin to read and to draw; a signal that ends programs gives the terminal back first."""
        for number in (signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, self.exit)
        self.query_one(SymbolTable).focus()
        self.set_interval(_REFRESH_S, self.refresh_board)
        if self._seconds:
            self.set_timer(self._seconds, self.exit)
        self.read_records()

    def on_resize(self, event: events.Resize) -> None:
        """Take the columns that fit."""
        self._columns = choose_columns(event.size.width - 1)  # less the scroll bar
        self._sorted_by = min(self._sorted_by, len(self._columns) - 1)
        self.refresh_board()

    @work(thread=True)
    def read_records(self) -> None:
        """Read until the screen closes; an error ends it."""
        worker = get_current_worker()
        try:
            while not worker.is_cancelled:
                records = self._poll()
                if records and not worker.is_cancelled:
                    self.call_from_thread(self._board.add, records, time.time() * 1000)
        except UlstmError as error:
            self.call_from_thread(self.exit, error)

    def refresh_board(self) -> None:
        """Redraw the table and the summary from the board."""
        wanted = self.query_one("#filter", Input).value
        order = (self._sorted_by, self._is_reversed, len(self._columns))
        shown = (self._board.changes, wanted, *order)
        if self._columns and shown != self._shown:
            self._shown, self._rows = shown, self._board.rows()
            self._show_rows(filter_rows(self._rows, wanted))
        lines = status_lines(self._board, self._rows, time.time() * 1000)
        count = len(self.query_one(SymbolTable).rows)
        if count < len(self._rows):
            lines[1] = f"{count:,} of {len(self._rows):,} symbols shown · {lines[1]}"
        self.query_one("#status", Static).update(plain_text("\n".join(lines)))

    def _show_rows(self, rows: Sequence[WatchRow]) -> None:
        column = self._columns[self._sorted_by]
        ordered = sort_rows(rows, column, is_reversed=self._is_reversed)
        self.query_one(SymbolTable).show(self._columns, ordered)
        marks = [""] * len(self._columns)
        marks[self._sorted_by] = "▼" if self._is_reversed else "▲"
        self.query_one("#heading", Static).update(heading_line(self._columns, marks))

    def action_open_filter(self) -> None:
        """Ask for a part of a symbol's name."""
        entry = self.query_one("#filter", Input)
        entry.add_class("open")
        entry.focus()

    def action_close_filter(self) -> None:
        """Show all symbols."""
        self.query_one("#filter", Input).value = ""
        self._leave_filter()

    @on(Input.Changed)
    def _apply_filter(self) -> None:
        self.query_one(SymbolTable).scroll_home(animate=False)
        self.refresh_board()

    @on(Input.Submitted)
    def _leave_filter(self) -> None:
        entry = self.query_one("#filter", Input)
        entry.set_class(bool(entry.value), "open")
        self.query_one(SymbolTable).focus()
        self.refresh_board()

    def action_sort_by_next(self) -> None:
        """Sort by the next column, the largest number first."""
        self._sorted_by = (self._sorted_by + 1) % len(self._columns)
        self._is_reversed = not self._columns[self._sorted_by].is_left
        self.refresh_board()

    def action_reverse(self) -> None:
        """Sort the other way round."""
        self._is_reversed = not self._is_reversed
        self.refresh_board()
