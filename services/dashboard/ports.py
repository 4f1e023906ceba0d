"""Interfaces that the live page needs; its other rooms implement them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from shared.core.online.prediction import Prediction
from shared.core.records import Record

Json = Mapping[str, object]
Standing = Literal["live", "late", "halted", "ended", "waiting"]
FeedState = Literal["loading", "empty", "waiting_for_model", "live", "stale", "kafka_down"]


@dataclass(frozen=True, slots=True)
class LogFacts:
    """What the topics say now, for the health page; what is left out is not known."""

    symbols_by_partition: Mapping[int, int] = field(default_factory=dict)
    late: Mapping[str, int] = field(default_factory=dict)  # symbol -> since, wall time in ms
    champion: str | None = None
    is_champion_known: bool = False
    newest_arrived_ms: int | None = None
    has_candles: bool | None = None
    stale_after_ms: int | None = None


class RecordFollower(Protocol):
    """One symbol's newest day, to which new records are added. No I/O; one owner."""

    def add_record(self, record: Record) -> None:
        """Add a record of `klines`; one that is there already changes nothing."""

    def add_prediction(self, prediction: Prediction) -> None:
        """Add a prediction; one that is there already changes nothing."""

    def take_increment(self) -> Json | None:
        """Return what has changed since the last call, in the shape of a history."""


class HistorySource(Protocol):
    """One symbol's past, read from the log. Called on threads; may take seconds."""

    def read(self, symbol: str, candles: int, before_ms: int | None) -> Json:
        """Return the body of `/api/symbols/NAME`.

        Args:
            symbol: the symbol.
            candles: the most candles to return.
            before_ms: open times are below it; None: up to the newest.

        Raises:
            BadInput: the arguments are wrong.
            Unknown: the log has no such symbol.
            Unavailable: Kafka does not answer.
        """

    def follow(self, symbol: str) -> RecordFollower:
        """Return the symbol's newest day, to be kept up to date.

        Raises:
            Unknown: the log has no such symbol.
            Unavailable: Kafka does not answer.
        """


class ModelsSource(Protocol):
    """The model versions and promotions in the log."""

    def refresh(self) -> bool:
        """Read what is new, on a thread; return whether something has changed.

        Raises:
            Unavailable: Kafka does not answer.
        """

    def page(self) -> Json:
        """Return the body of `/api/models` as last refreshed."""


class ClusterSource(Protocol):
    """Kafka's and the services' own view of how they are."""

    def refresh(self, now_ms: int, log: LogFacts) -> bool:
        """Ask everybody, on a thread; return whether problems or standings have changed."""

    def page(self) -> Json:
        """Return the body of `/api/health` as last refreshed."""

    def summary(self) -> Json:
        """Return `replicas`, `reconnects`, `aborted_transactions` and `problems`."""

    def problems_by_severity(self) -> Mapping[str, int]:
        """Count the problems of the page by `error` and `warning`."""


RecordsBySymbol = Mapping[str, Sequence[Record | Prediction]]
