"""`ulstm watch` on a terminal of 80 columns and 24 lines, with thousands of symbols."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from functools import cache
from queue import Empty, Queue

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from services.cli.watch.board import WatchBoard
from services.cli.watch.screen import Poll, SymbolTable, WatchApp
from shared.adapters.kafka.reader import ConsumerRecord
from shared.adapters.kafka.tail import TailRecord
from shared.adapters.schemas.klines import KlineCodec
from shared.adapters.schemas.predictions import decode_prediction, encode_prediction
from shared.core.errors import UlstmError, Unavailable
from tests.support.builders import STEP_MS
from tests.support.recorded_log import TOPICS, eventful_klines, record_log

SYMBOLS = 3_000
TestScript = Callable[[WatchApp, "Pilot[UlstmError | None]"], Awaitable[None]]


@cache
def predictions() -> list[TailRecord]:
    """Return a prediction of each of thousands of symbols; the changes rise with their numbers."""
    prediction = decode_prediction(record_log(eventful_klines()).predictions[-1].value)
    return [
        TailRecord(
            TOPICS.predictions,
            ConsumerRecord(
                0,
                number,
                0,
                b"",
                encode_prediction(
                    replace(prediction, symbol=f"S{number:04d}USDT", calibrated_change=number / 1e6)
                ),
            ),
        )
        for number in range(SYMBOLS)
    ]


def nothing_arrives() -> list[TailRecord]:
    with suppress(Empty):
        Queue[None]().get(timeout=0.1)
    return []


def run(
    script: TestScript, size: tuple[int, int] = (80, 24), poll: Poll = nothing_arrives
) -> UlstmError | None:
    """Run the screen with its records already on the board."""
    board = WatchBoard(TOPICS, KlineCodec(TOPICS.interval, STEP_MS, TOPICS.partitions), 0.0)
    board.add(predictions(), 0.0)
    app = WatchApp(board, poll)

    async def play() -> None:
        async with app.run_test(size=size) as pilot:
            await pilot.pause()
            await script(app, pilot)

    asyncio.run(play())
    return app.return_value


def lines(app: WatchApp) -> list[str]:
    """Return what the screen shows, line by line."""
    return [
        "".join(segment.text for segment in strip).rstrip()
        for strip in app.screen._compositor.render_strips()
    ]


def table_lines(app: WatchApp) -> list[str]:
    return [line for line in lines(app) if line.startswith("S") and "USDT" in line]


def test_80_columns_show_every_column_whole() -> None:
    async def script(app: WatchApp, _: "Pilot[UlstmError | None]") -> None:
        shown = lines(app)
        assert shown[2].split() == [
            *("▲symbol", "close", "next", "90%", "bounds", "last", "skill", "standing")
        ]
        assert max(map(len, shown)) <= 80
        assert table_lines(app)[0].split()[0] == "S0000USDT"
        assert "live" in table_lines(app)[0]
        assert "3000 symbols" in shown[0]
        assert {"Filter", "Sort", "Quit"} <= set(shown[-1].split())

    run(script)


def test_a_wider_terminal_shows_more_columns() -> None:
    async def script(app: WatchApp, pilot: "Pilot[UlstmError | None]") -> None:
        assert "next close" in lines(app)[2]
        await pilot.resize_terminal(80, 24)
        await pilot.pause()
        assert "next close" not in lines(app)[2]

    run(script, (160, 30))


def test_thousands_of_symbols_scroll_by_line_by_page_and_to_the_ends() -> None:
    async def script(app: WatchApp, pilot: "Pilot[UlstmError | None]") -> None:
        async def first_after(key: str) -> str:
            await pilot.press(key)
            await pilot.wait_for_animation()
            return table_lines(app)[0].split()[0]

        page = len(table_lines(app))
        assert await first_after("down") == "S0001USDT"
        assert await first_after("up") == "S0000USDT"
        assert await first_after("pagedown") == f"S{page:04d}USDT"
        assert await first_after("end") == f"S{SYMBOLS - page:04d}USDT"
        assert table_lines(app)[-1].split()[0] == f"S{SYMBOLS - 1:04d}USDT"
        assert await first_after("home") == "S0000USDT"

    run(script)


def test_a_slash_filters_and_escape_shows_all_again() -> None:
    async def script(app: WatchApp, pilot: "Pilot[UlstmError | None]") -> None:
        await pilot.press("slash", *"s29", "enter")
        await pilot.pause()
        assert len(app.query_one(SymbolTable).rows) == 100
        assert table_lines(app)[0].split()[0] == "S2900USDT"
        assert "100 of 3,000 symbols shown" in lines(app)[1]
        await pilot.press("s")  # a key again, no longer a letter of the filter
        await pilot.pause()
        assert app.query_one("#filter", Input).value == "s29"
        await pilot.press("escape")
        await pilot.pause()
        assert len(app.query_one(SymbolTable).rows) == SYMBOLS

    run(script)


def test_s_sorts_by_the_next_column_and_r_the_other_way_round() -> None:
    async def script(app: WatchApp, pilot: "Pilot[UlstmError | None]") -> None:
        await pilot.press("s", "s")
        await pilot.pause()
        assert "▼next" in lines(app)[2]
        assert table_lines(app)[0].split()[0] == f"S{SYMBOLS - 1:04d}USDT"
        await pilot.press("r")
        await pilot.pause()
        assert "▲next" in lines(app)[2]
        assert table_lines(app)[0].split()[0] == "S0000USDT"

    run(script)


def test_a_new_prediction_appears_and_the_place_stays() -> None:
    newer = predictions()[2_000:2_001]

    async def script(app: WatchApp, pilot: "Pilot[UlstmError | None]") -> None:
        await pilot.press("pagedown")
        await pilot.wait_for_animation()
        before = table_lines(app)
        app._board.add(newer, 0.0)
        app.refresh_board()
        await pilot.pause()
        assert table_lines(app) == before
        assert app._board.predictions == SYMBOLS + 1

    run(script)


@pytest.mark.parametrize("key", ["q", "ctrl+c"])
def test_a_key_ends_it(key: str) -> None:
    async def script(app: WatchApp, pilot: "Pilot[UlstmError | None]") -> None:
        await pilot.press(key)
        await pilot.pause()
        assert not app.is_running

    assert run(script) is None


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_in_order(number: signal.Signals) -> None:
    async def script(app: WatchApp, pilot: "Pilot[UlstmError | None]") -> None:
        os.kill(os.getpid(), number)
        await pilot.pause()
        assert not app.is_running

    assert run(script) is None


def test_an_error_of_the_log_ends_it_and_is_returned() -> None:
    def failing() -> list[TailRecord]:
        raise Unavailable("Kafka is gone")

    async def script(app: WatchApp, pilot: "Pilot[UlstmError | None]") -> None:
        await pilot.pause(0.2)

    assert isinstance(run(script, poll=failing), Unavailable)
