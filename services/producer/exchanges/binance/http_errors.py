"""Map the HTTP statuses with which Binance refuses a request to errors of the producer. PURE."""

from collections.abc import Mapping
from typing import Final

from services.producer.ports import Throttled
from shared.core.errors import Incompatible, Unavailable

# Without a Retry-After header: the minute of the weight limit, the shortest documented ban.
DEFAULT_RETRY_AFTER_S: Final = {429: 60.0, 418: 120.0}
RESTRICTED_LOCATION: Final = 451


def to_refusal(
    request: str, status: int, headers: Mapping[str, str] | None, body: str
) -> Unavailable | Incompatible:
    """Return the error for an HTTP status from 400 to 499.

    Args:
        request: the address and what was requested, for the message.
        status: the HTTP status.
        headers: the response's headers, for `Retry-After`.
        body: the error code and message of the response.
    """
    message = f"{request}: refused with HTTP {status} {body[:200]}".rstrip()
    if status in DEFAULT_RETRY_AFTER_S:
        seconds = _retry_after_s(headers or {})
        seconds = DEFAULT_RETRY_AFTER_S[status] if seconds is None else seconds
        return Throttled(f"{message}; sending nothing for {seconds:g} s", seconds)
    if status == RESTRICTED_LOCATION:
        return Incompatible(
            f"{message}; the host does not serve this location: set EXCHANGE_REST_URL and"
            " EXCHANGE_STREAM_URL to one that does, such as https://data-api.binance.vision"
            " and wss://data-stream.binance.vision"
        )
    return Unavailable(message)


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    text = {name.lower(): value for name, value in headers.items()}.get("retry-after")
    try:
        return None if text is None else float(text)
    except ValueError:
        return None
