"""Keep passwords out of messages."""

import re
from typing import Final

_USER_INFO: Final = re.compile(r"//\S*@")


def hide_passwords(text: str) -> str:
    """Replace user names and passwords of addresses.

    >>> hide_passwords("redis://:secret@10.0.0.1:6379/0")
    'redis://***@10.0.0.1:6379/0'
    """
    return _USER_INFO.sub("//***@", text)
