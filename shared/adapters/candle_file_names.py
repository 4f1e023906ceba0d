"""The names of files with recorded candles: which symbol and interval they say."""

import re
from pathlib import Path
from typing import Final
from unicodedata import normalize

from shared.adapters.recording import Recording
from shared.core.errors import BadInput
from shared.core.symbols import is_symbol

# Intervals of the exchange's dumps, in ms; a month as its shortest. Not all can be followed.
_UNITS_MS: Final = {
    "s": 1_000,
    "m": 60_000,
    "h": 3_600_000,
    "d": 86_400_000,
    "w": 604_800_000,
    "mo": 2_419_200_000,
    "M": 2_419_200_000,
}
_INTERVALS: Final = frozenset(
    "1s 1m 3m 5m 15m 30m 1h 2h 4h 6h 8h 12h 1d 3d 1w 1mo 1M".split()  # noqa: SIM905
)
# What the exchange offers beside candles, named in the same way.
_OTHER_KINDS: Final = re.compile(
    r"(?:^|-)(aggTrades|trades|bookTicker|bookDepth|metrics|fundingRate|liquidationSnapshot)(?:-|$)"
)
_COPY: Final = re.compile(r" ?\(\d+\)$| - copy$| copy(?: \d+)?$", re.IGNORECASE)
_NAME: Final = re.compile(
    r"(?:(?P<symbol>.*)-)?"
    r"(?P<interval>(?P<count>[0-9]{1,3})(?P<unit>s|m|h|d|w|mo|M))"
    r"(?:-(?P<date>\d{4}-\d\d(?:-\d\d)?))?"
)
_DATED: Final = re.compile(r".*-[0-9]+[a-zA-Z]+-(?P<date>[0-9-]+)")
_LIKE: Final = re.compile(
    r".*-[0-9]{1,3}(?:s|m|h|d|w|mo)(?:-[0-9-]+)?(?: ?\(\d+\))?\..+", re.IGNORECASE
)
_ADVICE: Final = "rename it to SYMBOL-INTERVAL, such as BTCUSDT-5m-2025-01.csv"


def parse_file_name(path: Path, stem: str, *, needs_symbol: bool) -> Recording:
    """Return the recording that a file's name promises.

    Args:
        path: the file.
        stem: its name without what tells the format.
        needs_symbol: no column of the format has the symbol.

    Raises:
        BadInput: the name does not say what is inside.
    """
    kind = _OTHER_KINDS.search(stem)
    if kind is not None:
        raise BadInput("not_candles", f"{path} has {kind[1]}, not candles: leave it out")
    if _COPY.search(stem) is not None:
        message = f"{path} is the copy of a download: delete it, or {_ADVICE}"
        raise BadInput("copied_file", message)
    name = _NAME.fullmatch(stem)
    if name is None:
        raise _explain(path, stem)
    if name["interval"] not in _INTERVALS:
        allowed = ", ".join(sorted(_INTERVALS))
        message = f"{path}: {name['interval']} is none of the intervals {allowed}; {_ADVICE}"
        raise BadInput("unknown_interval", message)
    symbol = _symbol_in_name(name["symbol"])
    if symbol is None and needs_symbol:
        raise BadInput("bad_file_name", f"{path}: the name has no symbol; {_ADVICE}")
    return Recording(path, symbol, int(name["count"]) * _UNITS_MS[name["unit"]])


def _symbol_in_name(text: str | None) -> str | None:
    # Some file systems store letters and their marks apart.
    symbol = normalize("NFC", text or "")
    return symbol if is_symbol(symbol) else None


def looks_like_recording(name: str) -> bool:
    """Say whether a file's name, whatever its ending, has the form of a recording's.

    >>> looks_like_recording("BTCUSDT-5m-2025-01.zip.part")
    True
    """
    return _LIKE.fullmatch(name) is not None


def _explain(path: Path, stem: str) -> BadInput:
    dated = _DATED.fullmatch(stem)
    if dated is not None:
        message = f"{path}: {dated['date']} is neither YYYY-MM nor YYYY-MM-DD; {_ADVICE}"
        return BadInput("bad_date", message)
    return BadInput("bad_file_name", f"{path}: the name has no interval; {_ADVICE}")
