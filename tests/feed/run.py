"""Run a scenario: the simulator, a real producer, a real Kafka, then the comparison."""

import re
import signal
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from services.exchange_simulator.synthetic import synthetic_symbols
from shared.adapters.kafka.admin import ensure_topics
from shared.adapters.kafka.connection import KafkaConnection
from shared.core.topics import Topics, interval_ms
from tests.feed.scenario import MANY, Scenario
from tests.feed.symbol_log import LogReader, SymbolLog
from tests.feed.truth import Truth
from tests.support.deployment import Deployment, Replica
from tests.support.simulator import SimulatorThread
from tests.support.waiting import eventually

POLL_S: Final = 0.25
START_S: Final = 90.0
SLACK_CANDLES: Final = 10  # may close between the subscription and the first request
MAX_WEIGHT: Final = 3600  # in a minute: 60 % of the exchange's limit
# So small that a scenario ends soon; the rules are the same as with the defaults.
PRODUCER: Final = {
    "BACKFILL_CANDLES": "30",
    "MARKET_SYMBOLS": "none",
    "CLOSE_GRACE_S": "0.5",
    "GAP_AFTER_S": "6",
    "OUTAGE_GAP_AFTER_S": "8",
    "REST_DEADLINE_S": "2",
    "RECONCILE_AFTER_S": "900",
    "STREAM_SILENCE_S": "6",
    "LISTING_REFRESH_S": "1",
    "DELISTED_AFTER_S": "4",
}


@dataclass(slots=True)
class ScenarioResult:
    """How a scenario ended."""

    name: str
    wrong: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def is_right(self) -> bool:
        return not self.wrong


def run_scenario(scenario: Scenario, kafka: KafkaConnection, folder: Path) -> ScenarioResult:
    """Run a scenario from its start to its comparison; it leaves nothing running."""
    result, began_s = ScenarioResult(scenario.name), time.monotonic()
    prefix = f"{re.sub('[^a-z0-9]+', '-', scenario.name.lower())}-{uuid.uuid4().hex[:6]}."
    deployment = Deployment(kafka, "", prefix, folder, partitions=2)
    exchange = {
        "symbols": scenario.symbols, "speed": str(scenario.speed), "history": "40",
        **scenario.exchange,
    }  # fmt: skip
    script = {"origin": "first subscription", "faults": scenario.faults}
    topics = Topics(exchange.get("interval", "5m"), deployment.partitions, prefix)
    ensure_topics(kafka, topics)
    try:
        with SimulatorThread(exchange, script) as simulator:
            result.wrong = ScenarioRun(scenario, deployment, topics, simulator).wrong()
    except TimeoutError as error:
        result.wrong.append(f"the producer never subscribed: {error}")
    finally:
        deployment.kill_replicas()
    result.seconds = time.monotonic() - began_s
    return result


class ScenarioRun:
    """One run of a scenario."""

    def __init__(
        self,
        scenario: Scenario,
        deployment: Deployment,
        topics: Topics,
        simulator: SimulatorThread,
    ) -> None:
        self._scenario, self._deployment, self._simulator = scenario, deployment, simulator
        self._topics = topics
        self._server = simulator.server
        self._step_ms = interval_ms(self._server.view.interval)
        self._truth = Truth(self._server.view)
        self._producers: list[Replica] = []
        self._deadline_passed = False

    def wrong(self) -> list[str]:
        """Play the scenario; return all that was wrong."""
        self._do("start producer", "")
        eventually(lambda: self._server.plan.origin_ms is not None or self._has_ended(), START_S)
        if self._has_ended():
            return [f"the producer ended: {self._producers[-1].log_text()[-600:]}"]
        for at, action, argument in sorted(self._scenario.actions):
            self._wait_until_candle(at)
            self._do(action, argument)
        self._wait_until_candle(self._scenario.candles)
        return self._compare_until_right()

    def _compare_until_right(self) -> list[str]:
        """Compare until nothing is wrong or the deadline has passed."""
        end_s = time.monotonic() + self._scenario.deadline_s
        with LogReader(self._deployment.kafka, self._topics, self._step_ms) as reader:
            while True:
                reader.poll()
                wrong = [*self._differences(reader), *self._differences_beside(reader)]
                if not wrong or time.monotonic() > end_s or self._has_ended():
                    return wrong
                time.sleep(POLL_S)

    # --- what is compared -------------------------------------------------------------------------

    def _differences(self, reader: LogReader) -> Iterator[str]:
        origin_ms = self._server.plan.origin_ms or 0
        until_ms = origin_ms + self._scenario.candles * self._step_ms
        backfill = int({**PRODUCER, **self._scenario.producer}["BACKFILL_CANDLES"])
        for symbol in self._followed():
            log = reader.symbols.get(symbol, SymbolLog(symbol, self._step_ms))
            first_ms = log.first_ms
            if first_ms is None:
                yield f"{symbol}: nothing is in the log"
                continue
            begin_ms = origin_ms - (backfill - SLACK_CANDLES) * self._step_ms
            latest_ms = max(begin_ms, self._listed_ms(symbol))
            if first_ms > latest_ms and symbol not in self._scenario.expected.joining:
                yield f"{symbol}: the log begins at {first_ms}, expected {latest_ms} or earlier"
            end_ms = until_ms
            if symbol in self._scenario.expected.ended:
                end_ms = max(log.candles, default=0)
                if not log.is_ended:
                    yield f"{symbol}: has not ended"
            yield from self._truth.differences(log, first_ms, end_ms)

    def _differences_beside(self, reader: LogReader) -> Iterator[str]:
        expected, logs = self._scenario.expected, reader.symbols.values()
        for name, (low, high) in (("fills", expected.fills), ("amendments", expected.amendments)):
            found = sum(getattr(log, name) for log in logs)
            if not low <= found <= high:
                yield f"{found} {name}, expected {low} to {high}"
        yield from _above("gaps", sum(len(log.gaps) for log in logs), expected.gaps)
        yield from _above("dead letters", len(reader.dead_letters), expected.dead_letters)
        for log in logs:
            statuses = [status for _, status in log.statuses if status != "listed"]
            wanted = [each for each in expected.statuses.get(log.symbol, ()) if each != "listed"]
            if statuses != wanted:
                yield f"{log.symbol}: statuses {statuses}, expected {wanted}"
        yield from self._wrong_usage()
        yield from self._wrong_producer()

    def _wrong_usage(self) -> Iterator[str]:
        usage, expected = self._server.usage, self._scenario.expected
        summary = usage.summary()
        weight, attempts = (
            int(str(summary[name]))
            for name in ("largest_weight_in_a_minute", "largest_attempts_in_5_minutes")
        )
        yield from _above("request weight in a minute", weight, MAX_WEIGHT)
        yield from _above("request weight", usage.total_weight, expected.weight)
        yield from _above("attempts to connect", attempts, expected.attempts)
        yield from _above("violations of the stream's limits", usage.protocol_violations, 0)
        refused = usage.refusals[418] + usage.refusals[429]
        yield from _above("answers 418 and 429", refused, expected.refusals)

    def _wrong_producer(self) -> Iterator[str]:
        producer = self._producers[-1]
        if self._has_ended():
            yield f"the producer ended: {producer.log_text()[-600:]}"
            return
        if "Traceback" in producer.log_text():
            yield "the producer's log has a traceback"
        status, text = producer.get("/health/ready")
        if (status == 200) != self._scenario.expected.ready:
            yield f"ready: {status} {text.strip()}"

    # --- what is done -----------------------------------------------------------------------------

    def _do(self, action: str, argument: str) -> None:
        if action in ("kill producer", "restart producer"):
            self._producers[-1].kill(signal.SIGKILL)
        if action in ("start producer", "restart producer"):
            address, scenario = self._simulator.address, self._scenario
            environ = {
                **PRODUCER,
                "INTERVAL": self._server.view.interval,
                "SYMBOLS": scenario.follow or ",".join(self._server.view.market.symbols),
                "EXCHANGE_REST_URL": f"http://{address}",
                "EXCHANGE_STREAM_URL": f"ws://{address}",
                **scenario.producer,
            }
            self._producers.append(self._deployment.start("services.producer", **environ))
        if action in ("add", "remove"):
            done = self._deployment.ulstm("symbols", action, argument)
            assert done.returncode == 0, done.stderr

    def _wait_until_candle(self, number: float) -> None:
        time_ms = (self._server.plan.origin_ms or 0) + int(number * self._step_ms)
        time.sleep(max(0.0, self._server.clock.seconds_until(time_ms)))

    def _has_ended(self) -> bool:
        return self._producers[-1].process.poll() is not None

    # --- which symbols ----------------------------------------------------------------------------

    def _followed(self) -> tuple[str, ...]:
        scenario = self._scenario
        named = scenario.follow.split(",") if scenario.follow else self._server.view.market.symbols
        if "all" in named or scenario.follow.startswith("top:"):
            named = ()
        lagging = scenario.expected.lagging
        wanted = dict.fromkeys((*named, *scenario.expected.followed))
        return tuple(symbol for symbol in wanted if symbol not in lagging)

    def _listed_ms(self, symbol: str) -> int:
        """Return when a symbol was listed; 0 if it has always been."""
        changes = self._server.view.market.changes(symbol)
        is_listed_later = len(changes) > 1 and changes[0].time_ms == 0
        return changes[1].time_ms if is_listed_later else 0


def _above(what: str, found: int, most: int) -> Iterator[str]:
    if most != MANY and found > most:
        yield f"{found} {what}, expected at most {most}"


def names_of(count: int) -> str:
    """Return the names of the simulator's first symbols, comma-separated."""
    return ",".join(synthetic_symbols(count))
