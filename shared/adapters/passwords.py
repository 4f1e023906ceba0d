"""Keep passwords out of messages."""

import re
from typing import Final

_USER_INFO: Final = re.compile(r"//\S*@")
_IN_QUERY: Final = re.compile(r"([?&](?:username|password)=)[^&\s'\"]*", re.IGNORECASE)


def hide_passwords(text: str) -> str:
    """Replace user names and passwords of addresses.

    >>> hide_passwords("redis://:secret@10.0.0.1:6379/0")
    'redis://***@10.0.0.1:6379/0'
    >>> hide_passwords("redis://10.0.0.1?password=secret&db=1")
    'redis://10.0.0.1?password=***&db=1'
    """
    return _IN_QUERY.sub(r"\1***", _USER_INFO.sub("//***@", text))
