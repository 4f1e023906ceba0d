"""Settings of the trainer. The environment variable of a field is its name in capitals."""

from collections.abc import Mapping
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Any, Final, Literal, Self, TypeAlias

from pydantic import Field, field_validator, model_validator
from pydantic_settings import SettingsConfigDict

from shared.adapters.env_settings import EnvSettings, ServiceSettings
from shared.adapters.kafka.connection_settings import KafkaSettings
from shared.core.errors import BadInput
from shared.core.features.registry import FEATURE_SETS, feature_set
from shared.core.model.architecture import Architecture
from shared.core.model.card import Learns
from shared.core.model.head import HeadSettings
from shared.core.model.optimiser import Optimiser
from shared.core.model.shrinkage import Shrinkage
from shared.core.online.start import START_CANDLES
from shared.core.sequence import SEQUENCE_LENGTH
from shared.core.symbols import parse_symbols
from shared.core.timestamps import parse_timestamp_ms
from shared.log.archive import TimeSpan

Policy: TypeAlias = Literal["better", "always", "never"]

# Settings left out of the checkpoint key: they do not affect the weights.
_NOT_IN_CHECKPOINT_KEY: Final = {
    "checkpoints",
    "drift_candles",
    "drift_pause_hours",
    "log_format",
    "log_level",
    "metrics_host",
    "metrics_port",
    "promote",
    "report",
    "start_candles",
    "topic_replicas",
    "train_every_hours",
    *(name for name in KafkaSettings.model_fields if name != "kafka_bootstrap_servers"),
}

_MIN_DRIFT_CANDLES: Final = 30  # fewer cannot tell drift from chance
_HOURS_OF_A_YEAR: Final = 24 * 365
# Labels as they are: a larger outcome counts as this much in the calibration. 8 times 0.2 %, as 8
# standard deviations are where labels are standardised.
_LARGEST_CHANGE: Final = 0.016

_ORIGINAL: Final[Mapping[str, str]] = {
    "feature_set": "levels",
    "window_length": "288",
    "widths": "32,32",
    "common_move": "kept",
    "labels_standardised": "false",
    "shrinkage_weight": "1.6e-3",  # 4 squared forecasts of 2 %: labels are fractions
    "mirrored": "false",
    "huber_delta": "0",
    "dropout": "0.2",
    "shrinkage_caution": "0",
    "shrinkage_half_life": "0",
    "learns": "gradient",
    "online_optimiser": "adam",
    "online_rate": "1e-3",
    "windows_per_epoch": "50000",
    "epochs": "20",
    "patience": "4",
    "learning_rate": "1e-3",
    "learning_rate_falls": "false",
    "averaging": "0",
}


class TrainerSettings(ServiceSettings):
    """Settings of a training: archive, fit, evaluation and release."""

    model_config = SettingsConfigDict(use_attribute_docstrings=True)

    preset: Literal["default", "original"] = Field(
        "default",
        description="Defaults of the settings that are not given; `original`: price levels"
        " (docs/how-to/import-the-original.md).",
    )

    # What is read.
    symbols: str = ""
    """Symbols to train on, comma-separated; empty: all of the archive."""
    train_from: str = ""
    """First open time, ISO 8601 or ms; empty: as far back as MAX_CANDLES reaches."""
    train_to: str = ""
    """Last open time, ISO 8601 or ms; empty: the newest candle."""
    max_candles: int = Field(52_560, ge=1)
    """Newest candles of a symbol to read; 52,560 of 5m: half a year."""
    min_candles: int = Field(4_032, ge=32)
    """Candles that a symbol needs in the training span; 4,032 of 5m: two weeks."""
    training_memory_mb: int = Field(4_096, ge=1_500, le=1_000_000)
    """Memory of a training: where MAX_CANDLES of each symbol take more, fewer are read."""

    baskets_max_age_days: float = Field(30.0, ge=0)
    """Age of the baskets in force from which a training makes new ones."""

    # When a training starts, and what becomes of its model.
    train_every_hours: float = Field(24.0, ge=0, le=_HOURS_OF_A_YEAR)
    """Between two trainings, restarts or not; 0: once, unless the log has a trained model."""
    drift_candles: int = Field(2_016, le=105_120)
    """Newest candles whose skill must not fall, or a training starts; 0: never."""
    drift_pause_hours: float = Field(6.0, ge=0, le=_HOURS_OF_A_YEAR)
    """Least time between a training and one that drift starts."""
    promote: Policy = "better"
    """Which challengers are promoted: `better`, `always` or `never`."""
    checkpoints: str = ""
    """Folder for checkpoints of a training; empty: an interrupted one starts again."""
    report: str = ""
    """The .html file for the model's report; empty: no report."""

    # The model.
    feature_set: str = Field(
        "market",
        description=f"Features of a candle: {' or '.join(f'`{name}`' for name in FEATURE_SETS)}.",
    )
    window_length: int = Field(16, ge=16, le=SEQUENCE_LENGTH)
    """Candles that the network sees."""
    widths: str = "32"
    """Units of each LSTM layer, comma-separated; multiples of 8."""
    learns: Learns = "gradient"
    """What learns online: `nothing`, all weights by `gradient` steps, the `head`, or `both`."""
    head_prior: float = Field(24_000, ge=1, le=1e9)
    """How many candles a symbol's first head weighs as much as."""
    head_half_life: float = Field(13_824, ge=0)
    """Candles until an outcome counts half in the head; 13,824 of 5m: 48 days; 0: never."""
    online_optimiser: Literal["adam", "sgd"] = "adam"
    """Optimiser of the gradient steps."""
    online_rate: float = Field(2e-4, ge=0, le=1)
    """Learning rate of the gradient steps."""
    shrinkage_weight: float = Field(Shrinkage().weight, gt=0)
    """Weight of the calibration's prior, as a sum of squared forecasts."""
    shrinkage_caution: float = Field(1.0, ge=0)
    """Standard errors taken off the calibration's coefficient."""
    shrinkage_half_life: float = Field(2_016, ge=0)
    """Candles until an outcome counts half in the calibration; 2,016 of 5m: a week; 0: never."""

    # Labels and loss.
    common_move: Literal["removed", "kept"] = "removed"
    """What the market explains of a change (`market`), or the median one, in the labels."""
    labels_standardised: bool = True
    """Whether labels are divided by their standard deviation."""
    mirrored: bool = True
    """Train on each window upside down too, if the feature set can."""
    huber_delta: float = Field(3.0, ge=0)
    """Error, in standard deviations of the labels, beyond which the loss is linear; 0: never."""

    # The split by time, and scoring.
    validation_share: float = Field(0.1, gt=0, lt=0.5)
    """Part of the time span that validates each epoch."""
    held_out_share: float = Field(0.15, gt=0, lt=0.5)
    """Newest part of the time span, which no fit sees."""
    scored_candles: int = Field(2_016, ge=2)
    """Candles of a symbol that are held out and scored, at most; 2,016 of 5m: a week."""
    scored_symbols: int = Field(40, ge=1)
    """Symbols that are scored, at most: scoring makes each online step."""

    start_candles: int = Field(START_CANDLES, ge=0)
    """Candles of a symbol whose lessons its start at a promotion keeps; 0: it begins anew."""

    # The fit.
    seed: int = Field(0, ge=0, lt=2**31)
    """Seed of weights, draws and dropout."""
    choose_by: Literal["online", "loss"] = "loss"
    """What the best epoch has: the highest `online` skill, or the lowest validation `loss`."""
    epochs: int = Field(10, ge=1)
    """Epochs, at most."""
    patience: int = Field(10, ge=1)
    """Epochs without a better one that end the fit."""
    windows_per_epoch: int = Field(250_000, ge=1)
    """Windows drawn for an epoch."""
    validation_windows: int = Field(50_000, ge=1)
    """Windows that validate an epoch."""
    batch_size: int = Field(512, ge=1, le=65_536)
    """Windows of a batch."""
    learning_rate: float = Field(3e-3, gt=0, le=1)
    """Learning rate of the fit."""
    learning_rate_falls: bool = True
    """Whether the rate falls along a straight line, to zero at the last step."""
    averaging: float = Field(0.998, ge=0, lt=1)
    """Memory, by step, of the mean of the weights; 0: no mean."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """Dropout of the fit; with it Keras fits, not the kernel."""

    @model_validator(mode="before")
    @classmethod
    def _apply_preset(cls, given: dict[str, Any]) -> dict[str, Any]:
        return {**_ORIGINAL, **given} if given.get("preset") == "original" else given

    @field_validator("feature_set")
    @classmethod
    def _check_feature_set(cls, value: str) -> str:
        try:
            feature_set(value)
        except BadInput as error:
            raise ValueError(str(error)) from error
        return value

    @field_validator("widths")
    @classmethod
    def _check_widths(cls, value: str) -> str:
        if not all(part.strip().isdigit() for part in value.split(",")):
            raise ValueError("LSTM widths are whole numbers separated by commas, such as 32,32")
        return value

    @field_validator("drift_candles")
    @classmethod
    def _check_drift_candles(cls, value: int) -> int:
        if value != 0 and value < _MIN_DRIFT_CANDLES:
            raise ValueError(
                f"at least {_MIN_DRIFT_CANDLES} are needed to tell drift from chance; 0: never"
            )
        return value

    @field_validator("report")
    @classmethod
    def _check_report(cls, value: str) -> str:
        if value and not (Path(value).parent.is_dir() and value.endswith(".html")):
            raise ValueError("the report must be a .html file in a folder that exists")
        return value

    @field_validator("train_from", "train_to")
    @classmethod
    def _check_time(cls, value: str) -> str:
        if value:
            parse_timestamp_ms(value)
        return value

    @model_validator(mode="after")
    def _check_architecture(self) -> Self:
        try:
            _ = self.architecture
        except BadInput as error:
            raise ValueError(str(error)) from error
        return self

    @property
    def checkpoint_key(self) -> dict[str, Any]:
        """The settings that the weights depend on, by name."""
        return self.model_dump(exclude=_NOT_IN_CHECKPOINT_KEY)

    @property
    def architecture(self) -> Architecture:
        """The network to train."""
        widths = tuple(int(part) for part in self.widths.split(","))
        return Architecture(widths, self.window_length, feature_set(self.feature_set).columns)

    @property
    def max_quadratic_error(self) -> float:
        """Error beyond which the loss is linear, in standard deviations of the labels."""
        return self.huber_delta or inf

    @property
    def optimiser(self) -> Optimiser:
        """The optimiser of the online step."""
        return Optimiser(self.online_optimiser, self.online_rate)

    @property
    def shrinkage(self) -> Shrinkage:
        """How raw predictions are calibrated."""
        chosen = Shrinkage(
            weight=self.shrinkage_weight,
            caution=self.shrinkage_caution,
            memory=_memory(self.shrinkage_half_life),
        )
        return chosen if self.labels_standardised else replace(chosen, largest=_LARGEST_CHANGE)

    @property
    def head(self) -> HeadSettings:
        """How the head learns."""
        return HeadSettings(
            forgetting=_memory(self.head_half_life), prior_observations=self.head_prior
        )

    @property
    def span(self) -> TimeSpan:
        """The open times to read."""
        everything = TimeSpan()
        return TimeSpan(
            parse_timestamp_ms(self.train_from) if self.train_from else everything.from_ms,
            parse_timestamp_ms(self.train_to) if self.train_to else everything.through_ms,
        )

    @property
    def wanted_symbols(self) -> tuple[str, ...]:
        """The symbols to train on; empty: all."""
        return parse_symbols(self.symbols)


def _memory(half_life: float) -> float:
    return 0.5 ** (1.0 / half_life) if half_life else 1.0


class SearchSettings(EnvSettings):
    """Settings of a search for better trainer settings."""

    model_config = SettingsConfigDict(env_prefix="SEARCH_", use_attribute_docstrings=True)

    folder: Path = Path(".ulstm/search")
    """Folder that keeps the search; it resumes from there."""
    hours: float | None = Field(None, gt=0)
    """Time budget of all starts together."""
    minutes: float | None = Field(None, gt=0)
    """Added to SEARCH_HOURS; 60 if neither is given."""
    trials: int | None = Field(None, ge=1)
    """Trials, at most."""
    trial_minutes: float | None = Field(None, gt=0)
    """Time of a trial, at most; default: a tenth of the budget."""
    epochs: int = Field(8, ge=1)
    """EPOCHS of a trial."""
    windows: int = Field(100_000, ge=1)
    """WINDOWS_PER_EPOCH of a trial."""
    dropout: bool = False
    """Whether dropout is searched too: Keras fits those trials, slowly."""
    train: bool = False
    """Whether the best settings are trained at the end."""

    @property
    def budget_minutes(self) -> float:
        """Time budget of all starts together."""
        return 60 * (self.hours or 0.0) + (self.minutes or 0.0) or 60.0

    @property
    def trial_environment(self) -> dict[str, str]:
        """Trainer settings that all trials share: shorter fits than those of a training."""
        return {"EPOCHS": str(self.epochs), "WINDOWS_PER_EPOCH": str(self.windows), "PATIENCE": "2"}
