"""Settings of the predictor."""

from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, model_validator

from shared.adapters.env_settings import PredictorGroupSettings
from shared.adapters.kafka.group_settings import GroupProtocol, GroupSettings
from shared.adapters.secret_file import choose_secret
from shared.core.errors import BadSetting


class PredictorSettings(PredictorGroupSettings):
    """Settings of a predictor replica."""

    redis_url: str = Field(
        default="redis://127.0.0.1:6379/0",
        pattern=r"^(redis|rediss|unix)://",
        repr=False,
        description="Where Redis is: a server, or any node of a cluster. A user may stand before"
        " the host, and options after a question mark, as in"
        " `rediss://predictor@redis:6379/0?ssl_ca_certs=/run/secrets/ca.pem`.",
    )
    redis_password: SecretStr | None = Field(
        default=None, repr=False, description="The password of Redis; better in a file."
    )
    redis_password_file: Path | None = Field(
        default=None, description="File with the password of Redis."
    )
    group_protocol: GroupProtocol = Field(
        default="classic",
        description="Rebalance protocol: `classic`, or `consumer` (KIP-848, Kafka 4.0 or later), "
        "where the broker decides session and heartbeat.",
    )
    session_timeout_ms: int = Field(
        default=6_000,
        ge=6_000,
        le=300_000,
        description="Silence after which a replica counts as dead, ms (`classic` only).",
    )
    heartbeat_interval_ms: int = Field(
        default=300,
        ge=50,
        le=100_000,
        description="Pause between two heartbeats, ms (`classic` only): a replica learns so late "
        "that another has left.",
    )
    batch_records: int = Field(
        default=2_000,
        ge=1,
        le=10_000,
        description="Most records of a transaction, reached in a catch-up.",
    )

    @property
    def redis_secret(self) -> str | None:
        """The password of Redis, from its file if there is one; None: REDIS_URL has it, or none."""
        text = self.redis_password.get_secret_value() if self.redis_password else None
        return choose_secret(text, self.redis_password_file, "REDIS_PASSWORD")

    @property
    def group(self) -> GroupSettings:
        """How the replicas share the symbol groups."""
        return GroupSettings(
            self.group_protocol, self.session_timeout_ms, self.heartbeat_interval_ms
        )

    @model_validator(mode="after")
    def _check_heartbeat(self) -> Self:
        if 3 * self.heartbeat_interval_ms > self.session_timeout_ms:
            message = (
                f"HEARTBEAT_INTERVAL_MS is {self.heartbeat_interval_ms}: more than a third of"
                f" SESSION_TIMEOUT_MS={self.session_timeout_ms}, so that a lost heartbeat or two"
                " would expel a replica that runs"
            )
            raise ValueError(message)
        return self

    @model_validator(mode="after")
    def _check_redis_password(self) -> Self:
        try:
            is_given = self.redis_secret is not None
        except BadSetting as error:
            raise ValueError(str(error)) from None
        if is_given and urlsplit(self.redis_url).password:
            raise ValueError("REDIS_URL has a password and REDIS_PASSWORD(_FILE) is set: give one")
        return self
