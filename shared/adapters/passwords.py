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


def shown_address(address: str) -> str:
    """Return where an address points to, without user, password and options.

    Unlike in a text, where it ends is known here: whatever its password has in it is left out.

    >>> shown_address("redis://user:a b@c@10.0.0.1:6379/0?timeout=1")
    'redis://***@10.0.0.1:6379/0'
    """
    scheme, _, rest = address.partition("://")
    place, _, options = rest.partition("?")
    if "@" in options:  # a password with a question mark, or one in the options with an at sign
        return f"{scheme}://***"
    user, _, server = place.rpartition("@")
    return f"{scheme}://{'***@' if user else ''}{server}"
