"""Settings of the predictor."""

from pydantic import Field

from shared.adapters.env_settings import ServiceSettings


class PredictorSettings(ServiceSettings):
    """Settings of a predictor replica."""

    redis_url: str = Field(
        default="redis://127.0.0.1:6379/0",
        pattern=r"^(redis|rediss|unix)://",
        repr=False,
        description="Where Redis is.",
    )
    consumer_group: str = Field(
        default="ulstm-predictor",
        pattern=r"^[A-Za-z0-9._-]{1,80}$",
        description="Consumer group that the replicas share.",
    )
    session_timeout_ms: int = Field(
        default=10_000,
        ge=6000,
        le=300_000,
        description="Silence after which a replica counts as dead, ms.",
    )
    batch_records: int = Field(
        default=2_000,
        ge=1,
        le=10_000,
        description="Most records of a transaction, reached in a catch-up.",
    )
