"""Settings from environment variables, refused with the variable's name."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from shared.adapters.kafka.connection_settings import KafkaSettings
from shared.adapters.logs import LogFormat, clean
from shared.adapters.schemas.klines import KlineCodec
from shared.core.errors import BadSetting
from shared.core.topics import Topics, interval_ms


def _check_interval(text: str) -> str:
    interval_ms(text)
    return text


Interval = Annotated[str, AfterValidator(_check_interval)]
Port = Annotated[int, Field(ge=0, le=65535)]
LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR"]

_LONGEST_VALUE: Final = 200  # characters of a value in a message


class EnvSettings(BaseSettings):
    """Settings whose variables are named like the fields, in capitals."""

    model_config = SettingsConfigDict(frozen=True, allow_inf_nan=False, extra="forbid")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        *_: PydanticBaseSettingsSource,
        **__: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read no environment but the mapping that `from_env` takes."""
        return (init_settings,)

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Self:
        """Read the settings from a mapping; an empty value counts as not given.

        Raises:
            BadSetting: a value is refused; the message names the variable, the value and what is
                allowed.
        """
        source = EnvSettingsSource(cls, case_sensitive=False)
        source.env_vars = {
            name.lower(): value for name, value in environ.items() if value and name.isupper()
        }
        try:
            return cls(**source())
        except ValidationError as error:
            # The cause is left out: it holds the values, passwords among them.
            raise BadSetting("; ".join(_describe(cls, error))) from None

    @classmethod
    def variable_of(cls, field: str) -> str:
        """Return the name of a field's environment variable."""
        alias = cls.model_fields[field].validation_alias if field in cls.model_fields else None
        name = alias if isinstance(alias, str) else f"{cls.model_config['env_prefix']}{field}"
        return name.upper()


class ServiceSettings(EnvSettings, KafkaSettings):
    """Settings that all services share; each service adds its own."""

    interval: Interval = Field(
        default="5m", description="Length of a candle; topic names carry it."
    )
    symbol_groups: int = Field(
        default=6,
        ge=1,
        le=1000,
        description="Partitions of the topics; fixed with the first start.",
    )
    topic_prefix: str = Field(
        default="", pattern=r"^[a-z0-9._-]*$", description="Text before every topic name."
    )
    topic_replicas: int | None = Field(
        default=None,
        ge=1,
        le=9,
        description="Replicas of topics that are created; default: the brokers' own.",
    )
    log_level: LogLevel = Field(default="INFO", description="Least severe message to log.")
    log_format: LogFormat = Field(
        default="console", description="Log lines for people, or one JSON object a line."
    )
    metrics_host: str = Field(
        default="127.0.0.1", description="Address to serve metrics and health at."
    )
    metrics_port: Port = Field(
        default=0, description="Port to serve metrics and health at; 0: any free one."
    )

    @property
    def topics(self) -> Topics:
        """The topics these settings name."""
        return Topics(
            self.interval,
            self.symbol_groups,
            self.topic_prefix,
            self.topic_replicas,
            self.kafka_message_max_bytes,
        )

    @property
    def codec(self) -> KlineCodec:
        """The codec of the klines topic these settings name."""
        return KlineCodec(self.interval, interval_ms(self.interval), self.symbol_groups)


class PredictorGroupSettings(ServiceSettings):
    """Settings of the predictors' consumer group, for its members and for its readers."""

    consumer_group: str = Field(
        default="ulstm-predictor",
        pattern=r"^[A-Za-z0-9._-]{1,80}$",
        description="Consumer group that the predictors share.",
    )

    @property
    def predictor_group(self) -> str:
        """The group's whole id: each deployment on a cluster has its own."""
        return self.topics.consumer_group(self.consumer_group)


def _describe(settings: type[EnvSettings], error: ValidationError) -> Iterator[str]:
    for fault in error.errors(include_url=False, include_context=False):
        text = fault["msg"].removeprefix("Value error, ")
        # Without a location the fault is of several settings, and the value is all of them.
        name = str(fault["loc"][0]) if fault["loc"] else None
        if name is None:
            yield text
        elif text == "Field required":
            yield f"{settings.variable_of(name)} is not set"
        elif _is_secret(settings, name):
            variable = settings.variable_of(name)
            yield f"{variable} has a value that may hold a password, so it is not shown: {text}"
        else:
            value = clean(repr(fault["input"]))[:_LONGEST_VALUE]
            yield f"{settings.variable_of(name)} is {value}: {text}"


def _is_secret(settings: type[EnvSettings], name: str) -> bool:
    """Return whether a field may hold a password: its repr then leaves it out."""
    return name in settings.model_fields and not settings.model_fields[name].repr
