"""Bans of the exchange in the topic `control`, so that a restart waits them out too."""

from shared.core.control import ExchangeBan
from shared.log.control_topic import ControlTopic


class KafkaBanStore:
    """The newest ban of one exchange; see `BanStore` in ports.py."""

    def __init__(self, control: ControlTopic, exchange: str) -> None:
        """Take the topic and the exchange's name; connect on first use."""
        self._control, self._exchange = control, exchange

    def load(self) -> int | None:
        """Return the time (ms) until which the exchange takes no request; None if it said none."""
        return self._control.refresh().bans.get(self._exchange)

    def save(self, until_ms: int) -> None:
        """Store the time until which the exchange takes no request."""
        self._control.publish([ExchangeBan(self._exchange, until_ms)])
