"""The page `/symbols` of the producer, as its readers find it."""

from typing import Final

from pydantic import Field, ValidationError

from shared.adapters.schemas import wire
from shared.core.bounded_json import check_values

MAX_PAGE_BYTES: Final = 8 * 1024 * 1024  # of 10,000 symbols about 2

MAX_PAGE_VALUES: Final = 200_000  # each symbol has five


class StandingMessage(wire.Wire):
    """Whether a symbol's candles arrive, since when (ms), and why not."""

    symbol: wire.Symbol
    standing: str
    since_ms: wire.TimeMs
    next_open_time_ms: wire.TimeMs
    reason: str = ""


class StandingsMessage(wire.Wire):
    """All symbols of a producer, those whose candles do not arrive first."""

    counts: dict[str, int]
    symbols: list[StandingMessage] = Field(max_length=100_000)


def decode_standings(body: bytes) -> StandingsMessage:
    """Return the page of its bytes.

    Raises:
        BadInput: they are no such page.
    """
    wire.check_size(body, MAX_PAGE_BYTES, "a page of standings")
    check_values(body, MAX_PAGE_VALUES)
    try:
        return StandingsMessage.model_validate_json(body)
    except ValidationError as error:
        raise wire.to_bad_input(error) from error
