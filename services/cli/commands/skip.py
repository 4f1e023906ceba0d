"""`ulstm skip`: declare a record on `predictions` foreign, so that recovery passes over it."""

import re
import time
from typing import Annotated

import typer

from services.cli.cli_options import AsJson
from services.cli.examples import examples
from services.cli.terminal import print_json, print_text
from services.cli.topic_checks import open_deployment
from shared.adapters.env_settings import ServiceSettings
from shared.adapters.kafka.reader import ConsumerRecord, Reader
from shared.adapters.schemas.predictions import decode_prediction
from shared.core.control import SkippedPrediction
from shared.core.errors import BadInput, Incompatible, Unknown
from shared.core.online.prediction import Prediction
from shared.core.records import Candle
from shared.log.control_topic import ControlTopic

EXAMPLES = examples("ulstm skip 3/4711 --reason mirrored")

Place = Annotated[
    str,
    typer.Argument(
        metavar="PARTITION/OFFSET", help="Of the record on predictions, as the predictor names it."
    ),
]


def skip_command(
    context: typer.Context,
    place: Place,
    reason: Annotated[str, typer.Option(help="Why it counts as foreign.")],
    force: Annotated[
        bool, typer.Option("--force", help="Even if a candle of the log leads to such a record.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Pass over a foreign record on predictions, which keeps a symbol group from going on.

    The record stays where it is. A predictor that holds the symbol group tries again by itself.
    """
    settings = open_deployment(context.obj, "predictions", "klines", "control")
    partition, offset = _parse_place(place, settings)
    prediction = _decode(_read_record(settings, settings.topics.predictions, partition, offset))
    if prediction is not None and not force:
        _check_foreign(settings, partition, prediction, place)
    skipped = SkippedPrediction(partition, offset, time.time_ns() // 1_000_000, reason)
    ControlTopic(settings.kafka, settings.topics, "cli").publish([skipped])
    if as_json:
        print_json({"partition": partition, "offset": offset, "reason": reason})
    else:
        print_text(f"skipped {settings.topics.predictions} {partition}/{offset}")


def _parse_place(place: str, settings: ServiceSettings) -> tuple[int, int]:
    if re.fullmatch(r"[0-9]{1,4}/[0-9]{1,18}", place) is None:
        raise typer.BadParameter(f"{place!r} is no PARTITION/OFFSET, such as 3/4711")
    partition, offset = map(int, place.split("/"))
    if partition >= settings.symbol_groups:
        last = settings.symbol_groups - 1
        raise typer.BadParameter(f"{place!r}: this deployment has partitions 0 to {last}")
    return partition, offset


def _read_record(
    settings: ServiceSettings, topic: str, partition: int, offset: int
) -> ConsumerRecord:
    with Reader(settings.kafka, topic) as reader:
        for block in reader.read(partition, offset, offset + 1):
            return block[0]
    raise Unknown(f"{topic} has no record at {partition}/{offset}")


def _decode(record: ConsumerRecord) -> Prediction | None:
    try:
        return decode_prediction(record.value)
    except BadInput:
        return None


def _check_foreign(
    settings: ServiceSettings, partition: int, prediction: Prediction, place: str
) -> None:
    """Refuse a prediction that may be genuine: once skipped, it counts as lost.

    Raises:
        Incompatible: a candle of the log leads to such a prediction.
    """
    offset = prediction.source_offset
    try:
        record = _read_record(settings, settings.topics.klines, partition, offset)
        candle = settings.codec.decode(record.value, partition)
    except (BadInput, Unknown):
        return
    is_source = isinstance(candle, Candle) and (candle.symbol, candle.close) == (
        prediction.symbol,
        prediction.close,
    )
    if is_source:
        raise Incompatible(
            f"{place} may be genuine: the candle at klines {partition}/{offset} leads to it. A"
            " genuine prediction that is skipped is published again; give --force if it is foreign"
        )
