"""The newest prediction of each symbol, as a table for the terminal."""

from collections.abc import Iterable
from typing import Final

from rich.table import Table
from rich.text import Text

from services.cli.terminal import plain_text
from services.cli.unreadable_records import UnreadableRecords, decode_predictions
from shared.adapters.kafka.reader import ConsumerRecord
from shared.core.online.prediction import Prediction
from shared.core.timestamps import format_timestamp

_COLUMNS: Final = (
    "symbol",
    "opens (UTC)",
    "close",
    "raw",
    "calibrated",
    "previous",
    "outcome",
    "steps",
    "skill",
    "model",
)


class LatestPredictions:
    """The newest prediction of each symbol; records that are none are counted."""

    def __init__(self, topic: str, unreadable: UnreadableRecords) -> None:
        """Begin empty.

        Args:
            topic: the predictions topic.
            unreadable: counts what is no prediction.
        """
        self._topic, self._unreadable = topic, unreadable
        self.by_symbol: dict[str, Prediction] = {}

    def add(self, records: Iterable[ConsumerRecord]) -> list[Prediction]:
        """Add new records of the topic; return the predictions among them."""
        decoded = decode_predictions(self._topic, records, self._unreadable)
        predictions = [prediction for _, prediction in decoded]
        self.by_symbol |= {prediction.symbol: prediction for prediction in predictions}
        return predictions

    def table(self, title: str = "predictions") -> Table:
        """Return a row per symbol; below it, the unreadable records if there are any."""
        table = Table(title=title, caption=self._describe_unreadable())
        for column in _COLUMNS:
            table.add_column(column, justify="left" if column in {"symbol", "model"} else "right")
        for symbol in sorted(self.by_symbol):
            table.add_row(*_row(self.by_symbol[symbol]))
        return table

    def _describe_unreadable(self) -> Text | None:
        unreadable = self._unreadable
        if not unreadable.count:
            return None
        return plain_text(
            f"{unreadable.count} unreadable records, first: {unreadable.descriptions[0]}"
        )


def _row(prediction: Prediction) -> tuple[str, ...]:
    previous, skill = prediction.previous, prediction.scores.calibrated_skill()
    outcome = None if previous is None else previous.outcome_change
    return (
        prediction.symbol,
        format_timestamp(prediction.open_time_ms),
        f"{prediction.close:.8g}",
        f"{prediction.predicted_change:+.4%}",
        f"{prediction.calibrated_change:+.4%}{'*' if prediction.actionable else ''}",
        "" if previous is None else f"{previous.calibrated_change:+.4%}",
        "" if outcome is None else f"{outcome:+.4%}",
        str(prediction.steps),
        "" if skill is None else f"{skill:+.2%}",
        prediction.model_version,
    )
