"""Predictions of a version whose forecasts get worse."""

from dataclasses import replace

import numpy as np

from shared.adapters.kafka.producer import ProducerRecord
from shared.adapters.schemas.predictions import encode_prediction
from shared.core.topics import partition_for
from tests.services.trainer.trainer_deployment import (
    CANDLES,
    PARTITIONS,
    SYMBOLS,
    TrainerDeployment,
)
from tests.shared.core.evaluation.test_drift import SCALE, a_prediction


def failing_predictions(
    deployment: TrainerDeployment, version: str, count: int
) -> list[ProducerRecord]:
    """Return what a predictor would publish if its forecasts were wrong by more and more."""
    draw, records = np.random.default_rng(1), []
    for symbol in SYMBOLS:
        partition = partition_for(symbol, PARTITIONS)
        current = deployment.registry.promotions.current(partition)
        assert current is not None
        for at, outcome in enumerate(draw.normal(0, SCALE, count), CANDLES - count):
            forecast = (float(-at / CANDLES * outcome), float(outcome))
            prediction = replace(
                a_prediction(at, forecast, symbol, version),
                promotion_offset=current.offset,
                source_offset=current.offset + 1,
            )
            records.append(
                ProducerRecord(
                    deployment.topics.predictions,
                    partition,
                    symbol.encode(),
                    encode_prediction(prediction),
                    prediction.open_time_ms,
                )
            )
    return records
