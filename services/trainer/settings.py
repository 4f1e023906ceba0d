"""What the trainer is told."""

from collections.abc import Mapping
from math import inf
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field, field_validator, model_validator

from shared.adapters.env_settings import ServiceSettings, parse_symbols
from shared.core.errors import BadInput
from shared.core.features.registry import feature_set
from shared.core.model.architecture import Architecture
from shared.core.model.card import Target
from shared.core.model.optimiser import Optimiser
from shared.core.model.shrinkage import Shrinkage
from shared.core.sequence import SEQUENCE_LENGTH
from shared.core.timestamps import parse_timestamp_ms
from shared.log.archive import TimeSpan

Share = Annotated[float, Field(gt=0, lt=0.5)]
Count = Annotated[int, Field(ge=1)]
Policy = Literal["better", "always", "never"]


# What no weight depends on.
_BESIDE: Final = {
    "checkpoints",
    "drift_candles",
    "drift_pause_hours",
    "log_level",
    "promote",
    "redis_url",
    "report",
    "topic_replicas",
    "train_every_hours",
}

_LEAST_DRIFT: Final = 30  # candles

_ORIGINAL: Final[Mapping[str, str]] = {
    "feature_set": "levels",
    "target": "level",
    "window_length": "288",
    "widths": "32,32",
    "common_move": "kept",
    "mirrored": "false",
    "huber_delta": "0",
    "dropout": "0.2",
    "online_rate": "1e-3",
    "windows_per_epoch": "50000",
    "epochs": "20",
    "patience": "4",
    "learning_rate": "1e-3",
    "learning_rate_falls": "false",
    "averaging": "0",
    "choose_by": "loss",
}


class TrainerSettings(ServiceSettings):
    """How models are made. A field's variable is its name in capitals, such as TRAIN_EVERY_HOURS."""

    preset: Literal["default", "original"] = (
        "default"  # what settings that are not given are; original: price levels
    )
    symbols: str = ""  # none means every symbol of the archive
    train_from: str = ""  # ISO 8601 or ms; none means what MAX_CANDLES reaches back
    train_to: str = ""  # ISO 8601 or ms; none means the newest candle
    train_every_hours: Annotated[float, Field(ge=0, le=24 * 365)] = 24.0  # 0: train once, then exit
    drift_candles: Annotated[int, Field(le=105_120)] = (
        2_016  # whose skill must not fall, or it trains; 0: never
    )
    drift_pause_hours: Annotated[float, Field(ge=0, le=24 * 365)] = (
        6.0  # after a training, before drift starts another
    )
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    promote: Policy = "better"
    checkpoints: str = ""  # a folder that keeps an interrupted training; none: it starts anew
    report: str = ""  # a file that gets the model's report, a page of HTML; none means none

    feature_set: str = "returns"
    target: Target = (
        "change"  # level: the next close on the symbol's scaler, as the original has it
    )
    window_length: Annotated[int, Field(ge=16, le=SEQUENCE_LENGTH)] = 16
    widths: str = "32"
    common_move: Literal["removed", "kept"] = (
        "removed"  # of all symbols at a moment, in the labels trained on
    )
    mirrored: bool = True  # each window upside down as well, where the feature set can
    huber_delta: Annotated[float, Field(ge=0)] = (
        3.0  # deviations beyond which an error counts linearly; 0: never
    )
    online_optimiser: Literal["adam", "sgd"] = "adam"
    online_rate: Annotated[float, Field(ge=0, le=1)] = 5e-5
    shrinkage_weight: Annotated[float, Field(gt=0)] = Shrinkage().weight
    shrinkage_caution: Annotated[float, Field(ge=0)] = Shrinkage().caution

    max_candles: Count = 52_560  # newest candles of a symbol that are read: half a year of 5m
    min_candles: Annotated[int, Field(ge=32)] = (
        4_032  # of a symbol, to be trained on: two weeks of 5m
    )
    validation_share: Share = 0.1
    held_out_share: Share = 0.15
    scored_candles: Annotated[int, Field(ge=2)] = (
        2_016  # of a symbol, at most, are held out: one week of 5m
    )
    scored_symbols: Count = 40  # scoring makes every online step, so it is bounded

    choose_by: Literal["online", "loss"] = (
        "online"  # an epoch's weights: their online skill, or the validation loss
    )
    epochs: Count = 10
    patience: Count = 10  # epochs without a better one before it ends
    windows_per_epoch: Count = 250_000
    validation_windows: Count = 50_000
    batch_size: Annotated[int, Field(ge=1, le=65_536)] = 512
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 3e-3
    learning_rate_falls: bool = True  # along a straight line, to zero after the last of the epochs
    averaging: Annotated[float, Field(ge=0, lt=1)] = (
        0.998  # memory, by step, of the mean of the weights; 0: no mean
    )
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0

    @model_validator(mode="before")
    @classmethod
    def _preset_stands_for_what_is_not_given(cls, given: dict[str, Any]) -> dict[str, Any]:
        return {**_ORIGINAL, **given} if given.get("preset") == "original" else given

    @field_validator("widths")
    @classmethod
    def _widths_are_numbers(cls, value: str) -> str:
        if not all(part.strip().isdigit() for part in value.split(",")):
            message = "LSTM widths are whole numbers separated by commas, such as 32,32"
            raise ValueError(message)
        return value

    @field_validator("drift_candles")
    @classmethod
    def _drift_can_be_told_from_chance(cls, value: int) -> int:
        if value != 0 and value < _LEAST_DRIFT:
            message = f"at least {_LEAST_DRIFT} candles are needed to tell drift from chance; 0 never looks"
            raise ValueError(message)
        return value

    @field_validator("report")
    @classmethod
    def _report_can_be_written(cls, value: str) -> str:
        if value and not (Path(value).parent.is_dir() and value.endswith(".html")):
            message = "the report is a .html file in a folder that is there"
            raise ValueError(message)
        return value

    @field_validator("train_from", "train_to")
    @classmethod
    def _times_are_times(cls, value: str) -> str:
        if value:
            parse_timestamp_ms(value)
        return value

    @model_validator(mode="after")
    def _architecture_is_possible(self) -> Self:
        try:
            _ = self.architecture
        except BadInput as error:
            raise ValueError(str(error)) from error
        return self

    @model_validator(mode="after")
    def _a_level_is_possible(self) -> Self:
        needed = {"feature_set": "levels", "common_move": "kept", "huber_delta": 0.0}
        other = [name.upper() for name, value in needed.items() if getattr(self, name) != value]
        if self.target == "level" and other:
            message = f"TARGET=level needs FEATURE_SET=levels COMMON_MOVE=kept HUBER_DELTA=0; other: {', '.join(other)}"
            raise ValueError(message)
        return self

    @property
    def for_weights(self) -> dict[str, Any]:
        """What a training's result depends on."""
        return self.model_dump(exclude=_BESIDE)

    @property
    def architecture(self) -> Architecture:
        """The network to train."""
        widths = tuple(int(part) for part in self.widths.split(","))
        return Architecture(widths, self.window_length, feature_set(self.feature_set).columns)

    @property
    def largest_error(self) -> float:
        """The error, in standard deviations of the labels, beyond which it counts linearly."""
        return self.huber_delta or inf

    @property
    def optimiser(self) -> Optimiser:
        """The online step's optimiser."""
        return Optimiser(self.online_optimiser, self.online_rate)

    @property
    def shrinkage(self) -> Shrinkage:
        """How raw predictions are calibrated."""
        return Shrinkage(weight=self.shrinkage_weight, caution=self.shrinkage_caution)

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
        """The symbols to train on; none means all."""
        return parse_symbols(self.symbols)
