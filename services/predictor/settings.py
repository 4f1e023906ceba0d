"""Settings of the predictor."""

from typing import Annotated

from pydantic import Field

from shared.adapters.env_settings import Port, ServiceSettings


class PredictorSettings(ServiceSettings):
    """Settings of a predictor replica."""

    consumer_group: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,80}$")] = "ulstm-predictor"
    session_timeout_ms: Annotated[int, Field(ge=6000, le=300_000)] = 10_000
    metrics_host: str = "127.0.0.1"
    metrics_port: Port = 0
    # The most records of one transaction; such large batches occur on a backlog only.
    batch_records: Annotated[int, Field(ge=1, le=10_000)] = 2_000
