"""Scripts of faults: their kinds, times and symbols."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from services.exchange_simulator.faults.kinds import KINDS, MIXED
from shared.adapters.bounded_text import read_json_file
from shared.core.errors import BadInput, BadSetting


def _check_kind(name: str) -> str:
    if name not in KINDS:
        raise ValueError(f"there is no fault {name!r}; choose one of {', '.join(KINDS)}")
    return name


def _check_mixed(name: str) -> str:
    if name not in MIXED:
        raise ValueError(f"a mix has no fault {name!r}; choose among {', '.join(MIXED)}")
    return name


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class ScriptedFault(_Strict):
    """A fault: its kind, when it is in force, whom it concerns, and its parameters.

    Candles are numbered from the script's origin; the first one that opens after it is number 0. A
    fault without `at` is there from the exchange's start, and its candles are numbered from that.
    """

    kind: Annotated[str, AfterValidator(_check_kind)]
    at: float | None = Field(
        default=None, description="Candle; empty: from the exchange's start on."
    )
    for_s: float | None = Field(default=None, gt=0, description="Real seconds; empty: for ever.")
    for_candles: float | None = Field(default=None, gt=0, description="Candles; empty: for ever.")
    times: int | None = Field(default=None, ge=1, description="Answers or messages at most.")
    share: float = Field(
        default=1.0, gt=0, le=1, description="Probability for each answer or message."
    )
    symbols: tuple[str, ...] = Field(default=(), description="Symbols concerned; empty: all.")
    endpoint: Literal["", "klines", "time", "exchangeInfo", "ticker/24hr", "ping"] = Field(
        default="", description="REST endpoint concerned; empty: all."
    )
    candles: tuple[int, int] | None = Field(
        default=None, description="Candles concerned: [first, until)."
    )
    seconds: float = 0.0
    count: int | None = Field(default=None, ge=0)
    status: int = Field(default=503, ge=400, le=599)
    value: Any = None

    @model_validator(mode="after")
    def _check_length(self) -> Self:
        if self.for_s is not None and self.for_candles is not None:
            raise ValueError("for_s and for_candles exclude each other: give one of them")
        return self


class FaultMix(_Strict):
    """Faults drawn from a seed, one after another for as long as the exchange runs."""

    seed: int = Field(default=0, ge=0)
    every_candles: float = Field(
        default=1.0, gt=0, description="Mean distance of two faults, in candles."
    )
    kinds: tuple[Annotated[str, AfterValidator(_check_mixed)], ...] = Field(
        default=(), description="Kinds to draw from; empty: all that a mix can have."
    )
    begin: float = Field(default=0.0, description="Candle from which on there are faults.")
    candles: int = Field(
        default=288, ge=1, description="Candles with faults; after them the feed is calm."
    )


class FaultScript(_Strict):
    """What a file of faults holds."""

    origin: Literal["start", "first subscription"] = "start"
    faults: tuple[ScriptedFault, ...] = ()
    mix: FaultMix | None = None


def read_script(path: Path) -> FaultScript:
    """Read a script of faults, a JSON file.

    Raises:
        BadSetting: the file cannot be read, or is no script.
    """
    try:
        return FaultScript.model_validate_json(read_json_file(path))
    except BadInput as error:
        raise BadSetting(f"EXCHANGE_FAULTS is {path}: {error}") from error
    except OSError as error:
        message = f"EXCHANGE_FAULTS is {path}: cannot read it ({error.strerror})"
        raise BadSetting(message) from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        place = ".".join(map(str, first["loc"]))
        text = first["msg"].removeprefix("Value error, ")
        raise BadSetting(f"EXCHANGE_FAULTS is {path}: {place or 'the file'}: {text}") from None
