"""Show the newest predictions, and the records of their topic that are none."""

from collections.abc import Iterable
from typing import Final

from rich.console import Console
from rich.table import Table

from services.cli.terminal import plain_text, print_warning
from shared.adapters.kafka.reader import ConsumerRecord
from shared.core.online.prediction import Prediction
from shared.core.timestamps import format_timestamp
from shared.log.published_predictions import UnreadableRecords, decode_predictions

_SHOWN_COVERAGE: Final = 90  # per cent, of the interval in the table
_NUMBERS: Final = (
    *("close", "raw", "calibrated", f"{_SHOWN_COVERAGE} % interval", "previous", "outcome"),
    *("steps", "skill"),
)


def print_unreadable(console: Console, unreadable: UnreadableRecords) -> None:
    """Warn of each record that is described, and say how many more there are."""
    for description in unreadable.descriptions:
        print_warning(console, f"skipped an unreadable record: {description}")
    if unreadable.count > len(unreadable.descriptions):
        more = unreadable.count - len(unreadable.descriptions)
        console.print(f"... and {more:,} more", soft_wrap=True)


class LatestPredictions:
    """The newest prediction of each symbol; records that are none are counted."""

    def __init__(self, topic: str) -> None:
        """Begin empty.

        Args:
            topic: the predictions topic.
        """
        self._topic = topic
        self.unreadable = UnreadableRecords()
        self.by_symbol: dict[str, Prediction] = {}

    def add(self, records: Iterable[ConsumerRecord]) -> list[Prediction]:
        """Add new records of the topic; return the predictions among them."""
        decoded = decode_predictions(self._topic, records, self.unreadable)
        predictions = [prediction for _, prediction in decoded]
        self.by_symbol |= {prediction.symbol: prediction for prediction in predictions}
        return predictions

    def table(self, title: str = "predictions") -> Table:
        """Return a row per symbol; below it, the unreadable records if there are any."""
        count, descriptions = self.unreadable.count, self.unreadable.descriptions
        table = Table(title=title)
        if count:
            table.caption = plain_text(f"{count} unreadable records, first: {descriptions[0]}")
        for name in ("symbol", "opens (UTC)", *_NUMBERS, "model"):
            table.add_column(name, justify="left" if name in {"symbol", "model"} else "right")
        for symbol in sorted(self.by_symbol):
            table.add_row(*_row(self.by_symbol[symbol]))
        return table


def _row(prediction: Prediction) -> tuple[str, ...]:
    previous, skill = prediction.previous, prediction.scores.calibrated_skill()
    outcome = None if previous is None else previous.outcome_change
    return (
        prediction.symbol,
        format_timestamp(prediction.open_time_ms),
        f"{prediction.close:.8g}",
        f"{prediction.predicted_change:+.4%}",
        f"{prediction.calibrated_change:+.4%}{'*' if prediction.actionable else ''}",
        _shown_interval(prediction),
        "" if previous is None else f"{previous.calibrated_change:+.4%}",
        "" if outcome is None else f"{outcome:+.4%}",
        str(prediction.steps),
        "" if skill is None else f"{skill:+.2%}",
        prediction.model_version,
    )


def _shown_interval(prediction: Prediction) -> str:
    return next(
        (
            f"{one.lower_close:.6g} to {one.upper_close:.6g}"
            for one in prediction.intervals
            if one.coverage == _SHOWN_COVERAGE
        ),
        "",
    )
