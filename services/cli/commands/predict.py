"""`ulstm predict` and `ulstm watch`: what stands on the predictions topic."""

import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.live import Live
from rich.table import Table

from shared.adapters.env_settings import ServiceSettings
from shared.adapters.kafka.backwards_reader import last_record_of_each_key
from shared.adapters.kafka.reader import ConsumerRecord, Reader
from shared.adapters.kafka.tail import TopicTail
from shared.adapters.schemas import decode_prediction
from shared.core.errors import Unknown
from shared.core.online.prediction import Prediction
from shared.core.timestamps import format_timestamp
from shared.core.topics import partition_for

_TAIL: Final = 2000
_LOOK_S: Final = 1.0


def predict_command(
    context: typer.Context,
    symbol: Annotated[str, typer.Argument(help="Such as BTCUSDT.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the prediction as JSON.")] = False,
) -> None:
    """Show the newest prediction of a symbol's next close."""
    settings = ServiceSettings.from_env(context.obj)
    prediction = newest(settings, symbol.upper())
    if as_json:
        print(json.dumps(asdict(prediction), sort_keys=True))
        return
    table = Table(title=f"{prediction.symbol}, {prediction.interval}", show_header=False)
    for name, text in described(prediction).items():
        table.add_row(name, text)
    Console().print(table)


def newest(settings: ServiceSettings, symbol: str) -> Prediction:
    """Return a symbol's last prediction.

    Raises:
        Unknown: there is none; the message says what is needed for one.
    """
    group, key = partition_for(symbol, settings.symbol_groups), symbol.encode()
    with Reader(settings.kafka_bootstrap_servers, settings.topics.predictions) as reader:
        if group < reader.partitions():
            found = last_record_of_each_key(
                reader, group, [key], lambda record: decode_prediction(record.value)
            )
            if key in found:
                return found[key]
    message = (
        f"there is no prediction of {symbol} on {settings.topics.predictions}: it takes a promoted model"
        " (`ulstm models list`) and a full window of candles, and the symbol must be one the producer follows"
    )
    raise Unknown(message)


def described(prediction: Prediction) -> dict[str, str]:
    """Return what a person wants to know of a prediction."""
    raw, calibrated = prediction.scores.skill(), prediction.scores.calibrated_skill()
    beats = (
        "not enough outcomes yet"
        if raw is None or calibrated is None
        else f"{calibrated:+.3%}, raw {raw:+.3%}, over {prediction.scores.n} outcomes"
    )
    return {
        "last close": f"{prediction.close:.10g}",
        "predicted change, raw": f"{prediction.predicted_change:+.4%}",
        "of it borne out so far": f"{prediction.calibration:.0%}",
        "predicted change, calibrated": f"{prediction.calibrated_change:+.4%}",
        "predicted close": f"{prediction.calibrated_close:.10g}",
        "actionable": "yes" if prediction.actionable else "no: not shown to beat zero change yet",
        "of the candle that opens": format_timestamp(prediction.open_time_ms),
        "model version": prediction.model_version,
        "learnt since": f"{prediction.steps} steps",
        "skill against zero change": beats,
    }


def watch_command(
    context: typer.Context,
    seconds: Annotated[float, typer.Option("--for", help="Stop after so many seconds.")] = 0.0,
) -> None:
    """Show predictions against outcomes as they come. Ctrl-C ends it."""
    settings = ServiceSettings.from_env(context.obj)
    ends = time.monotonic() + seconds if seconds else None
    latest = Latest()
    topic = settings.topics.predictions
    with (
        TopicTail(settings.kafka_bootstrap_servers, [topic], _TAIL) as follower,
        Live(console=Console()) as live,
    ):
        try:
            while ends is None or time.monotonic() < ends:
                latest.add(arrived.record for arrived in follower.poll(_TAIL, _LOOK_S))
                live.update(latest.table())
        except KeyboardInterrupt:
            return


class Latest:
    """The newest prediction of each symbol."""

    def __init__(self) -> None:
        """Start with none."""
        self.by_symbol: Mapping[str, Prediction] = {}

    def add(self, records: Iterable[ConsumerRecord]) -> None:
        """Take new records in."""
        found = dict(self.by_symbol)
        for record in records:
            prediction = decode_prediction(record.value)
            found[prediction.symbol] = prediction
        self.by_symbol = found

    def table(self, title: str = "predictions") -> Table:
        """Return the table of them."""
        table = Table(title=title)
        for column in (
            "symbol",
            "opens (UTC)",
            "close",
            "raw",
            "calibrated",
            "before: said",
            "was",
            "steps",
            "skill",
            "model",
        ):
            table.add_column(column, justify="left" if column in {"symbol", "model"} else "right")
        for symbol in sorted(self.by_symbol):
            table.add_row(*_row(self.by_symbol[symbol]))
        return table


def _row(prediction: Prediction) -> tuple[str, ...]:
    before, skill = prediction.previous, prediction.scores.calibrated_skill()
    outcome = None if before is None else before.outcome_change
    return (
        prediction.symbol,
        format_timestamp(prediction.open_time_ms),
        f"{prediction.close:.8g}",
        f"{prediction.predicted_change:+.4%}",
        f"{prediction.calibrated_change:+.4%}{'*' if prediction.actionable else ''}",
        "" if before is None else f"{before.calibrated_change:+.4%}",
        "" if outcome is None else f"{outcome:+.4%}",
        str(prediction.steps),
        "" if skill is None else f"{skill:+.2%}",
        prediction.model_version,
    )
