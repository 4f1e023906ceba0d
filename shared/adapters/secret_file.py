"""Read a password from a setting, or from a file, as containers get their secrets."""

from pathlib import Path
from typing import Final

from shared.core.errors import BadSetting

MAX_BYTES: Final = 4096


def choose_secret(text: str | None, path: Path | None, variable: str) -> str | None:
    """Return a secret that is given as it is, or in a file; None if neither is.

    Args:
        text: of the setting.
        path: of the setting with _FILE at its end.
        variable: the setting, for messages.

    Raises:
        BadSetting: both are given, or the file cannot be read.
    """
    if path is None:
        return text
    if text is not None:
        raise BadSetting(f"{variable} and {variable}_FILE are set: give one")
    return read_secret(path, f"{variable}_FILE")


def read_secret(path: Path, variable: str) -> str:
    """Return the text of a file that holds one secret; a line break at its end does not count.

    Args:
        path: of the file.
        variable: the setting that names it, for the message.

    Raises:
        BadSetting: it cannot be read, is empty, or is longer than a secret can be.
    """
    try:
        with path.open("rb") as file:
            text = file.read(MAX_BYTES + 1).decode()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text in UTF-8"
        raise BadSetting(
            f"{variable} is {str(path)!r}: the file cannot be read ({reason})"
        ) from None
    secret = text.removesuffix("\n").removesuffix("\r")
    if not secret:
        raise BadSetting(
            f"{variable} is {str(path)!r}: the file is empty; write the password there"
        )
    if len(text.encode()) > MAX_BYTES:
        raise BadSetting(f"{variable} is {str(path)!r}: the file has more than {MAX_BYTES} bytes")
    return secret
