"""Measure the live page's latency and cost while 2,000 symbols close at once."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from statistics import mean, median
from typing import Final

from benchmarks.deployment import BenchmarkDeployment, BenchmarkOptions, until
from benchmarks.latency import REPLICAS, SYMBOLS, arrival_calls
from benchmarks.machine import processor_s, resident_mb
from benchmarks.models import DEFAULT
from benchmarks.page_viewers import OpenBrowsers, event_calls, first_paints
from benchmarks.result import Peer, Result
from benchmarks.worker import BackgroundWorker
from tests.support.chromium import running_chromium
from tests.support.live_page import LivePage

VIEWERS: Final = 20
HISTORY: Final = 64  # candles of each symbol before the promotion
CLOSES: Final = 6  # the first is not counted
PAINTS: Final = 5
IDLE_S: Final = 20.0
CANDLE_S: Final = 300.0
DAY: Final = 288  # candles
BLOCK: Final = 12  # candles written at once, in the accelerated days
WHAT: Final = f"live page, {SYMBOLS:,} symbols"

Shown = Callable[[int], list[float]]
"""Steps -> when each viewer showed them of all symbols (s since 1970)."""


def page_rows(options: BenchmarkOptions) -> Iterator[Result]:
    """Yield the rows of the live page."""
    with options.deployments() as deploy, deploy("page.") as deployment, ExitStack() as stack:
        market = ClosingMarket(deployment, options)
        watched = (deployment.topics.klines, deployment.topics.predictions)
        watcher = BackgroundWorker(arrival_calls, deployment.kafka, watched)
        market.watcher = stack.enter_context(watcher)
        closed = market.measure_closes("without the page")
        market.start_page()
        chromium = stack.enter_context(running_chromium())
        yield from _paint_rows(first_paints(chromium, market.page.address, PAINTS))
        clients = BackgroundWorker(event_calls, market.page.address, VIEWERS)
        with clients:
            clients.ask("ready")
            yield from _client_rows(market, clients, closed)
            with OpenBrowsers(chromium, market.page.address, 1) as browsers:
                closes = market.measure_closes("one browser, 20 clients", browsers.shown_s)
                yield _screen_row(closes, f"1 browser, {VIEWERS} bare clients")
        with OpenBrowsers(chromium, market.page.address, VIEWERS) as browsers:
            idle = market.idle_share()
            closes = market.measure_closes(f"{VIEWERS} browsers", browsers.shown_s)
            yield _screen_row(closes, f"{VIEWERS} browsers", at_most=1.0)
            yield _processor_row(closes, idle, f"{VIEWERS} browsers")
        if options.is_full:
            yield market.memory_row()


@dataclass(frozen=True, slots=True)
class CloseTimes:
    """The moments of one close (s since 1970), and the page's processor time for it (s)."""

    first_candle: float
    last_prediction: float
    shown: Sequence[float]  # of each viewer
    used: float


@dataclass
class ClosingMarket:
    """A market of which one candle of every symbol closes at a time, and its live page."""

    deployment: BenchmarkDeployment
    options: BenchmarkOptions
    candles: int = field(init=False)  # written so far, of each symbol
    page: LivePage = field(init=False)
    watcher: BackgroundWorker = field(init=False)

    def __post_init__(self) -> None:
        """Write the history, promote a model, let the predictors read."""
        report_progress, deployment = self.options.report_progress, self.deployment
        self.page, self.candles = LivePage(deployment), HISTORY
        report_progress(f"page: writing {SYMBOLS} x {HISTORY} candles of history")
        deployment.write_candles(SYMBOLS, 0, HISTORY)
        deployment.release_model(DEFAULT, HISTORY)
        for _ in range(REPLICAS):
            deployment.start_predictor()
        report_progress("page: the predictors read the history")
        deployment.await_folded(SYMBOLS * HISTORY)

    def start_page(self) -> None:
        """Start the page, and wait until it has caught up with the topics."""
        self.page.start()
        until(lambda: self.page.get("/api/overview")["summary"]["state"] != "loading")
        self.deployment.await_idle()

    def measure_closes(self, viewers: str, shown: Shown = lambda _: []) -> list[CloseTimes]:
        """Close some candles; return the times of all but the first.

        Args:
            viewers: who looks, in words.
            shown: waits until all viewers have the values of a close.
        """
        self.watcher.ask("ready")
        times = []
        for number in range(1, CLOSES + 1):
            self.options.report_progress(f"page: close {number} of {CLOSES}, {viewers}")
            times.append(self._measure_close(shown))
        return times[1:]

    def idle_share(self) -> float:
        """Return the share of a core that the page's process uses between closes."""
        self.options.report_progress("page: nothing closes")
        used_s = self._used_s()
        time.sleep(IDLE_S)
        return (self._used_s() - used_s) / IDLE_S

    def memory_row(self) -> Result:
        """Return how much the process grows over a day, after one that filled its windows."""
        self._pass_day("first")
        before = resident_mb(self._pid)
        self._pass_day("second")
        after = resident_mb(self._pid)
        if before is None or after is None:
            return Result(f"{WHAT}: growth over a day", None, "MB", note="no /proc here")
        note = f"{before:.0f} to {after:.0f} MB; {DAY} candles of each symbol, accelerated"
        return Result(
            f"{WHAT}: its memory's growth over a day", after - before, "MB", 10.0, note=note
        )

    def _pass_day(self, name: str) -> None:
        for start in range(0, DAY, BLOCK):
            self.options.report_progress(f"page: {name} day, candle {start} of {DAY}")
            self.deployment.write_candles(SYMBOLS, self.candles, self.candles + BLOCK)
            self.candles += BLOCK
            self.deployment.await_folded(SYMBOLS * self.candles)

    def _measure_close(self, shown: Shown) -> CloseTimes:
        used_s, to_epoch_s = self._used_s(), time.time() - time.monotonic()
        self.watcher.begin("arrivals", self.deployment.topics.predictions, SYMBOLS)
        candles = self.candles
        self.deployment.write_candles(SYMBOLS, candles, candles + 1, source="stream")
        self.candles += 1
        first_s, moments = self.watcher.answer()
        shown_s = shown(self.candles - HISTORY - 1)
        self.deployment.await_idle()
        used_s = self._used_s() - used_s
        return CloseTimes(first_s + to_epoch_s, moments[-1] + to_epoch_s, shown_s, used_s)

    @property
    def _pid(self) -> int:
        assert self.page.process is not None
        return self.page.process.process.pid

    def _used_s(self) -> float:
        return 0.0 if self.page.process is None else processor_s(self._pid)


def _paint_rows(paints: Sequence[tuple[float, float]]) -> Iterator[Result]:
    note = f"median of {len(paints)}, each with an empty cache; browser on the same cores"
    for name, at in (("first paint", 0), ("rows on screen", 1)):
        seconds = [paint[at] for paint in paints]
        spread = f"{min(seconds):.3g} to {max(seconds):.3g} s; {note}"
        yield Result(f"{WHAT}: {name}", median(seconds), "s", at_most=1.5, note=spread)


def _client_rows(
    market: ClosingMarket, clients: BackgroundWorker, closed: Sequence[CloseTimes]
) -> Iterator[Result]:
    """Yield the rows with clients that draw nothing: the server's own cost."""
    idle = market.idle_share()
    name = f"{VIEWERS} bare clients"
    closes = market.measure_closes(name, lambda steps: clients.ask("arrivals", steps, SYMBOLS))
    own = [max(close.shown) - close.last_prediction for close in closes]
    yield Result(
        f"{WHAT}: last prediction readable -> the last of {name} has it",
        median(own),
        "s",
        note=f"{min(own):.3g} to {max(own):.3g} s",
    )
    yield _processor_row(closes, idle, name)
    page_open, page_closed = (_last_readable_s(each) for each in (closes, closed))
    yield Result(
        f"{SYMBOLS:,} symbols close at once, page with {name}: first candle in klines -> last"
        " prediction readable",
        page_open,
        "s",
        peer=Peer("without the page", page_closed),
        note=f"median of {len(closes)} closes each",
    )


def _screen_row(closes: Sequence[CloseTimes], viewers: str, at_most: float | None = None) -> Result:
    seconds = [max(close.shown) - close.first_candle for close in closes]
    own = median(max(close.shown) - close.last_prediction for close in closes)
    note = (
        f"{min(seconds):.3g} to {max(seconds):.3g} s, {own:.3g} s of it after the last prediction"
        f" was readable; median of {len(closes)} closes; browsers, Kafka, Redis, {REPLICAS}"
        " predictors and the page on the same cores"
    )
    what = f"{WHAT}, {viewers}: first candle in klines -> newest values on every screen"
    return Result(what, median(seconds), "s", at_most=at_most, note=note)


def _processor_row(closes: Sequence[CloseTimes], idle: float, viewers: str) -> Result:
    used_s = mean(close.used for close in closes)
    share = idle + used_s / CANDLE_S
    note = f"{used_s:.2f} s a close, {idle:.1%} of a core between closes"
    what = f"{WHAT}, {viewers}: processor of the page's process, averaged over 5 minutes"
    return Result(what, share * 100.0, "% of a core", at_most=25.0, note=note)


def _last_readable_s(closes: Sequence[CloseTimes]) -> float:
    return median(close.last_prediction - close.first_candle for close in closes)
