"""`ulstm predict`: the newest prediction of one symbol."""

from dataclasses import asdict
from typing import Annotated, Final

import typer
from rich.table import Table

from services.cli.cli_options import AsJson
from services.cli.completion import complete_symbol
from services.cli.examples import examples
from services.cli.terminal import PlainConsole, plain_text, print_json, print_unreadable
from services.cli.topic_checks import open_deployment
from shared.adapters.env_settings import ServiceSettings
from shared.adapters.kafka.backwards_reader import last_record_of_each_key
from shared.adapters.kafka.reader import ConsumerRecord, Reader
from shared.core.errors import BadInput, Unknown
from shared.core.online.interval_scores import IntervalScores
from shared.core.online.prediction import Prediction
from shared.core.symbols import normalise_symbol
from shared.core.timestamps import format_timestamp
from shared.core.topics import partition_for
from shared.log.published_predictions import UnreadableRecords, decode_predictions

EXAMPLES: Final = examples("ulstm predict BTCUSDT", "ulstm predict BTCUSDT --json")


def predict_command(
    context: typer.Context,
    symbol: Annotated[str, typer.Argument(help="Such as BTCUSDT.", autocompletion=complete_symbol)],
    as_json: AsJson = False,
) -> None:
    """Show the newest prediction of a symbol's next close."""
    settings = open_deployment(context.obj, "predictions")
    unreadable = UnreadableRecords()
    try:
        prediction = read_newest(settings, normalise_symbol(symbol), unreadable)
    finally:
        print_unreadable(PlainConsole(stderr=True), unreadable)
    if as_json:
        print_json(asdict(prediction), sort_keys=True)
        return
    title = plain_text(f"{prediction.symbol}, {prediction.interval}")
    table = Table(title=title, show_header=False)
    for name, text in describe_prediction(prediction).items():
        table.add_row(name, text)
    PlainConsole().print(table)


def read_newest(
    settings: ServiceSettings, symbol: str, unreadable: UnreadableRecords
) -> Prediction:
    """Return a symbol's newest prediction.

    Args:
        settings: of the deployment.
        symbol: in capitals.
        unreadable: counts the newer records under the symbol that are no predictions of it.

    Raises:
        Unknown: there is none; the message says what one needs.
    """
    topic, key = settings.topics.predictions, symbol.encode()
    partition = partition_for(symbol, settings.symbol_groups)

    def decode(record: ConsumerRecord) -> Prediction | None:
        for _, prediction in decode_predictions(topic, [record], unreadable):
            if prediction.symbol == symbol:
                return prediction
            message = f"a prediction of {prediction.symbol} under the key {symbol}"
            unreadable.add(topic, record, BadInput("wrong_key", message))
        return None

    with Reader(settings.kafka, topic) as reader:
        if partition < reader.partitions():
            found = last_record_of_each_key(reader, partition, [key], decode)
            if key in found:
                return found[key]
    raise Unknown(
        f"there is no prediction of {symbol} on {topic}: it takes a promoted model"
        " (`ulstm models list`), a full window of candles, and a producer that follows the symbol"
    )


def describe_prediction(prediction: Prediction) -> dict[str, str]:
    """Return the rows of a prediction, by name."""
    return {
        "last close": f"{prediction.close:.10g}",
        "predicted change, raw": f"{prediction.predicted_change:+.4%}",
        "share realised so far": f"{prediction.calibration:.0%}",
        "predicted change, calibrated": f"{prediction.calibrated_change:+.4%}",
        "predicted close": f"{prediction.calibrated_close:.10g}",
        "actionable": "yes" if prediction.actionable else "no: not better than chance so far",
        **_describe_intervals(prediction),
        "candle opens": format_timestamp(prediction.open_time_ms),
        "model version": prediction.model_version,
        "learnt since its promotion": f"{prediction.steps} steps",
        "skill against zero change": _describe_skill(prediction),
    }


def _describe_intervals(prediction: Prediction) -> dict[str, str]:
    """Return a row for each interval, and how they have held."""
    rows = {
        f"{one.coverage} % interval": f"{one.lower_close:.8g} to {one.upper_close:.8g}"
        f" ({one.lower_change:+.3%} to {one.upper_change:+.3%})"
        for one in prediction.intervals
    }
    scores = prediction.interval_scores
    if not scores.n:
        return rows
    shares = ", ".join(f"{count / scores.n:.1%}" for count in scores.covered)
    return {**rows, "closes within them": f"{shares} of {scores.n}", **_describe_losses(scores)}


def _describe_losses(scores: IntervalScores) -> dict[str, str]:
    constant, exponential = scores.pinball_loss_constant, scores.pinball_loss_exponential
    if not constant or not exponential:
        return {}
    return {
        "pinball loss": f"{1.0 - scores.pinball_loss / constant:+.1%} saved against constant,"
        f" {1.0 - scores.pinball_loss / exponential:+.1%} against exponentially weighted volatility"
    }


def _describe_skill(prediction: Prediction) -> str:
    scores = prediction.scores
    raw, calibrated = scores.skill(), scores.calibrated_skill()
    if raw is None or calibrated is None:
        return "not enough outcomes yet"
    return f"{calibrated:+.3%}, raw {raw:+.3%}, over {scores.n} outcomes"
